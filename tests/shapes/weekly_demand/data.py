"""A shop sells the more the larger it is, the more it takes off, and the less a piece cost in the week before."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Grain, Partition, starting_within

WEEK, SHOPS = Grain("week"), np.arange(15)


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    if dataset == "prices":
        return pd.DataFrame({"shop": SHOPS, "price": _prices(partition)})
    rng = np.random.default_rng(WEEK.number(partition))
    discount = rng.uniform(0, 0.5, len(SHOPS))
    if dataset == "plans":
        return pd.DataFrame({"shop": SHOPS, "discount": discount})
    days = starting_within(DAILY, WEEK, WEEK.shift(partition, -1))
    price = np.mean([_prices(day) for day in days], axis=0)
    return pd.DataFrame({"shop": SHOPS, "sold": 100 + 10 * SHOPS + 80 * discount - 20 * price + rng.normal(0, 2, len(SHOPS))})


def _prices(day: Partition) -> np.ndarray:
    return np.random.default_rng(DAILY.number(day)).normal(3, 0.5, len(SHOPS))
