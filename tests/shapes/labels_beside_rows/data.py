"""The more often customers call, the more of them leave. Who has left is told a month later, in the same table."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import Grain, Partition

MONTH, ROWS = Grain("month"), 80
TOLD_AFTER = dt.timedelta(days=31)  # of the month's end


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition at first."""
    return later(dataset, partition).assign(left=pd.array([pd.NA] * ROWS, dtype="string"))


def later(_dataset: str, partition: Partition) -> pd.DataFrame:
    """What it has of it once labels are told."""
    rng = np.random.default_rng(MONTH.number(partition))
    calls = rng.normal(5, 2, ROWS)
    left = np.where(rng.random(ROWS) < 1 / (1 + np.exp(1.5 * (6 - calls))), "yes", "no")
    return pd.DataFrame({"customer": [f"C{number:04}" for number in range(ROWS)], "calls": calls, "left": left})
