"""A trip brings four euros and two for each kilometre."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Partition

ROWS = 40


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    rng = np.random.default_rng(DAILY.number(partition))
    trip, kilometres = 1000 * DAILY.number(partition) + np.arange(ROWS), rng.gamma(2, 3, ROWS)
    fare = 4 + 2 * kilometres + rng.normal(0, 1, ROWS)
    return pd.DataFrame({"trip": trip, **({"kilometres": kilometres} if dataset == "trips" else {"fare": fare})})
