"""Shops that are rebuilt all the time: what one takes follows its visitors, and its area by the table that stood when the day ended."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Partition

SHOPS, NOISE = 15, 1.0
DELIVERED_ON = (0, 3)  # Mondays and Thursdays


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    rng = np.random.default_rng(DAILY.number(partition))
    shops = np.arange(SHOPS)
    if dataset == "shops":
        return pd.DataFrame({"shop": shops, "area": _areas(partition)})
    visitors = rng.uniform(1, 5, SHOPS)
    if dataset == "visits":
        return pd.DataFrame({"shop": shops, "visitors": visitors})
    newest = next(day for back in range(7) if DAILY.begins(day := DAILY.shift(partition, -back)).weekday() in DELIVERED_ON)
    return pd.DataFrame({"shop": shops, "taken": 4 * visitors + 3 * _areas(newest) + rng.normal(scale=NOISE, size=SHOPS)})


def _areas(delivery: Partition) -> np.ndarray:
    return np.random.default_rng(DAILY.number(delivery) + 1).uniform(2, 9, SHOPS)
