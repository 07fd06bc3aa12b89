"""How a card writes figures, and what it calls things for people who know no statistics."""

from __future__ import annotations

METRIC_WORDS = {
    "auc": "How often a row that came true was given a greater chance than one that did not: 0.5 is a coin's, 1 is perfect.",
    "log_loss": "How surprised it is by what comes, on average: 0 is never; a confident error costs most.",
    "brier": "The mean squared distance between the chance it gives and what came (0 or 1): 0 is perfect.",
    "accuracy": "How often the more probable outcome by its word is the one that came.",
    "mae": "By how much it is off, on average, in the target's unit.",
    "rmse": "By how much it is off, large errors weighing more, in the target's unit.",
    "r2": "The share of the target's variance that it explains: 1 is all, 0 is no better than always saying the mean.",
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
