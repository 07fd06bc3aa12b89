"""Formats figures for a card, and explains metrics for readers without statistics."""

from __future__ import annotations

METRIC_WORDS = {
    "auc": "How often a positive row gets a higher probability than a negative one: 0.5 is random, 1 is perfect.",
    "log_loss": "The mean penalty on predicted probabilities: 0 is perfect; confident errors cost most.",
    "brier": "The mean squared difference between the probability and the outcome (0 or 1): 0 is perfect.",
    "accuracy": "How often the outcome it calls more probable is the one that happens.",
    "mae": "The mean size of its errors, in the target's unit.",
    "rmse": "The typical size of its errors, large ones weighing more, in the target's unit.",
    "r2": "The share of the target's variance that it explains: 1 is all, 0 is no better than predicting the mean.",
}
SCORED_BY = {"auc": "AUC", "brier": "the Brier score", "mae": "the mean absolute error"}


def figure(value: float) -> str:
    """A number for people: four significant digits, whole numbers without decimals, thousands with commas."""
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.4g}" if abs(value) >= 1e-3 else f"{value:.2g}"


def short(value: float) -> str:
    """A round number, as an axis has it."""
    return f"{value:.4g}"


def share(value: float) -> str:
    """A share as per cent."""
    return f"{value:.1%}"


def interval(found: tuple[float, float] | list[float] | None) -> str:
    return f"{figure(found[0])} to {figure(found[1])}" if found else ""


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
