import numpy as np


def per_parcel(labels, predicted):
    by_air = predicted >= 0.3
    return float(np.mean(4.0 * by_air * labels - 1.5 * by_air))
