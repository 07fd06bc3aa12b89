"""Drift of a window against the champion's reference, measured and drawn by Evidently.

The score of a number is the Wasserstein distance in standard deviations of the reference; that of a category is the
Jensen-Shannon distance, 0 (the same) to 1 (nothing in common). A feature that is one value all day long, such as
yesterday's rate of cancellations, is far from its reference by any overlap of histograms, but not by Wasserstein.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.evergreen.config import ModelConfig

if TYPE_CHECKING:
    import pandas as pd

NUMERIC_METHOD = "wasserstein"
CATEGORICAL_METHOD = "jensenshannon"
PREDICTION = "prediction"


@dataclass(frozen=True)
class DriftResult:
    """``scores`` holds a distance for each feature that both frames have values of, and for ``prediction``.

    ``share`` is the share of those features whose score is at or above the threshold of their kind.
    """

    scores: dict[str, float]
    share: float
    html: str


def measure_drift(model: ModelConfig, reference: pd.DataFrame, current: pd.DataFrame) -> DriftResult:
    """Compare ``current`` with ``reference``: the declared features, without personal ones, and ``prediction``."""
    from evidently import DataDefinition, Dataset, Report

    columns = [PREDICTION, *(feature.name for feature in model.features if not feature.personal)]  # what people look for first stands first
    usable = [name for name in columns if reference[name].notna().any() and current[name].notna().any()]
    categorical = [feature.name for feature in model.features if feature.kind == "categorical" and feature.name in usable]
    numeric = [name for name in usable if name not in categorical]
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = Report(_metrics(model, numeric, categorical)).run(
            current_data=Dataset.from_pandas(_plain(current[usable]), definition),
            reference_data=Dataset.from_pandas(_plain(reference[usable]), definition),
        )
    scores = _scores(run.dict())
    thresholds = {name: model.monitor.categorical_threshold if name in categorical else model.monitor.numeric_threshold for name in usable}
    drifted = [scores[name] >= thresholds[name] for name in scores if name != PREDICTION]
    return DriftResult(scores, sum(drifted) / len(drifted) if drifted else 0.0, run.get_html_str(as_iframe=False))


def _metrics(model: ModelConfig, numeric: list[str], categorical: list[str]) -> list[Any]:
    from evidently.metrics import ValueDrift

    limits = model.monitor
    return [
        *(ValueDrift(column=name, method=NUMERIC_METHOD, threshold=limits.numeric_threshold) for name in numeric),
        *(ValueDrift(column=name, method=CATEGORICAL_METHOD, threshold=limits.categorical_threshold) for name in categorical),
    ]


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Evidently knows numpy's types alone."""
    text = [name for name in frame.columns if frame[name].dtype == "string"]
    return frame.assign(**{name: frame[name].fillna("").astype(object) for name in text})


def _scores(run: dict[str, Any]) -> dict[str, float]:
    scores = {}
    for metric in run["metrics"]:
        value = float(metric["value"])
        if not math.isnan(value):
            scores[metric["config"]["column"]] = value
    return scores
