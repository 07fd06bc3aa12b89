"""The more pieces an order has, the more likely is a complaint about it, and so about each of its two lines."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Partition

ORDERS = 40


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    rng = np.random.default_rng(DAILY.number(partition))
    order, pieces = 1000 * DAILY.number(partition) + np.arange(ORDERS), rng.integers(1, 20, ORDERS)
    complained = rng.random(ORDERS) < 1 / (1 + np.exp(0.5 * (10 - pieces)))
    if dataset == "complaints":
        return pd.DataFrame({"order": order.astype(str), "complained": complained})
    return pd.DataFrame({"order": np.repeat(order, 2), "line": np.tile([1, 2], ORDERS), "pieces": np.repeat(pieces, 2)})
