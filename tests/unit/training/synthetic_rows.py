"""Synthetic training frames, and models that are trained on them without a home: for tests of fitting and tuning alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from include.evergreen.config import ModelConfig
from include.evergreen.config.models import Feature
from include.evergreen.config.training import Train
from include.evergreen.foundation.grain import DAILY

FEATURES = (
    Feature(name="carrier", kind="categorical", description="Airline"),
    Feature(name="hour", kind="numeric", description="Hour of departure"),
    Feature(name="noise", kind="numeric", description="Nothing of use"),
    Feature(name="importance", kind="numeric", description="A weight"),
)
RIDGE = "sklearn.linear_model.Ridge"
LOGISTIC = "sklearn.linear_model.LogisticRegression"
BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"


def synthetic_rows(*, days: int = 12, rows_a_day: int = 60, is_classified: bool = True) -> pd.DataFrame:
    """A training frame: lateness follows the hour and the carrier; ``target`` is 0/1, or the minutes."""
    random = np.random.default_rng(7)
    count = days * rows_a_day
    carrier, hour = random.integers(0, 3, count), random.integers(5, 23, count).astype(float)
    minutes = 3 * (hour - 14) + 10 * carrier + random.normal(0, 12, count)
    first = "2013-01-01"
    return pd.DataFrame(
        {
            "partition": [str(DAILY.shift(first, n // rows_a_day)) for n in range(count)],
            "carrier": pd.array(np.array(["AA", "B6", "UA"])[carrier], dtype="string"),
            "hour": hour,
            "noise": random.normal(0, 1, count),
            "importance": random.uniform(0.5, 2, count),
            "target": (minutes > 15).astype(float) if is_classified else minutes,
        }
    )


def synthetic_model(model: ModelConfig, **train: Any) -> ModelConfig:
    """``model`` with these features, and ``train`` declared anew with these keys."""
    declared = Train.model_validate({"window": "30 days", "min_history": "14 days", **train})
    return model.model_copy(update={"features": FEATURES, "train": declared})
