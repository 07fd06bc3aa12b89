"""Sample weights for fitting: ``train.weights``."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from include.evergreen.config import ModelConfig
from include.evergreen.features.columns import PARTITION, TARGET, feature_column
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import MINUTES, MONTHS, Span

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def row_weights(model: ModelConfig, rows: pd.DataFrame) -> np.ndarray | None:
    """The sample weights that ``train.weights`` declares, of mean 1: so regularisation means what it does without.

    Classes are balanced as scikit-learn's ``compute_sample_weight`` does. Age is counted from the newest day of ``rows``.

    :param model: the model, as its recipe declares it
    :param rows: the rows of the training frame to fit on
    :returns: one weight for each row; None when nothing is declared, and all count the same
    :raises DataError: when ``weights.feature`` is missing, infinite or negative somewhere, or 0 everywhere
    """
    import numpy as np

    declared = model.train.weights
    if declared is None:
        return None
    weights = np.ones(len(rows))
    if declared.classes is not None:
        from sklearn.utils.class_weight import compute_sample_weight

        weights *= compute_sample_weight(declared.classes, rows[TARGET].to_numpy())
    if declared.half_life is not None and len(rows):
        ages = _half_lives(model, list(rows[PARTITION].unique()), declared.half_life)
        weights *= 0.5 ** rows[PARTITION].map(ages).to_numpy(dtype=float)
    if declared.feature is not None:
        values = rows[feature_column(declared.feature)].to_numpy(dtype=float, na_value=np.nan)
        if wrong := int((~np.isfinite(values) | (values < 0)).sum()):
            raise DataError(
                f"{model.name}: {declared.feature}, train.weights.feature, is missing, infinite or negative in {wrong} of {len(rows)} "
                f"rows. Give each row a weight of 0 or more in features.py."
            )
        weights *= values
    if not weights.any():
        raise DataError(
            f"{model.name}: {declared.feature}, train.weights.feature, is 0 in all {len(rows)} rows, so there is nothing to learn."
        )
    scaled: np.ndarray = weights / weights.mean()
    return scaled


def _half_lives(model: ModelConfig, partitions: Sequence[Partition], half_life: Span) -> dict[Partition, float]:
    """How many half-lives older than the newest each partition is: by the time between them, or the partitions that are made."""
    newest, grain, calendar = max(partitions), model.grain, model.calendar
    if half_life.unit == "partition":
        made = calendar.made(min(partitions), newest)
        return {partition: (len(made) - bisect_right(made, partition)) / half_life.amount for partition in partitions}
    if half_life.unit in MONTHS and grain.is_whole(Span(12, "month")):
        lived = grain.partitions_in(Span(12, "month")) * half_life.amount * MONTHS[half_life.unit] / 12
        return {partition: (grain.number(newest) - grain.number(partition)) / lived for partition in partitions}
    length = dt.timedelta(minutes=half_life.amount * MINUTES[half_life.unit])
    return {partition: (grain.begins(newest) - grain.begins(partition)) / length for partition in partitions}
