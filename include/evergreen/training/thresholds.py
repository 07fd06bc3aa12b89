"""Learns the decision threshold of a model: where a metric is best on rows that no model that predicts them was fitted on."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from include.evergreen.config import ModelConfig
from include.evergreen.config.metrics import metrics_of
from include.evergreen.features.columns import PARTITION, TARGET, features_of
from include.evergreen.foundation.errors import DataError
from include.evergreen.serving.inference import one_thread
from include.evergreen.training.fitting import learn
from include.evergreen.training.metrics import Measures, by_sums
from include.evergreen.training.pipeline import Chosen, predict
from include.evergreen.training.tuning import time_folds

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

log = logging.getLogger(__name__)
MOST_CUTS = 1000  # quantiles of the predictions, between which no threshold is tried
LEAST, MOST = 1e-6, 1 - 1e-6  # a threshold is a chance that is neither impossible nor certain


def decision_threshold(model: ModelConfig, rows: pd.DataFrame, chosen: Chosen) -> float | None:
    """Say from which predicted chance on a version calls a row positive; equal rows and an equal choice give an equal answer.

    Besides, what `learn` and `time_folds` raise.

    :param model: the model, as its recipe declares it
    :param rows: the rows of the training frame to fit on; the holdout is not among them
    :param chosen: the estimator and its parameters, with which each fold is fitted
    :returns: the threshold, learned or as declared; None of a regression, which decides nothing
    :raises DataError: when no threshold defines the metric on the rows that were predicted
    """
    if model.task != "classification":
        return None
    asked = model.metrics.learned_threshold
    if asked is None:
        return model.metrics.decision_threshold
    labels, predicted = _out_of_fold(model, rows, chosen, asked.folds)
    threshold = best_threshold(model, asked.best, labels, predicted)
    if threshold is None:
        raise DataError(
            f"{model.name}: metrics.learned_threshold: no threshold defines {asked.best} on the {len(labels)} rows that were predicted out "
            f"of fold: {metrics_of(model)[asked.best].undefined}. Choose a longer train.window, or fewer folds."
        )
    log.info("%s: from %.4f on a row is called positive: %s is best there, out of fold", model.name, threshold, asked.best)
    return threshold


def best_threshold(model: ModelConfig, metric: str, labels: np.ndarray, predicted: np.ndarray) -> float | None:
    """Find the threshold at which a metric of decisions is best: half-way between two neighbouring predictions.

    :param model: the model, whose metrics declare what errors cost
    :param metric: the metric, one of decisions, that is a function of sums
    :param labels: 0 or 1 for each row
    :param predicted: the probability of 1 for each row
    :returns: the threshold, of several that are equally good the one nearest to .5; None when none defines the metric
    """
    import numpy as np

    values = np.unique(predicted)
    if len(values) > MOST_CUTS:
        values = np.unique(np.quantile(predicted, np.linspace(0, 1, MOST_CUTS)))
    cuts = np.concatenate([[LEAST], (values[1:] + values[:-1]) / 2, [MOST]]).clip(LEAST, MOST)
    found: list[tuple[float, float, float]] = []
    sign = metrics_of(model)[metric].sign
    for cut in np.unique(cuts).tolist():
        value = by_sums(Measures(model, cut), metric, labels, predicted)
        if math.isfinite(value):
            found.append((-sign * round(value, 12), abs(cut - 0.5), cut))
    return min(found)[2] if found else None


def _out_of_fold(model: ModelConfig, rows: pd.DataFrame, chosen: Chosen, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions of the newer days, block by block, each predicted by a model that was fitted on the days before it."""
    import numpy as np

    labels, predictions = [], []
    for before, judged_days in time_folds(rows, folds, "metrics.learned_threshold.folds"):
        pipeline = learn(model, rows[rows[PARTITION].isin(before)], chosen)
        judged = rows[rows[PARTITION].isin(judged_days)]
        with one_thread():
            predictions.append(predict(pipeline, model, features_of(judged, model.feature_names)))
        labels.append(judged[TARGET].to_numpy(dtype="float64"))
    return np.concatenate(labels), np.concatenate(predictions)
