"""The metrics of gates and monitoring, all from scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.evergreen.config import METRICS, ModelConfig

if TYPE_CHECKING:
    import numpy as np

ACCURACY_CUT = 0.5
PROBABILITY_FLOOR = 1e-7


def measure(model: ModelConfig, labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Each metric of the model's task; those that the rows do not define (AUC of one class) are left out.

    ``labels`` and ``predicted`` are floats, one a row; for a classification 0/1 and the probability of 1.
    """
    found = {metric: measure_one(metric, labels, predicted) for metric in METRICS[model.task]}
    return {metric: value for metric, value in found.items() if value is not None}


def measure_one(metric: str, labels: np.ndarray, predicted: np.ndarray) -> float | None:
    """A metric (of `METRICS`), as `measure` has it; None where the rows do not define it."""
    from sklearn import metrics

    if len(labels) == 0 or (metric == "r2" and len(labels) == 1) or (metric == "auc" and len(set(labels.tolist())) != 2):
        return None
    match metric:
        case "mae":
            value = metrics.mean_absolute_error(labels, predicted)
        case "rmse":
            value = metrics.root_mean_squared_error(labels, predicted)
        case "r2":
            value = metrics.r2_score(labels, predicted)
        case "auc":
            value = metrics.roc_auc_score(labels, predicted)
        case "log_loss":
            value = metrics.log_loss(labels, predicted.clip(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR), labels=[0.0, 1.0])
        case "brier":
            value = metrics.brier_score_loss(labels, predicted)
        case "accuracy":
            value = metrics.accuracy_score(labels, predicted >= ACCURACY_CUT)
        case _:
            raise KeyError(f"{metric!r} is not in METRICS; a new metric needs its measure here")
    return float(value)
