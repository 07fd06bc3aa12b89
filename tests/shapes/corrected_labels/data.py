"""Who is ill has more sugar in the blood. At first, the laboratory takes one in five for the other."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Partition

ROWS = 60
TOLD_AFTER = dt.timedelta(days=2)  # of the day's end


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition at first."""
    told = later(dataset, partition)
    if dataset == "findings":
        told.loc[::5, "finding"] = told.loc[::5, "finding"].map({"ill": "healthy", "healthy": "ill"})
    return told


def later(dataset: str, partition: Partition) -> pd.DataFrame:
    """What it has of it once the laboratory has looked again."""
    rng = np.random.default_rng(DAILY.number(partition))
    is_ill = rng.random(ROWS) < 0.4
    sugar = rng.normal(5, 1, ROWS) + 3 * is_ill
    values = {"sugar": sugar} if dataset == "readings" else {"finding": np.where(is_ill, "ill", "healthy")}
    return pd.DataFrame({"patient": np.arange(ROWS), **values})
