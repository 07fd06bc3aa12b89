"""The names of metrics in gates, rules and observations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from include.evergreen.config.models import ModelConfig

Better = Literal["higher", "lower"]

METRICS: Final[dict[str, dict[str, Better]]] = {
    "classification": {"auc": "higher", "log_loss": "lower", "brier": "lower", "accuracy": "higher"},
    "regression": {"mae": "lower", "rmse": "lower", "r2": "higher"},
}
"""Task -> metric -> the direction that is better."""


def observation_names(model: ModelConfig) -> list[str]:
    """What a rule of this model may watch; the general ones first."""
    return [
        "drift.share",
        *(f"performance.{metric}" for metric in METRICS[model.task]),
        "quality.quarantined_share",
        "prediction_drift.score",
        *(f"drift.{feature.name}" for feature in model.features),
    ]
