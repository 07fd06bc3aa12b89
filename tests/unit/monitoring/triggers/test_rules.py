from __future__ import annotations

import pytest

from include.evergreen.config.calendar import DAYS
from include.evergreen.config.monitoring import Rule
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring import Observation
from include.evergreen.monitoring.triggers.bounds import bounds_of
from include.evergreen.monitoring.triggers.rules import RuleEvidence, evaluate
from tests.unit.flights import january

ABOVE = Rule(metric="performance.mae", above=20, k=2, n=3)
BELOW = Rule(metric="performance.auc", below=0.6, k=1, n=1)


def test_no_observation_trips_nothing() -> None:
    assert _judge(ABOVE, []) is None


@pytest.mark.parametrize(
    ("values", "trips"),
    [
        ([30], False),  # one of the two that it takes
        ([30, 30], True),
        ([30, 10, 30], True),
        ([10, 30, 30], True),
        ([30, 30, 10], False),  # the newest must be among them
        ([30, 10, 10, 30], False),  # the first is older than the last three
        ([30, 30, 10, 30], True),
        ([20, 20, 20], False),  # at the bound is not above it
        ([10, 10, 10], False),
    ],
)
def test_a_rule_trips_when_k_of_the_last_n_breach_the_newest_among_them(values: list[float], trips: bool) -> None:
    assert (_evaluate(ABOVE, *values) is not None) == trips


@pytest.mark.parametrize(("value", "trips"), [(0.59, True), (0.6, False), (0.61, False)])
def test_a_rule_may_watch_for_what_falls(value: float, trips: bool) -> None:
    assert (_evaluate(BELOW, value) is not None) == trips


def test_the_evidence_holds_every_figure_that_was_judged_and_which_breach() -> None:
    evidence = _evaluate(ABOVE, 99, 25, 10, 30)
    assert evidence is not None
    assert [(each["partition"], each["value"], each["breaches"]) for each in evidence.observations] == [
        ("2013-01-02", 25, True),
        ("2013-01-03", 10, False),
        ("2013-01-04", 30, True),
    ]
    assert (evidence.rule, evidence.bound, evidence.as_of) == (ABOVE.name, 20, january(4))
    assert evidence.message == "performance.mae>20 (2 of 3): 2013-01-02: 25.000, 2013-01-04: 30.000"


def test_backfilled_observations_never_trip_a_rule() -> None:
    assert _judge(ABOVE, [_observed(day, 30, origin="backfill") for day in range(1, 10)]) is None


def test_nor_do_they_count_among_live_ones() -> None:
    observed = [_observed(1, 30), _observed(2, 30, origin="backfill"), _observed(3, 10), _observed(4, 30)]
    evidence = _judge(ABOVE, observed)
    assert evidence is not None
    assert [each["partition"][-1] for each in evidence.observations] == ["1", "3", "4"]
    assert _judge(ABOVE, [*observed[:3], _observed(4, 30, origin="backfill")]) is None


def test_a_new_version_is_not_judged_by_its_predecessors_figures() -> None:
    predecessors = [_observed(day, 30, version=1) for day in (1, 2, 3)]
    assert _judge(ABOVE, [*predecessors, _observed(4, 30, version=2)]) is None
    evidence = _judge(ABOVE, [*predecessors, _observed(4, 30, version=2), _observed(5, 30, version=2)])
    assert evidence is not None
    assert (evidence.version, [each["partition"][-1] for each in evidence.observations]) == (2, ["4", "5"])


@pytest.mark.parametrize(("days", "trips"), [((1, 14, 15), True), ((2, 15), True), ((1, 15), False)])
def test_breaches_that_lie_too_far_apart_do_not_count_together(days: tuple[int, ...], trips: bool) -> None:
    rule = ABOVE.model_copy(update={"within": Span(14, "day")})
    evidence = _judge(rule, [_observed(day, 30) for day in days])
    assert (evidence is not None) == trips
    assert rule.name == "performance.mae>20 (2 of 3 within 14 days)"


def test_an_observation_over_few_rows_does_not_count_not_even_as_the_newest() -> None:
    rule = ABOVE.model_copy(update={"min_rows": 100})
    observed = [_observed(1, 30), _observed(2, 30), _observed(3, 10, rows=99)]
    evidence = _judge(rule, observed)
    assert evidence is not None
    assert evidence.as_of == january(2)
    assert _judge(rule, [_observed(1, 30), _observed(2, 30, rows=99)]) is None


def _judge(rule: Rule, observed: list[Observation]) -> RuleEvidence | None:
    return evaluate(rule, observed, DAYS, bounds_of("air_time", rule, lambda version: observed))


def _evaluate(rule: Rule, *values: float) -> RuleEvidence | None:
    return _judge(rule, [_observed(day, value) for day, value in enumerate(values, start=1)])


def _observed(day: int, value: float, *, origin: str = "live", version: int = 1, rows: int = 900) -> Observation:
    return Observation("air_time", january(day), "performance.mae", value, version, origin, rows)
