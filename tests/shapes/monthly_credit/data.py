"""Loans that default do so within three months; the heavier the burden and the higher the unemployment, the more of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import Grain, Partition

MONTH, QUARTER = Grain("month"), Grain("quarter")
ROWS, WITHIN = 60, 3


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    if dataset == "economy":
        return pd.DataFrame({"region": [1, 2], "unemployment": _unemployment(partition)})
    if dataset == "loans":
        return _loans(partition)[["loan", "burden"]]
    granted = pd.concat([_loans(MONTH.shift(partition, -delay)) for delay in range(WITHIN + 1)], ignore_index=True)
    return granted.loc[granted["clear"] == partition, ["loan", "defaulted"]].reset_index(drop=True)


def _loans(month: Partition) -> pd.DataFrame:
    number = MONTH.number(month)
    rng = np.random.default_rng(number)
    burden = rng.normal(size=ROWS)
    economy = np.mean(_unemployment(QUARTER.shift(QUARTER.at(MONTH.start(month)), -1)))
    defaulted = np.where(rng.random(ROWS) < 1 / (1 + np.exp(1 - 3 * burden - 0.5 * (economy - 5))), "yes", "no")
    clear = [MONTH.shift(month, int(delay)) for delay in rng.integers(0, WITHIN + 1, ROWS)]
    return pd.DataFrame({"loan": 1000 * number + np.arange(ROWS), "burden": burden, "defaulted": defaulted, "clear": clear})


def _unemployment(quarter: Partition) -> list[float]:
    level = 5 + 2 * np.sin(QUARTER.number(quarter))
    return [level - 1, level + 1]
