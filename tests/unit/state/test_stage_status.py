from __future__ import annotations

import datetime as dt

import pytest

from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import DAILY
from include.evergreen.state.stage_status import find_stage, list_stages, record_stage

pytestmark = pytest.mark.usefixtures("home")
DAY = "2013-02-09"


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> list[dt.datetime]:
    """A wall clock that moves an hour whenever it is read; the moments that it told."""
    told: list[dt.datetime] = []

    def now() -> dt.datetime:
        told.append(dt.datetime(2013, 2, 9, len(told), tzinfo=dt.UTC))
        return told[-1]

    monkeypatch.setattr(clock, "now", now)
    return told


def test_a_stage_that_nobody_recorded_is_not_there() -> None:
    assert find_stage("air_time", "score", DAY) is None


def test_a_record_says_where_the_stage_stands_and_why() -> None:
    record_stage("air_time", "score", DAY, "waiting", {"message": "waiting for weather", "waiting_for": ["weather/x"]})
    found = find_stage("air_time", "score", DAY)
    assert found is not None
    assert (found.status, found.message, found.detail["waiting_for"]) == ("waiting", "waiting for weather", ["weather/x"])


def test_a_status_that_lasts_keeps_the_moment_since_which_it_does(tick: list[dt.datetime]) -> None:
    record_stage("air_time", "score", DAY, "waiting", {"message": "for two"})
    record_stage("air_time", "score", DAY, "waiting", {"message": "for one"})
    found = find_stage("air_time", "score", DAY)
    assert found is not None
    assert (found.message, found.since, found.recorded_at) == ("for one", tick[0], tick[1])


def test_a_new_status_begins_now(tick: list[dt.datetime]) -> None:
    record_stage("air_time", "score", DAY, "waiting", {})
    record_stage("air_time", "score", DAY, "done", {})
    found = find_stage("air_time", "score", DAY)
    assert found is not None
    assert (found.status, found.since, found.message) == ("done", tick[1], "")


def test_each_stage_of_each_model_and_day_is_its_own() -> None:
    for model, stage, day in (("a", "score", DAY), ("a", "monitor", DAY), ("b", "score", DAY)):
        record_stage(model, stage, day, "done", {})  # type: ignore[arg-type]
    record_stage("a", "score", DAILY.shift(DAY, -1), "skipped", {})
    assert [(each.partition[-2:], each.stage) for each in list_stages("a")] == [("08", "score"), ("09", "monitor"), ("09", "score")]
    assert len(list_stages("a", first=DAY)) == 2
