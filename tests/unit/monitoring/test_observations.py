from __future__ import annotations

import dataclasses

import pytest

from include.evergreen.monitoring import Observation, list_observations, record_observations
from include.evergreen.state.database.tables import observations
from tests.unit.flights import january, rows_of

pytestmark = pytest.mark.usefixtures("home")
ONE = Observation("air_time", january(20), "drift.share", 0.25, 1, "live", 900)


def test_what_is_observed_again_is_replaced_and_what_is_no_longer_observed_is_gone() -> None:
    record_observations("air_time", january(20), [ONE, dataclasses.replace(ONE, metric="performance.mae")])
    record_observations("air_time", january(20), [dataclasses.replace(ONE, value=0.5)])
    assert [(each.metric, each.value) for each in list_observations("air_time")] == [("drift.share", 0.5)]
    assert len(rows_of(observations)) == 1


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
    assert [(each.partition.day, each.metric) for each in found] == [(20, "a"), (21, "a")]
    assert [each.metric for each in list_observations("air_time", last=january(19))] == ["a", "b"]
