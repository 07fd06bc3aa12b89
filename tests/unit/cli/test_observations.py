from __future__ import annotations

import json

import pytest

from include.evergreen.monitoring import Observation, record_observations
from include.evergreen.monitoring.estimates.records import RecordedEstimate, record_estimates
from tests.unit.cli.conftest import Ask
from tests.unit.flights import january

MODEL = "air_time"
METRICS = ("drift.carrier", "drift.share", "performance.mae")


@pytest.fixture
def observed(home: None) -> None:
    """Ten days of three figures."""
    for day in range(1, 11):
        figures = [Observation(MODEL, january(day), metric, day / 8, 1, "live", 900) for metric in METRICS]
        record_observations(MODEL, january(day), figures)


def days_of(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines() if line.strip().startswith("2013-")]


def test_what_was_observed_is_listed_with_what_it_is_about(ask: Ask, observed: None) -> None:
    answer = ask("observations", MODEL)
    assert answer.code == 0
    assert ["2013-01-10", "drift.carrier", "1.2500", "1", "live", "900"] in [line.split() for line in answer.out.splitlines()]


def test_it_shows_the_newest_week_unless_it_is_asked_for_more(ask: Ask, observed: None) -> None:
    assert list(dict.fromkeys(days_of(ask("observations", MODEL).out))) == [f"2013-01-{day:02}" for day in range(10, 3, -1)]
    assert set(days_of(ask("observations", MODEL, "--from", "2013-01-01").out)) == {f"2013-01-{day:02}" for day in range(1, 11)}


def test_a_range_has_both_its_ends(ask: Ask, observed: None) -> None:
    out = ask("observations", MODEL, "--from", "2013-01-02", "--to", "2013-01-03").out
    assert days_of(out) == ["2013-01-03"] * 3 + ["2013-01-02"] * 3
    assert days_of(ask("observations", MODEL, "--to", "2013-01-01").out) == ["2013-01-01"] * 3


@pytest.mark.parametrize(("metric", "found"), [("drift.share", {"drift.share"}), ("drift", {"drift.share", "drift.carrier"})])
def test_one_metric_or_all_that_begin_alike(metric: str, found: set[str], ask: Ask, observed: None) -> None:
    answer = json.loads(ask("observations", MODEL, "--metric", metric, "--json").out)
    assert {each["metric"] for each in answer} == found


def test_as_json_each_is_whole(ask: Ask, observed: None) -> None:
    [newest, *_] = json.loads(ask("observations", MODEL, "--metric", "performance.mae", "--json").out)
    assert newest == {
        "model": MODEL, "partition": "2013-01-10", "metric": "performance.mae", "value": 1.25, "version": 1, "origin": "live", "rows": 900,
    }  # fmt: skip


def test_an_estimate_is_listed_with_its_interval(ask: Ask, observed: None) -> None:
    estimate = RecordedEstimate(MODEL, january(11), "doubly_robust", "mae", 9.5, 8.25, 10.75, 1, True)
    figure = Observation(MODEL, january(11), "estimated.mae", 9.5, 1, "live", 900)
    record_observations(MODEL, january(11), [figure], also=lambda connection: record_estimates(connection, MODEL, january(11), [estimate]))
    lines = [line.split() for line in ask("observations", MODEL).out.splitlines()]
    assert ["2013-01-11", "estimated.mae", "9.5000", "8.2500", "to", "10.7500", "1", "live", "900"] in lines
    [newest] = json.loads(ask("observations", MODEL, "--metric", "estimated", "--json").out)
    assert (newest["value"], newest["low"], newest["high"]) == (9.5, 8.25, 10.75)


def test_a_metric_that_was_not_observed_is_refused_with_those_that_were(ask: Ask, observed: None) -> None:
    answer = ask("observations", MODEL, "--metric", "performance.mea")
    assert answer.code == 2
    assert "no metric 'performance.mea' was observed in this time; did you mean 'performance.mae'? observed: drift.carrier" in answer.err


def test_a_range_that_ends_before_it_begins_is_refused(ask: Ask, observed: None) -> None:
    answer = ask("observations", MODEL, "--from", "2013-01-03", "--to", "2013-01-02")
    assert answer.code == 2
    assert "--to 2013-01-02 is before --from 2013-01-03" in answer.err


def test_nothing_observed_says_so_and_where_to_look(ask: Ask, home: None) -> None:
    assert ask("observations", MODEL).out == (
        "Nothing was observed of air_time: partitions are monitored once scored. See `evergreen why air_time DATE`.\n"
    )
    assert ask("observations", MODEL, "--to", "2013-01-03").out.startswith("Nothing was observed of air_time to 2013-01-03: ")
    assert json.loads(ask("observations", MODEL, "--json").out) == []


def test_an_unknown_model_is_refused(ask: Ask, home: None) -> None:
    assert "unknown model 'air_tim'; did you mean 'air_time'?" in ask("observations", "air_tim").err
