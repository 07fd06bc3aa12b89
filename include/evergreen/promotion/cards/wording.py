"""Formats figures for a card."""

from __future__ import annotations

SCORED_BY = {"auc": "AUC", "brier": "the Brier score", "log_loss": "log loss", "mae": "the mean absolute error"}


def figure(value: float) -> str:
    """A number for people: four significant digits, whole numbers without decimals, thousands with commas.

    :param value: finite
    :returns: such as ``0.1235``, ``12`` or ``1,234``
    """
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.4g}" if abs(value) >= 1e-3 else f"{value:.2g}"


def share(value: float) -> str:
    """A share as per cent.

    :param value: from 0 to 1
    :returns: such as ``12.3%``, with one decimal
    """
    return f"{value:.1%}"


def interval(bounds: tuple[float, float] | list[float] | None) -> str:
    """The two ends of an interval, in words.

    :param bounds: the lower and the upper end
    :returns: such as ``1.2 to 3.4``; empty where there is no interval
    """
    return f"{figure(bounds[0])} to {figure(bounds[1])}" if bounds else ""


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """A number with its noun.

    :param count: how many there are
    :param noun: in the singular
    :param nouns: the plural, where it takes more than an s
    :returns: such as ``1 row`` or ``2,000 rows``
    """
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"
