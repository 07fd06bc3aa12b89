from __future__ import annotations

import copy
import datetime as dt

import pandas as pd
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.partitions import current_partition, publish_partition, read_partition
from include.evergreen.features import PointInTimeReader
from include.evergreen.features.labels import join_labels, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.features.reader import PARTITION_COLUMN
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.state import storage
from include.evergreen.training.take_snapshot import take_snapshot
from tests.unit.flights import INGESTED_UNTIL, NEW_YORK, january, republish, shifted

pytestmark = pytest.mark.usefixtures("flights")
DAY = january(10)


def test_the_rows_are_those_of_the_day(air_time: ModelConfig) -> None:
    rows = _reader(air_time, DAY).rows()
    current = current_partition("schedules", DAY)
    assert current is not None
    assert len(rows) == current.rows


def test_rows_that_were_not_ingested_are_named_with_what_to_do(air_time: ModelConfig) -> None:
    day = DAILY.shift(INGESTED_UNTIL, 1)
    with pytest.raises(DataError, match="air_time: schedules 2013-01-22 was not known on 2013-01-22. Ingest it first."):
        _reader(air_time, day).rows()


def test_rows_that_were_known_too_late_are_not_there(air_time: ModelConfig) -> None:
    before = _reader(air_time, DAY).rows()
    late = NEW_YORK.start(DAY) + dt.timedelta(seconds=1)
    republish("schedules", DAY, shifted("distance", 1), knowledge_time=late)
    assert _reader(air_time, DAY).rows().equals(before)


@pytest.mark.parametrize(("dataset", "last"), [("schedules", 10), ("weather", 9), ("outcomes", 9)])
def test_a_window_ends_where_the_lag_of_its_dataset_says(air_time: ModelConfig, dataset: str, last: int) -> None:
    window = _reader(air_time, DAY).window(dataset, span="3 days")
    assert window[PARTITION_COLUMN].astype(str).unique().tolist() == [january(last - 2), january(last - 1), january(last)]


def test_a_window_knows_nothing_of_days_that_were_not_ingested(air_time: ModelConfig) -> None:
    window = _reader(air_time, january(3)).window("outcomes", span="7 days", columns=["air_time"])
    assert window[PARTITION_COLUMN].astype(str).unique().tolist() == [january(1), january(2)]
    assert list(window.columns) == ["air_time", PARTITION_COLUMN]


def test_an_empty_window_has_its_columns(air_time: ModelConfig) -> None:
    window = _reader(air_time, january(1)).window("outcomes", span="7 days", columns=["air_time"])
    assert (len(window), list(window.columns)) == (0, ["air_time", PARTITION_COLUMN])


def test_a_correction_is_seen_from_the_moment_on_at_which_it_was_known(air_time: ModelConfig) -> None:
    before = _outcomes_of(air_time, january(5), seen_on=DAY)
    republish("outcomes", january(5), shifted("air_time", 100), knowledge_time=NEW_YORK.start(january(8)))
    assert _outcomes_of(air_time, january(5), seen_on=january(7)) == before
    assert _outcomes_of(air_time, january(5), seen_on=january(8)) > before


def test_a_training_of_later_sees_each_day_as_that_day_saw_itself(air_time: ModelConfig) -> None:
    before = _outcomes_of(air_time, january(5), seen_on=january(7))
    republish("outcomes", january(5), shifted("air_time", 100), knowledge_time=NEW_YORK.start(january(8)))
    assert _outcomes_of(air_time, january(5), seen_on=january(7), as_of=january(20)) == before


def test_a_dataset_that_is_no_input_cannot_be_read(air_time: ModelConfig) -> None:
    with pytest.raises(ConfigError, match="reads 'revenue', .* inputs: schedules, weather, outcomes"):
        _reader(air_time, DAY).window("revenue", span="1 day")


@pytest.mark.parametrize("span", ["0 days", "32 days", "5 weeks", "32 partitions"])
def test_a_window_that_is_too_long_or_none_is_refused(air_time: ModelConfig, span: str) -> None:
    with pytest.raises(ConfigError, match=f"asks for {span} of weather; allowed: 1 day to 31 days"):
        _reader(air_time, DAY).window("weather", span=span)


