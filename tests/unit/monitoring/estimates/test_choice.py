"""The estimator that told best of the windows whose labels have come is the one that is observed."""

from __future__ import annotations

import pytest

from include.evergreen.monitoring.estimates.choice import ENOUGH_WINDOWS, ESTIMATORS, PastWindow, choose_estimator

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

TASKS = pytest.mark.parametrize("task", list(ESTIMATORS))


def past(task: str, count: int, *, default: float, other: float) -> list[PastWindow]:
    """Windows of which the two estimators were so far off."""
    first, second = ESTIMATORS[task]
    return [PastWindow({"m": 1.0, "n": 10.0}, {first: {"m": 1 + default}, second: {"m": 1 + other, "n": 0.0}}) for _ in range(count)]


@TASKS
def test_the_default_counts_until_there_is_enough_of_a_past(task: str) -> None:
    assert choose_estimator(task, []) == ESTIMATORS[task][0]
    assert choose_estimator(task, past(task, ENOUGH_WINDOWS - 1, default=0.5, other=0.1)) == ESTIMATORS[task][0]


@TASKS
def test_then_it_is_the_one_that_told_best_by_the_metrics_that_both_told(task: str) -> None:
    default, other = ESTIMATORS[task]
    assert choose_estimator(task, past(task, ENOUGH_WINDOWS, default=0.5, other=-0.1)) == other
    assert choose_estimator(task, past(task, ENOUGH_WINDOWS, default=0.1, other=-0.5)) == default


@TASKS
def test_one_that_is_as_good_as_the_default_does_not_replace_it(task: str) -> None:
    assert choose_estimator(task, past(task, ENOUGH_WINDOWS, default=0.2, other=0.2)) == ESTIMATORS[task][0]
    assert choose_estimator(task, past(task, ENOUGH_WINDOWS, default=0.0, other=0.0)) == ESTIMATORS[task][0]


@TASKS
def test_windows_that_only_one_of_them_estimated_say_nothing(task: str) -> None:
    windows = [PastWindow({"m": 1.0}, {ESTIMATORS[task][1]: {"m": 1.0}})] * ENOUGH_WINDOWS
    assert choose_estimator(task, windows) == ESTIMATORS[task][0]
