"""Payments by the hour; those that are charged back are so within two days, the more likely the larger they are."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Grain, Partition, starting_within

HOUR, ROWS = Grain("hour"), 12
WITHIN = 2


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    if dataset == "payments":
        return _payments(partition)[["payment", "amount"]]
    days = [DAILY.shift(partition, -delay) for delay in range(WITHIN + 1)]
    paid = pd.concat([_payments(hour) for day in days for hour in starting_within(HOUR, DAILY, day)], ignore_index=True)
    told = paid[paid["disputed"] & (paid["told"] == partition)]
    return told[["payment"]].assign(disputed=True).reset_index(drop=True)


@cache  # and nobody changes it
def _payments(hour: Partition) -> pd.DataFrame:
    rng, number = np.random.default_rng(HOUR.number(hour)), HOUR.number(hour)
    amount = rng.normal(size=ROWS)
    disputed = rng.random(ROWS) < 1 / (1 + np.exp(1.5 - 3 * amount))
    told = [DAILY.shift(DAILY.at(HOUR.start(hour)), int(delay)) for delay in rng.integers(0, WITHIN + 1, ROWS)]
    return pd.DataFrame({"payment": 100 * number + np.arange(ROWS), "amount": amount, "disputed": disputed, "told": told})