@pytest.mark.parametrize(("span", "nearest"), [("12 hours", "1 day"), ("1 month", "31 days")])
def test_a_window_that_is_no_whole_number_of_partitions_is_refused(air_time: ModelConfig, span: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"asks for {span} of weather, which is no whole number of days, .* write {nearest}"):
        _reader(air_time, DAY).window("weather", span=span)


def test_features_that_a_version_keeps_may_say_a_number_of_days(air_time: ModelConfig) -> None:
    reader = _reader(air_time, DAY)
    expected = reader.window("weather", span="3 days")
    assert reader.window("weather", days=3).equals(expected)  # type: ignore[call-arg]
    assert reader.window("weather", 3).equals(expected)
    with pytest.raises(ConfigError, match="asks for 0 days"):
        reader.window("weather", days=-1)  # type: ignore[call-arg]


def test_what_features_do_to_their_frames_reaches_nobody_else(air_time: ModelConfig) -> None:
    cache = PartitionCache(DAY, model=air_time)
    reader = PointInTimeReader(air_time, DAY, cache)
    reads = {
        "rows": reader.rows,
        "window of one day": lambda: reader.window("schedules", span="1 day"),
        "window of three days": lambda: reader.window("schedules", span="3 days"),
        "another day's": lambda: PointInTimeReader(air_time, DAILY.shift(DAY, 1), cache).window("schedules", span="2 days"),
    }
    before = {name: read() for name, read in reads.items()}
    for read in reads.values():
        frame = read()
        for column in frame.columns:  # in place, below pandas: the arrays themselves
            array = frame[column].array
            array[: len(array) // 2] = array[len(array) // 2 : 2 * (len(array) // 2)]
        frame.drop(columns="distance", inplace=True)
        frame["origin"] = "nowhere"
    for name, read in reads.items():
        pd.testing.assert_frame_equal(read(), before[name], check_exact=True)


def test_the_cache_remembers_every_version_that_was_read(air_time: ModelConfig) -> None:
    cache = PartitionCache(DAY, model=air_time)
    PointInTimeReader(air_time, DAY, cache).window("weather", span="2 days")
    assert {(dataset, int(day[-2:])): version.version for (dataset, day, _), version in cache.read.items()} == {
        ("weather", 8): 1,
        ("weather", 9): 1,
    }


def test_both_versions_that_a_training_read_of_one_partition_are_remembered(catalog: Catalog, air_time: ModelConfig) -> None:
    """A day before the correction saw the one, a day after it the other."""
    republish("outcomes", january(5), shifted("air_time", 100), knowledge_time=NEW_YORK.start(january(8)))
    members = take_snapshot(catalog, air_time, january(20)).members
    first, second = (members[f"outcomes/2013-01-05/v{version}"] for version in (1, 2))
    assert (first["version"], second["version"]) == (1, 2)
    assert first["digest"] != second["digest"]


@pytest.mark.parametrize("columns", [None, ["air_time"], ["flight", "origin"]])
def test_rows_that_were_known_later_are_left_out_whatever_columns_are_asked_for(air_time: ModelConfig, columns: list[str] | None) -> None:
    _publish_known_one_by_one(january(8))
    seen = {day: _reader(air_time, january(day)).window("outcomes", span="7 days", columns=columns) for day in (9, 10, 12)}
    of_the_8th = {day: int((window[PARTITION_COLUMN].astype(str) == january(8)).sum()) for day, window in seen.items()}
    assert of_the_8th == {9: 2, 10: 3, 12: 4}
    if columns:
        assert list(seen[10].columns) == [*columns, PARTITION_COLUMN]


def test_rows_that_are_left_out_are_counted_with_the_reason(air_time: ModelConfig, caplog: pytest.LogCaptureFixture) -> None:
    _publish_known_one_by_one(january(8))
    model = air_time.model_copy(update={"rows": "outcomes"})  # of which a day reads the day before
    for day, rows in ((9, 2), (10, None)):
        caplog.clear()
        read = _reader(model, january(day)).rows()
        assert rows is None or len(read) == rows
        expected = [
            "air_time: 2 of 4 rows of outcomes 2013-01-08 are left out on 2013-01-09: their known says that they were known only after "
            "it began. Give outcomes a longer lag in model.yaml, if they should be there."
        ]
        assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == (expected if rows else [])


def test_a_training_of_later_sees_of_each_row_what_its_own_day_saw(air_time: ModelConfig) -> None:
    _publish_known_one_by_one(january(8))
    cache = PartitionCache(january(20), model=air_time)
    for day, rows in ((12, 4), (9, 2), (10, 3)):  # in any order, from one cache
        window = PointInTimeReader(air_time, january(day), cache).window("outcomes", span="7 days")
        assert (window[PARTITION_COLUMN].astype(str) == january(8)).sum() == rows


def test_the_truth_has_the_rows_that_were_known_as_of_the_training(air_time: ModelConfig) -> None:
    flights = read_partition(current_partition("outcomes", january(8)))  # type: ignore[arg-type]
    _publish_known_one_by_one(january(8))
    for as_of, rows in ((9, 2), (10, 3), (20, 4)):
        cache = PartitionCache(january(as_of), model=air_time)
        labels = known_labels(Catalog(), air_time, january(8), cache)
        assert join_labels(Catalog(), air_time, flights, labels, cache).notna().sum() == rows


def test_a_column_that_is_not_there_is_named_with_those_that_are(air_time: ModelConfig) -> None:
    with pytest.raises(ConfigError, match=r"weather 2013-01-09 \(version 1\) has no column 'wind'; it has: origin, time_hour, temp"):
        _reader(air_time, DAY).window("weather", span="1 day", columns=["origin", "wind"])


@pytest.mark.parametrize("before", [["temp"], None, []], ids=["after another column", "after all columns", "at first"])
def test_a_reader_that_was_asked_for_what_is_not_there_is_as_it_was(air_time: ModelConfig, before: list[str] | None) -> None:
    cache = PartitionCache(DAY, model=air_time)
    reader = PointInTimeReader(air_time, DAY, cache)
    if before != []:
        reader.window("weather", span="1 day", columns=before)
    state = copy.deepcopy(vars(cache))
    for _ in range(2):
        with pytest.raises(ConfigError, match="has no column 'wind'"):
            reader.window("weather", span="1 day", columns=["origin", "wind"])
    looked_up = {"_versions", "_looked_up"}  # of records, which are the same whatever is asked of their rows
    assert str({name: value for name, value in vars(cache).items() if name not in looked_up}) == str(
        {name: value for name, value in state.items() if name not in looked_up}
    )
    for columns in (["temp"], None):
        expected = _reader(air_time, DAY).window("weather", span="1 day", columns=columns)
        assert len(expected) and reader.window("weather", span="1 day", columns=columns).equals(expected)


@pytest.mark.parametrize("fails", ["read_partition", "known_versions"])
def test_a_reader_whose_storage_or_database_failed_once_reads_all_the_next_time(
    air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    expected = _reader(air_time, DAY).window("weather", span="3 days")
    reader = _reader(air_time, DAY)
    reader.window("weather", span="1 day", columns=["temp"])

    def failing(*_: object, **__: object) -> None:
        raise TransientError("down")

    with monkeypatch.context() as broken:
        broken.setattr(f"include.evergreen.features.partition_cache.{fails}", failing)
        with pytest.raises(TransientError):
            reader.window("weather", span="3 days")
    assert reader.window("weather", span="3 days").equals(expected)


def test_a_window_of_some_columns_reads_these_columns_and_these_days_alone(
    air_time: ModelConfig, reads: list[tuple[str, list[str] | None]]
) -> None:
    _reader(air_time, DAY).window("outcomes", span="3 days", columns=["carrier", "arr_delay"])
    assert [(path.split("/")[:3], columns) for path, columns in reads] == [
        (["datasets", "outcomes", f"2013-01-{day:02}"], ["carrier", "arr_delay"]) for day in (7, 8, 9)
    ]


def test_a_training_reads_no_column_of_a_partition_twice(
    catalog: Catalog, air_time: ModelConfig, flight_delay: ModelConfig, reads: list[tuple[str, list[str] | None]]
) -> None:
    """And after its first day, which learns what is asked for, opens each file once."""
    for model, schedules in ((air_time, 19), (flight_delay, 18)):  # the first day that has weather before it is the 2nd
        reads.clear()
        take_snapshot(catalog, model, january(20))
        columns = [(path, column) for path, asked in reads for column in asked or ["all"]]
        assert len(columns) == len(set(columns))
        files = [path for path, _ in reads]
        assert all(path.split("/")[2] <= "2013-01-02" for path in files if files.count(path) > 1)
        assert len(set(files)) == schedules + 18 + 19  # and weather up to the 18th, outcomes up to the 19th


def test_a_column_that_is_asked_for_later_is_read_by_itself(air_time: ModelConfig, reads: list[tuple[str, list[str] | None]]) -> None:
    cache = PartitionCache(DAY, model=air_time)
    reader = PointInTimeReader(air_time, DAY, cache)
    first = reader.window("weather", span="1 day", columns=["temp"])
    both = reader.window("weather", span="1 day", columns=["origin", "temp"])
    assert [columns for _, columns in reads] == [["temp"], ["origin"]]
    assert both["temp"].equals(first["temp"])
    assert list(reader.window("weather", span="1 day").columns) == [*Catalog().dataset("weather").column_names, PARTITION_COLUMN]


def test_what_does_not_fit_into_memory_is_forgotten_and_read_again(
    air_time: ModelConfig, reads: list[tuple[str, list[str] | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _reader(air_time, DAY).window("outcomes", span="7 days")
    monkeypatch.setattr("include.evergreen.features.partition_cache.HELD_BYTES", 1)
    reads.clear()
    reader = _reader(air_time, DAY)
    assert reader.window("outcomes", span="7 days").equals(whole)
    assert reader.window("outcomes", span="6 days").equals(whole[whole["partition"] > whole["partition"].min()].reset_index(drop=True))
    assert len(reads) == 7 + 6
    assert len(reader._cache._held) == 1


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str] | None]]:
    """What is read from the storage: paths and columns."""
    seen: list[tuple[str, list[str] | None]] = []
    read_frame = storage.read_frame

    def counted(path: str, columns: list[str] | None = None) -> pd.DataFrame:
        seen.append((path, columns))
        return read_frame(path, columns)

    monkeypatch.setattr(storage, "read_frame", counted)
    return seen


def _publish_known_one_by_one(day: Partition) -> None:
    """Four flights of a day, of which the knowledge column says: two known the next midnight, one a day later, one two."""
    current = current_partition("outcomes", day)
    assert current is not None
    midnight = NEW_YORK.start(DAILY.shift(day, 1))
    known = [midnight, midnight - dt.timedelta(hours=1), midnight + dt.timedelta(hours=24), midnight + dt.timedelta(hours=49)]
    frame = read_partition(current).head(4).assign(known=pd.Series(known, dtype="datetime64[us, UTC]"))
    storage.write_frame("datasets/one-by-one.parquet", frame)
    content = {
        "digest": frame_digest(frame),
        "path": "datasets/one-by-one.parquet",
        "rows": 4,
        "quarantine_digest": current.quarantine_digest,
        "quarantine_path": current.quarantine_path,
        "quarantined": 0,
        "source_rows": 4,
        "knowledge_column": "known",
    }
    known_at = min(known)
    publish_partition(dataset="outcomes", partition=day, content=content, known_at=lambda _: known_at, origin="live")


def _reader(model: ModelConfig, day: Partition, as_of: Partition | None = None) -> PointInTimeReader:
    return PointInTimeReader(model, day, PartitionCache(as_of or day, model=model))


def _outcomes_of(model: ModelConfig, day: Partition, *, seen_on: Partition, as_of: Partition | None = None) -> float:
    window = _reader(model, seen_on, as_of).window("outcomes", span="7 days")
    return float(window.loc[window[PARTITION_COLUMN].astype(str) == day, "air_time"].sum())
