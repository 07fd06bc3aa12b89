"""A batch takes energy by its weight and its furnace, and more the later in the shift it begins. Batches fill the shift."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import Grain, Partition

SHIFT, ROWS = Grain("0 6,18 * * *", "Europe/Berlin"), 20


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    rng = np.random.default_rng(SHIFT.number(partition))
    hours_in = rng.random(ROWS) * (SHIFT.end(partition) - SHIFT.start(partition)).total_seconds() / 3600
    kilos, furnace = rng.gamma(4, 5, ROWS), np.arange(ROWS) % 4
    batch = 100 * SHIFT.number(partition) + np.arange(ROWS)
    if dataset == "consumption":
        kwh = 40 + 10 * furnace + 3 * kilos + 2 * hours_in + rng.normal(0, 1, ROWS)
        return pd.DataFrame({"batch": batch, "furnace": furnace, "kwh": kwh})
    begins = pd.Timestamp(SHIFT.start(partition)) + pd.to_timedelta(hours_in, unit="h").floor("s")
    return pd.DataFrame({"batch": batch, "furnace": furnace, "begins": begins, "kilos": kilos})
