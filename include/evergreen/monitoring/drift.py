"""Drift scores of a window against the champion's reference sample. `drawing` renders the report.

The score of a number is the Wasserstein distance in standard deviations of the reference; that of a category is the
Jensen-Shannon distance (natural logarithms: 0 is the same, 0.83 nothing in common). A feature that is one value all day long, such as
yesterday's rate of cancellations, is far from its reference by any overlap of histograms, but not by Wasserstein.

Both are computed here as Evidently computes them, without importing it: that takes four seconds in every process, and its run a
third of a second more. A test holds the two together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.evergreen.config import ModelConfig
from include.evergreen.features.columns import PREDICTION, feature_column

if TYPE_CHECKING:
    import pandas as pd

LEAST_DEVIATION = 0.001  # Evidently's: what hardly varies in the reference has no score without end


@dataclass(frozen=True)
class DriftResult:
    """``scores`` holds a distance for each feature that both frames have values of; ``prediction`` is None where one has none of it.

    ``share`` is the share of those features whose score is at or above the threshold of their kind.
    """

    prediction: float | None
    scores: dict[str, float]
    share: float


@dataclass(frozen=True)
class MonitoredColumns:
    """The columns of the stored rows whose drift is measured, by kind; numbers come first, and the prediction before them all."""

    numeric: list[str]
    categorical: list[str]


def measure_drift(model: ModelConfig, reference: pd.DataFrame, current: pd.DataFrame) -> DriftResult:
    """Compare the window with what the version was trained on: the declared features, without personal ones, and ``prediction``.

    Wasserstein's distance (Vaserstein 1969) and Jensen and Shannon's (Lin 1991; Endres and Schindelin 2003), as the module says.

    :param model: whose declared features are compared, and whose thresholds apply
    :param reference: the sample of what the version was trained on, with its predictions
    :param current: the predictions of the window, with their features
    :returns: the scores; what one of the two frames has no value of gets none, and ``share`` is 0 when no feature gets one
    """
    columns = compared_columns(model, reference, current)
    scores = {name: _wasserstein(_known(reference[name]), _known(current[name])) for name in columns.numeric}
    scores |= {name: _jensen_shannon(_known(plain(reference[name])), _known(plain(current[name]))) for name in columns.categorical}
    scores = {name: score for name, score in scores.items() if not math.isnan(score)}
    limits = dict.fromkeys(columns.numeric, model.monitor.numeric_threshold)
    limits |= dict.fromkeys(columns.categorical, model.monitor.categorical_threshold)
    prediction = scores.pop(PREDICTION, None)
    drifted = [score >= limits[name] for name, score in scores.items()]
    feature = {feature_column(name): name for name in model.feature_names}
    by_feature = {feature[column]: score for column, score in scores.items()}
    return DriftResult(prediction, by_feature, sum(drifted) / len(drifted) if drifted else 0.0)


def compared_columns(model: ModelConfig, reference: pd.DataFrame, current: pd.DataFrame) -> MonitoredColumns:
    """Choose the columns to compare: ``prediction`` and the features that are not personal, as far as both frames have a value of them.

    :param model: whose declared features they are, and of what kinds
    :param reference: the sample of what the version was trained on, with its predictions
    :param current: the predictions of the window, with their features
    :returns: the names of their columns, each kind in the order of the declaration
    """
    compared = {feature_column(feature.name): feature.kind for feature in model.features if not feature.personal}
    columns = [PREDICTION, *compared]  # what people look for first stands first
    usable = [name for name in columns if len(_known(reference[name])) and len(_known(current[name]))]
    categorical = [name for name in usable if compared.get(name) == "categorical"]
    return MonitoredColumns([name for name in usable if name not in categorical], categorical)


def plain(column: pd.Series) -> pd.Series:
    """Give a column numpy's types alone, as Evidently wants it; of text, a missing value is a category too.

    :param column: a feature, in whatever type it is stored; it is not changed
    :returns: text as objects, with ``''`` for missing; any other column as it is
    """
    return column.fillna("").astype(object) if column.dtype == "string" else column


def _known(column: pd.Series) -> pd.Series:
    finite = column.replace([-math.inf, math.inf], math.nan) if column.dtype.kind == "f" else column
    return finite.dropna()


def _wasserstein(reference: pd.Series, current: pd.Series) -> float:
    import numpy as np
    from scipy import stats

    return float(stats.wasserstein_distance(reference, current) / max(float(np.std(reference)), LEAST_DEVIATION))


def _jensen_shannon(reference: pd.Series, current: pd.Series) -> float:
    from scipy.spatial import distance

    before, now = dict(reference.value_counts()), dict(current.value_counts())
    names = sorted({*before, *now}, key=str)  # Evidently's order, and with it the last bit, is another in each process
    return float(
        distance.jensenshannon(
            [before.get(name, 0) / len(reference) for name in names], [now.get(name, 0) / len(current) for name in names]
        )
    )
