"""The metrics of gates and monitoring, all from scikit-learn, or to the last bit as it has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.evergreen.config import METRICS, ModelConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

ACCURACY_CUT = 0.5
PROBABILITY_FLOOR = 1e-7


def measure(model: ModelConfig, labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Measure every metric of the model's task.

    :param model: the model whose task says which metrics there are
    :param labels: one float a row: 0 or 1 for a classification, else the target in its own unit
    :param predicted: one float a row: the probability of 1 for a classification, else in the target's unit
    :returns: each metric that the rows define; one that they do not (AUC of a single class) is left out
    """
    measured = {metric: measure_one(metric, labels, predicted) for metric in METRICS[model.task]}
    return {metric: value for metric, value in measured.items() if value is not None}


def measure_one(metric: str, labels: np.ndarray, predicted: np.ndarray) -> float | None:
    """Measure a single metric.

    :param metric: its name, one of `METRICS`
    :param labels: as `measure` takes them
    :param predicted: as `measure` takes them
    :returns: the metric; None where the rows do not define it
    :raises KeyError: when `METRICS` has a metric that nobody has taught this function
    """
    from sklearn import metrics

    if len(labels) == 0 or (metric == "r2" and len(labels) == 1) or (metric == "auc" and len(set(labels.tolist())) != 2):
        return None
    measures: dict[str, Callable[[], float]] = {
        "mae": lambda: metrics.mean_absolute_error(labels, predicted),
        "rmse": lambda: metrics.root_mean_squared_error(labels, predicted),
        "r2": lambda: metrics.r2_score(labels, predicted),
        "auc": lambda: metrics.roc_auc_score(labels, predicted),
        "log_loss": lambda: _log_loss(labels, predicted.clip(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)),
        "brier": lambda: metrics.brier_score_loss(labels, predicted),
        "accuracy": lambda: metrics.accuracy_score(labels, predicted >= ACCURACY_CUT),
    }
    if metric not in measures:
        raise KeyError(f"{metric!r} is not in METRICS; a new metric needs its measure here")
    return float(measures[metric]())


def _log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The metric `sklearn.metrics.log_loss`, to the last bit.

    Of the rows of a slice that one takes 1.9 ms to find out which classes there are, and .01 to measure. A gate has hundreds of slices.
    """
    import numpy as np
    from scipy.special import xlogy

    return float(-xlogy(1.0, np.where(labels == 1, probabilities, 1 - probabilities)).mean())
