"""The figures that gates and monitors judge by, each scikit-learn's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.evergreen.config import ModelConfig

if TYPE_CHECKING:
    import numpy as np

ACCURACY_CUT = 0.5
PROBABILITY_FLOOR = 1e-7


def measure(model: ModelConfig, truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Each metric of the model's task; those that the rows do not define (AUC of one class) are left out.

    ``truth`` and ``predicted`` are floats, one a row; for a classification 0/1 and the probability of 1.
    """
    from sklearn import metrics

    if len(truth) == 0:
        return {}
    if model.task == "regression":
        return {
            "mae": float(metrics.mean_absolute_error(truth, predicted)),
            "rmse": float(metrics.root_mean_squared_error(truth, predicted)),
            **({"r2": float(metrics.r2_score(truth, predicted))} if len(truth) > 1 else {}),
        }
    clipped = predicted.clip(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    both_classes = len(set(truth.tolist())) == 2
    return {
        **({"auc": float(metrics.roc_auc_score(truth, predicted))} if both_classes else {}),
        "log_loss": float(metrics.log_loss(truth, clipped, labels=[0.0, 1.0])),
        "brier": float(metrics.brier_score_loss(truth, predicted)),
        "accuracy": float(metrics.accuracy_score(truth, predicted >= ACCURACY_CUT)),
    }
