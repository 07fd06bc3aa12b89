"""A parcel takes the longer, the farther it has to go."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Partition

ROWS = 60


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    rng = np.random.default_rng(DAILY.number(partition))
    parcel, distance = 1000 * DAILY.number(partition) + np.arange(ROWS), rng.gamma(2, 1, ROWS)
    days = 0.5 + 0.7 * distance + rng.normal(0, 0.3, ROWS)
    return pd.DataFrame({"parcel": parcel, **({"distance": distance} if dataset == "parcels" else {"days": days})})
