from __future__ import annotations

import dataclasses

import pytest

from include.evergreen.foundation.errors import OvertakenError
from include.evergreen.monitoring import Observation, list_observations, record_observations
from include.evergreen.monitoring.observations import list_superseded, newest_live, newly_observed
from include.evergreen.state.database.tables import observations
from tests.unit.flights import january, rows_of

pytestmark = pytest.mark.usefixtures("home")
ONE = Observation("air_time", january(20), "drift.share", 0.25, 1, "live", 900)


def test_what_is_observed_again_is_the_newest_and_what_it_was_before_is_kept_apart() -> None:
    record_observations("air_time", january(20), [ONE, dataclasses.replace(ONE, metric="performance.mae", value=8.0, low=7.5, high=8.5)])
    record_observations("air_time", january(20), [dataclasses.replace(ONE, value=0.5)])
    record_observations("air_time", january(20), [dataclasses.replace(ONE, value=0.75)])
    assert [(each.metric, each.value) for each in list_observations("air_time")] == [("drift.share", 0.75)]
    assert len(rows_of(observations)) == 1, "rules read one row for each figure, however often it was revised"
    earlier = list_superseded("air_time")
    assert [(each.metric, each.value, each.low, each.high) for each in earlier] == [
        ("drift.share", 0.25, None, None), ("drift.share", 0.5, None, None), ("performance.mae", 8.0, 7.5, 8.5),
    ]  # fmt: skip
    assert all(each.recorded_at <= each.superseded_at for each in earlier)
    assert [each.value for each in list_superseded("air_time", "drift.share", first=january(20), last=january(20))] == [0.25, 0.5]
    assert list_superseded("air_time", first=january(21)) == list_superseded("flight_delay") == []


def test_what_is_observed_again_and_is_the_same_supersedes_nothing() -> None:
    figure = dataclasses.replace(ONE, value=0.1 + 0.2, low=1 / 3, high=2 / 3)
    for origin in ("live", "live", "backfill"):
        record_observations("air_time", january(20), [dataclasses.replace(figure, origin=origin)])
    assert list_superseded("air_time") == []
    assert [each for each in list_observations("air_time")] == [figure]


def test_a_recording_that_is_refused_supersedes_nothing() -> None:
    record_observations("air_time", january(20), [ONE])
    with pytest.raises(OvertakenError):
        record_observations("air_time", january(20), [dataclasses.replace(ONE, value=0.5)], also=_refused)
    assert (list_observations("air_time"), list_superseded("air_time")) == ([ONE], [])


def _refused(connection: object) -> None:
    raise OvertakenError("labels changed meanwhile")


def test_other_days_and_models_stay() -> None:
    record_observations("air_time", january(20), [ONE])
    record_observations("air_time", january(19), [dataclasses.replace(ONE, partition=january(19))])
    record_observations("flight_delay", january(20), [dataclasses.replace(ONE, model="flight_delay")])
    record_observations("air_time", january(20), [])
    assert len(rows_of(observations)) == 2


def test_they_come_oldest_first_and_as_asked_for() -> None:
    for day in (21, 19, 20):
        figures = [dataclasses.replace(ONE, partition=january(day), metric=metric) for metric in ("b", "a")]
        record_observations("air_time", january(day), figures)
    found = list_observations("air_time", "a", first=january(20))
    assert [(int(each.partition[-2:]), each.metric) for each in found] == [(20, "a"), (21, "a")]
    assert [each.metric for each in list_observations("air_time", last=january(19))] == ["a", "b"]


def test_what_was_live_stays_in_the_sight_of_the_rules_when_a_backfill_observes_it_again() -> None:
    again = dataclasses.replace(ONE, value=0.5, origin="backfill")
    record_observations("air_time", january(20), [ONE])
    record_observations("air_time", january(20), [again])
    assert [observation.value for observation in newest_live("air_time", "drift.share", 3)] == [0.5]


@pytest.mark.parametrize("before", [[], [dataclasses.replace(ONE, origin="backfill")], [dataclasses.replace(ONE, version=1)]])
def test_a_backfill_makes_nothing_live_that_was_not_and_no_other_version(before: list[Observation]) -> None:
    record_observations("air_time", january(20), before)
    record_observations("air_time", january(20), [dataclasses.replace(ONE, version=2, origin="backfill")])
    assert newest_live("air_time", "drift.share", 3) == []


def test_who_waits_for_news_is_told_once_of_each_model_that_was_observed_since() -> None:
    assert newly_observed(0) == (0, set())
    record_observations("air_time", january(20), [ONE])
    record_observations("flight_delay", january(20), [dataclasses.replace(ONE, model="flight_delay")])
    after, models = newly_observed(0)
    assert models == {"air_time", "flight_delay"}
    assert newly_observed(after) == (after, set())
    record_observations("air_time", january(20), [ONE])
    after, models = newly_observed(after)
    assert models == {"air_time"}
    record_observations("air_time", january(20), [])
    assert newly_observed(after) == (after, set()), "that something is no longer observed trips nothing"


def test_observations_over_few_rows_hide_none_that_count() -> None:
    for day in (18, 19, 20):
        rows = 9 if day == 20 else 900
        record_observations("air_time", january(day), [dataclasses.replace(ONE, partition=january(day), rows=rows)])
    assert [int(seen.partition[-2:]) for seen in newest_live("air_time", "drift.share", 2, min_rows=100)] == [18, 19]
