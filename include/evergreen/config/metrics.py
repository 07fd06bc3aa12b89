"""The names of metrics in gates, rules and observations."""

from __future__ import annotations

from math import inf, log, sqrt
from typing import TYPE_CHECKING, Final, Literal

from include.evergreen.foundation.apart import set_apart

if TYPE_CHECKING:
    from include.evergreen.config.models import ModelConfig

Better = Literal["higher", "lower"]

METRICS: Final[dict[str, dict[str, Better]]] = {
    "classification": {"auc": "higher", "log_loss": "lower", "brier": "lower", "accuracy": "higher"},
    "regression": {"mae": "lower", "rmse": "lower", "r2": "higher"},
}
"""Task -> metric -> the direction that is better."""

RANGES: Final[dict[str, tuple[float, float]]] = {
    "auc": (0, 1),
    "log_loss": (0, inf),
    "brier": (0, 1),
    "accuracy": (0, 1),
    "mae": (0, inf),
    "rmse": (0, inf),
    "r2": (-inf, 1),
}
"""Metric -> the lowest and the highest value that it can have."""
JENSEN_SHANNON: Final = (0, sqrt(log(2)))  # of the distance, by natural logarithms: the same, and nothing in common


def drift_name(feature: str) -> str:
    """Name the observation of a feature's drift.

    :param feature: its name, as model.yaml declares it
    :returns: ``drift.FEATURE``; ``drift.feature:share`` of a feature called ``share``, as ``drift.share`` is that of drifted features
    """
    return f"drift.{set_apart(feature, is_ours=feature == 'share')}"


def observation_range(model: ModelConfig, name: str) -> tuple[float, float]:
    """Say between which values an observation can lie, so that a rule that can never be met is refused.

    :param model: the model as it is declared, whose features' kinds decide
    :param name: one of `observation_names`
    :returns: the lowest and the highest value; infinite where there is no bound
    """
    group, _, rest = name.partition(".")
    if group == "performance":
        return RANGES[rest]
    if name in ("drift.share", "quality.quarantined_share"):
        return 0, 1
    categorical = {drift_name(feature.name) for feature in model.features if feature.kind == "categorical"}
    return JENSEN_SHANNON if name in categorical else (0, inf)


def observation_names(model: ModelConfig) -> list[str]:
    """List what a rule of a model may watch.

    :param model: the model as it is declared, whose task and features decide
    :returns: the names, those that every model of its task has first, then the drift of each feature
    """
    return [
        "drift.share",
        *(f"performance.{metric}" for metric in METRICS[model.task]),
        "quality.quarantined_share",
        "prediction_drift.score",
        *(drift_name(feature.name) for feature in model.features),
    ]
