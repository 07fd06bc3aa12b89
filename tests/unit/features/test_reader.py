from __future__ import annotations

import datetime as dt

import pytest

from include.evergreen import clock
from include.evergreen.config import ModelConfig
from include.evergreen.errors import ConfigError, DataError
from include.evergreen.features import PointInTimeReader
from include.evergreen.features.reader import PARTITION_COLUMN, PartitionCache
from include.evergreen.partitions import current_partition
from tests.unit.flights import INGESTED_UNTIL, january, republish, shifted

pytestmark = pytest.mark.usefixtures("flights")
DAY = january(10)


def test_the_rows_are_those_of_the_day(air_time: ModelConfig) -> None:
    rows = _reader(air_time, DAY).rows()
    current = current_partition("schedules", DAY)
    assert current is not None
    assert len(rows) == current.rows


def test_rows_that_were_not_ingested_are_named_with_what_to_do(air_time: ModelConfig) -> None:
    day = INGESTED_UNTIL + dt.timedelta(days=1)
    with pytest.raises(DataError, match="air_time: schedules 2013-01-22 was not known on 2013-01-22. Ingest it first."):
        _reader(air_time, day).rows()


def test_rows_that_were_known_too_late_are_not_there(air_time: ModelConfig) -> None:
    before = _reader(air_time, DAY).rows()
    late = clock.moment(DAY) + dt.timedelta(seconds=1)
    republish("schedules", DAY, shifted("distance", 1), knowledge_time=late)
    assert _reader(air_time, DAY).rows().equals(before)


@pytest.mark.parametrize(("dataset", "last"), [("schedules", 10), ("weather", 9), ("outcomes", 9)])
def test_a_window_ends_where_the_lag_of_its_dataset_says(air_time: ModelConfig, dataset: str, last: int) -> None:
    window = _reader(air_time, DAY).window(dataset, days=3)
    assert window[PARTITION_COLUMN].unique().tolist() == [january(last - 2), january(last - 1), january(last)]


def test_a_window_knows_nothing_of_days_that_were_not_ingested(air_time: ModelConfig) -> None:
    window = _reader(air_time, january(3)).window("outcomes", days=7, columns=["air_time"])
    assert window[PARTITION_COLUMN].unique().tolist() == [january(1), january(2)]
    assert list(window.columns) == ["air_time", PARTITION_COLUMN]


def test_an_empty_window_has_its_columns(air_time: ModelConfig) -> None:
    window = _reader(air_time, january(1)).window("outcomes", days=7, columns=["air_time"])
    assert (len(window), list(window.columns)) == (0, ["air_time", PARTITION_COLUMN])


def test_a_correction_is_seen_from_the_moment_on_at_which_it_was_known(air_time: ModelConfig) -> None:
    before = _outcomes_of(air_time, january(5), seen_on=DAY)
    republish("outcomes", january(5), shifted("air_time", 100), knowledge_time=clock.moment(january(8)))
    assert _outcomes_of(air_time, january(5), seen_on=january(7)) == before
    assert _outcomes_of(air_time, january(5), seen_on=january(8)) > before


def test_a_training_of_later_sees_each_day_as_that_day_saw_itself(air_time: ModelConfig) -> None:
    before = _outcomes_of(air_time, january(5), seen_on=january(7))
    republish("outcomes", january(5), shifted("air_time", 100), knowledge_time=clock.moment(january(8)))
    assert _outcomes_of(air_time, january(5), seen_on=january(7), as_of=january(20)) == before


def test_a_dataset_that_is_no_input_cannot_be_read(air_time: ModelConfig) -> None:
    with pytest.raises(ConfigError, match="reads 'revenue', .* inputs: schedules, weather, outcomes"):
        _reader(air_time, DAY).window("revenue", days=1)


@pytest.mark.parametrize("days", [0, -1, 32])
def test_a_window_that_is_too_long_or_none_is_refused(air_time: ModelConfig, days: int) -> None:
    with pytest.raises(ConfigError, match=f"asks for {days} days of weather; allowed: 1-31"):
        _reader(air_time, DAY).window("weather", days=days)


def test_what_features_do_to_their_frames_reaches_nobody_else(air_time: ModelConfig) -> None:
    cache = PartitionCache(DAY)
    reader = PointInTimeReader(air_time, DAY, cache)
    for read in (reader.rows, lambda: reader.window("schedules", days=1)):
        read()["distance"] = 0.0
        assert read()["distance"].min() > 0


def test_the_cache_remembers_every_version_that_was_read(air_time: ModelConfig) -> None:
    cache = PartitionCache(DAY)
    PointInTimeReader(air_time, DAY, cache).window("weather", days=2)
    assert {(dataset, day.day): version.version for (dataset, day), version in cache.read.items()} == {
        ("weather", 8): 1,
        ("weather", 9): 1,
    }


def _reader(model: ModelConfig, day: dt.date, as_of: dt.date | None = None) -> PointInTimeReader:
    return PointInTimeReader(model, day, PartitionCache(as_of or day))


def _outcomes_of(model: ModelConfig, day: dt.date, *, seen_on: dt.date, as_of: dt.date | None = None) -> float:
    window = _reader(model, seen_on, as_of).window("outcomes", days=7)
    return float(window.loc[window[PARTITION_COLUMN] == day, "air_time"].sum())
