"""A ride takes three minutes a mile, and longer the later it is in the day. Pickups fill the day, from its midnight to the next."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import Grain, Partition

DAY, ROWS = Grain("day", "America/New_York"), 20


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    rng = np.random.default_rng(DAY.number(partition))
    hours_in = rng.random(ROWS) * (DAY.end(partition) - DAY.start(partition)).total_seconds() / 3600
    miles = rng.gamma(2, 2, ROWS)
    ride = 100 * DAY.number(partition) + np.arange(ROWS)
    if dataset == "durations":
        return pd.DataFrame({"ride": ride, "minutes": 5 + 3 * miles + 0.5 * hours_in + rng.normal(0, 1, ROWS)})
    pickup = pd.Timestamp(DAY.start(partition)) + pd.to_timedelta(hours_in, unit="h").floor("s")
    return pd.DataFrame({"ride": ride, "pickup": pickup, "miles": miles})
