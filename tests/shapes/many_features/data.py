"""Of two hundred sensors, the first three tell of a failure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Partition

ROWS, SENSORS = 100, 200


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    rng = np.random.default_rng(DAILY.number(partition))
    sensors = rng.normal(size=(ROWS, SENSORS))
    failed = (rng.random(ROWS) < 1 / (1 + np.exp(-3 * sensors[:, :3].sum(axis=1)))).astype("int64")
    values = {f"sensor_{number + 1:03}": sensors[:, number] for number in range(SENSORS)} if dataset == "machines" else {"failed": failed}
    return pd.DataFrame({"machine": np.arange(ROWS), **values})
