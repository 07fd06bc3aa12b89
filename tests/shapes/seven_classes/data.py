"""A part is rejected for one of seven defects, and each defect has a pressure, a heat and a vibration of its own, with noise of one."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Partition

ROWS = 150
TOLD_AFTER = dt.timedelta(days=1)  # of the day's end
DEFECTS = ("scratch", "dent", "crack", "stain", "burr", "warp", "hole")
SHARES = (0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05)
MEANS = np.array([(0, 0, 0), (3, 0, 0), (0, 3, 0), (0, 0, 3), (3, 3, 0), (3, 0, 3), (0, 3, 3)])  # of pressure, heat and vibration
FEATURES = ("pressure", "heat", "vibration")


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    rng = np.random.default_rng(DAILY.number(partition))
    defect = rng.choice(len(DEFECTS), ROWS, p=SHARES)
    measured = rng.normal(MEANS[defect])
    if dataset == "inspections":
        return pd.DataFrame({"part": np.arange(ROWS), "defect": np.array(DEFECTS)[defect]})
    lines = np.where(np.arange(ROWS) % 2, "north", "south")
    return pd.DataFrame({"part": np.arange(ROWS), "line": lines, **dict(zip(FEATURES, measured.T, strict=True))})


def best(rows: pd.DataFrame) -> np.ndarray:
    """How likely each defect is, by the law itself: rows x `DEFECTS`."""
    from scipy.stats import norm

    densities = norm.pdf(rows[list(FEATURES)].to_numpy()[:, None, :] - MEANS[None]).prod(axis=2) * np.array(SHARES)
    return densities / densities.sum(axis=1, keepdims=True)
