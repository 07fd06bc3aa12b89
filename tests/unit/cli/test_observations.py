from __future__ import annotations

import json

import pytest

from include.evergreen.monitoring import Observation, record_observations
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
        "low": None, "high": None,
    }  # fmt: skip


def test_an_estimate_is_listed_with_its_interval(ask: Ask, observed: None) -> None:
    record_observations(MODEL, january(11), [Observation(MODEL, january(11), "estimated.mae", 9.5, 1, "live", 900, 8.25, 10.75)])
    lines = [line.split() for line in ask("observations", MODEL).out.splitlines()]
    assert ["2013-01-11", "estimated.mae", "9.5000", "8.2500", "to", "10.7500", "1", "live", "900"] in lines
    [newest] = json.loads(ask("observations", MODEL, "--metric", "estimated", "--json").out)
    assert (newest["value"], newest["low"], newest["high"]) == (9.5, 8.25, 10.75)


def test_the_history_of_a_figure_is_what_it_was_and_until_when_and_then_what_it_is(ask: Ask, observed: None) -> None:
    for value in (2.0, 3.0):
        record_observations(MODEL, january(10), [Observation(MODEL, january(10), "performance.mae", value, 1, "live", 910)])
    told = json.loads(ask("observations", MODEL, "--history", "--metric", "performance", "--json").out)
    assert [(each["value"], "superseded_at" in each) for each in told] == [(1.25, True), (2.0, True), (3.0, False)]
    lines = [line.split() for line in ask("observations", MODEL, "--history", "--from", "2013-01-10").out.splitlines()]
    assert ["2013-01-10", "performance.mae", "3.0000", "1", "live", "910", "now"] in lines
    assert [line[2] for line in lines if line[1:2] == ["drift.share"]] == ["1.2500"], "it is observed no longer"
    assert ask("observations", MODEL, "--history", "--to", "2013-01-09").out == (
        "None of these figures of air_time was revised: what was observed first stands.\n"
    )


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
