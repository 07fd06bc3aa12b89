"""The estimators of each task, and which of them would have told best on the model's own past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from include.evergreen.foundation.span import Span

ESTIMATORS: Final = {"classification": ("pape", "cbpe"), "multiclass": ("pape", "cbpe"), "regression": ("doubly_robust", "direct_loss")}
"""Task -> its estimators. The first is the default; the second does without the density ratio."""
ENOUGH_WINDOWS = 10  # with labels, before anything but the default is chosen
PAST = Span(90, "day")  # that is looked back


@dataclass(frozen=True)
class PastWindow:
    """What was realised of a window, by metric, and what each estimator had told of it, by estimator and metric."""

    realised: Mapping[str, float]
    estimated: Mapping[str, Mapping[str, float]]


def choose_estimator(task: str, past: Sequence[PastWindow]) -> str:
    """Choose by the mean absolute error, in units of the default's, over the metrics.

    :param task: ``classification``, ``multiclass`` or ``regression``
    :param past: earlier windows of the same version whose labels have come
    :returns: the name of the estimator; the default's with fewer than `ENOUGH_WINDOWS` windows, or where no other is better
    """
    default, *others = names = ESTIMATORS[task]
    whole = [window for window in past if all(window.estimated.get(name) for name in names)]
    if len(whole) < ENOUGH_WINDOWS:
        return default
    errors = {name: _errors(name, whole) for name in names}
    compared = [metric for metric, error in errors[default].items() if error > 0 and all(metric in errors[name] for name in others)]
    if not compared:
        return default
    return min(names, key=lambda name: sum(errors[name][metric] / errors[default][metric] for metric in compared))


def _errors(name: str, past: Sequence[PastWindow]) -> dict[str, float]:
    """The mean absolute error of each metric."""
    sizes: dict[str, list[float]] = {}
    for window in past:
        for metric, value in window.estimated[name].items():
            if metric in window.realised:
                sizes.setdefault(metric, []).append(abs(value - window.realised[metric]))
    return {metric: sum(each) / len(each) for metric, each in sizes.items()}
