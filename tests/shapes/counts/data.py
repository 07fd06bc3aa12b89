"""Calls are drawn from a Poisson distribution, whose mean depends on the hour and on whether a campaign runs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Partition

HOTLINES, HOURS = 20, np.array([8, 12, 16, 20])


def frame(dataset: str, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition."""
    rng = np.random.default_rng(DAILY.number(partition))
    hotline, hour = np.repeat(np.arange(HOTLINES), len(HOURS)), np.tile(HOURS, HOTLINES)
    campaign = rng.random(len(hour)) < 0.3
    calls = rng.poisson(np.array([5, 20, 30, 10])[np.searchsorted(HOURS, hour)] * np.where(campaign, 2, 1))
    return pd.DataFrame({"hotline": hotline, "hour": hour, **({"campaign": campaign} if dataset == "shifts" else {"calls": calls})})
