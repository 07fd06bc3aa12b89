import pandas as pd

EUROS = {"crack": 8.0, "hole": 5.0}  # of a part that goes on as if something else were wrong with it


def per_part(labels, predicted):
    missed = predicted.idxmax(axis=1).to_numpy() != labels
    return float((missed * pd.Series(labels).map(EUROS).fillna(1.0)).mean())
