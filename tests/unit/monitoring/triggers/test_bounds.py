"""What an observation is compared with: a figure, a share of that at promotion, or what its version's first windows show as usual."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from include.evergreen.config.calendar import DAYS
from include.evergreen.config.monitoring import Rule
from include.evergreen.monitoring import Observation, record_observations
from include.evergreen.monitoring.triggers import bounds
from include.evergreen.monitoring.triggers.bounds import LEAST_OTHERS, bounds_of, learned_bound, live_bounds
from include.evergreen.monitoring.triggers.rules import evaluate
from tests.unit.flights import january

LEARNED = Rule(metric="performance.mae", above="learned")
RELATIVE = Rule(metric="performance.auc", below=0.95, relative_to="promotion", k=1, n=1)


def observed(day: int, value: float, metric: str = "performance.mae", *, version: int = 1, rows: int = 900) -> Observation:
    return Observation("air_time", january(day), metric, value, version, "live", rows)


def usual(count: int, *, seed: int = 0) -> list[Observation]:
    chance = random.Random(seed)
    return [observed(day, chance.gauss(10, 1)) for day in range(1, count + 1)]


def test_a_learned_bound_is_passed_by_chance_about_once_in_a_hundred_windows() -> None:
    chance, passed, trials = random.Random(1), 0, 4000
    for _ in range(trials):
        bound = learned_bound(LEARNED, [observed(1, chance.gauss(0, 1)) for _ in range(14)])
        assert bound is not None
        passed += chance.gauss(0, 1) > bound
    assert 0.008 < passed / trials < 0.022


def test_it_is_learned_of_enough_windows_and_each_window_is_judged_without_itself() -> None:
    windows = usual(LEAST_OTHERS)
    assert learned_bound(LEARNED, windows) is not None
    assert learned_bound(LEARNED, windows[1:]) is None
    odd = [*windows[:-1], observed(LEAST_OTHERS, 16.0), observed(LEAST_OTHERS + 1, 10.0)]
    of = bounds_of("air_time", LEARNED, lambda version: odd)
    found = [of(each) for each in odd]
    assert [each.value > (bound or 0) for each, bound in zip(odd, found, strict=True)] == [False] * (LEAST_OTHERS - 1) + [True, False]
    assert found[-1] is not None and found[-1] < 15, "an odd window at the beginning hides none after it"


@pytest.mark.parametrize(("rule", "sign"), [(LEARNED, 1), (Rule(metric="performance.auc", below="learned"), -1)])
def test_what_falls_is_learned_as_what_rises(rule: Rule, sign: int) -> None:
    windows = [observed(day, sign * each.value) for day, each in enumerate(usual(14), start=1)]
    bound = learned_bound(rule, windows)
    assert bound is not None
    assert bound * sign == pytest.approx(learned_bound(LEARNED, usual(14)))
    assert sign * bound > max(sign * each.value for each in windows)


def test_windows_that_never_differ_are_passed_by_any_that_does() -> None:
    windows = [observed(day, 0.0) for day in range(1, 15)]
    judged = [*windows, observed(15, 0.0)]
    assert evaluate(LEARNED, judged, DAYS, bounds_of("air_time", LEARNED, lambda version: windows)) is None
    judged[-1] = observed(15, 0.01)
    assert evaluate(LEARNED, judged, DAYS, bounds_of("air_time", LEARNED, lambda version: windows)) is not None


@pytest.mark.usefixtures("home")
def test_it_is_learned_from_the_first_live_windows_of_the_version_that_is_judged_and_the_evidence_says_the_bound() -> None:
    rule = Rule(metric="performance.mae", above="learned", learn_from=8, min_rows=100)
    for day in range(1, 21):
        version = 1 if day < 11 else 2
        value = 100.0 if version == 1 else 10.0 + day % 3
        rows = 9 if day == 12 else 900
        record_observations("air_time", january(day), [observed(day, value, version=version, rows=rows)])
    judged = observed(21, 30.0, version=2)
    record_observations("air_time", january(21), [judged])
    of = live_bounds("air_time", rule)
    expected = learned_bound(rule, [observed(day, 10.0 + day % 3, version=2) for day in (11, *range(13, 20))])
    assert of(judged) == expected
    evidence = evaluate(rule, [judged], DAYS, of)
    assert evidence is not None and expected is not None
    assert evidence.message == f"performance.mae>learned (1 of 1): 2013-01-21: 30.000 (bound {expected:.3f})"
    assert (evidence.bound, evidence.observations[0]["bound"]) == (expected, expected)


def test_a_share_is_of_what_the_version_was_promoted_by(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = {1: {"auc": 0.8}, 2: {"auc": 0.6}, 3: {}, 4: {"auc": -0.2}}
    monkeypatch.setattr(bounds.champions, "version_number", lambda model, version: SimpleNamespace(metrics=metrics[version]))
    of = bounds_of("air_time", RELATIVE, lambda version: [])
    figures = {version: observed(1, 0.65, "performance.auc", version=version) for version in metrics}
    assert of(figures[1]) == pytest.approx(0.76)
    assert of(figures[2]) == pytest.approx(0.57)
    assert (of(figures[3]), of(figures[4])) == (None, None), "of nothing, and of a figure below 0, a share says nothing"
    estimated = Rule(metric="estimated.auc", below=0.95, relative_to="promotion")
    assert bounds_of("air_time", estimated, lambda version: [])(figures[1]) == pytest.approx(0.76)
    tripped = {version for version, figure in figures.items() if evaluate(RELATIVE, [figure], DAYS, of)}
    assert tripped == {1}
    assert RELATIVE.name == "performance.auc<0.95 x at promotion (1 of 1)"
