"""A load stays near its meter's own, and follows that of the half-hour before."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import Grain, Partition

HALF_HOUR, METERS = Grain("30min"), np.arange(10)


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    if dataset == "meters":
        return pd.DataFrame({"meter": METERS, "load": _loads(partition)})
    return pd.DataFrame({"meter": METERS, "next_load": _loads(HALF_HOUR.shift(partition, 1))})


def _loads(partition: Partition) -> np.ndarray:
    number = HALF_HOUR.number(partition)
    return 5 + 2 * METERS + 3 * np.sin(number / 24) + np.random.default_rng(number).normal(0, 0.3, len(METERS))
