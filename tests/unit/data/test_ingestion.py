from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from include.evergreen.config import Catalog, DatasetConfig
from include.evergreen.config.datasets import Expectation, Quarantine
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import PartitionVersion, current_partition, read_partition
from include.evergreen.data.quarantine import REASON_COLUMN
from include.evergreen.data.validation import latest_validation
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.foundation.grain import Partition
from include.evergreen.state import storage
from include.evergreen.state.database.tables import partition_versions
from tests.unit.flights import (
    BAD_WIND,
    Change,
    change_landing,
    january,
    landing_file,
    reversed_rows,
    rows_of,
)
from tests.unit.warm import run_code

pytestmark = pytest.mark.usefixtures("landed")
DAY = january(5)


@pytest.fixture
def weather(catalog: Catalog) -> DatasetConfig:
    return catalog.dataset("weather")


def test_a_day_of_each_dataset_is_ingested_whole(catalog: Catalog) -> None:
    for name in catalog.dataset_names():
        version = _ingest(catalog.dataset(name))
        delivered = len(pd.read_csv(landing_file(name, DAY)))
        assert (version.version, version.rows, version.quarantined, version.source_rows) == (1, delivered, 0, delivered)
        assert len(read_partition(version)) == delivered


def test_knowledge_time_is_what_the_dataset_declares(catalog: Catalog) -> None:
    known = {name: _ingest(catalog.dataset(name)).knowledge_time for name in catalog.dataset_names()}
    assert {name: str(moment) for name, moment in known.items()} == {
        "schedules": "2013-01-04 23:00:00+00:00",  # the evening before, in New York
        "weather": "2013-01-06 05:00:00+00:00",
        "outcomes": "2013-01-06 05:00:00+00:00",
    }


def test_ingesting_again_changes_nothing(weather: DatasetConfig) -> None:
    first = _ingest(weather)
    again, is_new = ingestion.ingest(weather, DAY, "backfill")
    assert (again, is_new) == (first, False)


def test_the_same_rows_in_another_order_are_the_same_partition_to_the_last_byte(weather: DatasetConfig) -> None:
    first = _ingest(weather)
    content = storage.read_bytes(first.path)
    change_landing("weather", DAY, reversed_rows)
    assert _ingest(weather) == first
    assert storage.read_bytes(first.path) == content


def test_quarantined_rows_in_another_order_are_the_same_quarantine(weather: DatasetConfig) -> None:
    change_landing("weather", DAY, _with({3: {"wind_speed": "1048"}, 9: {"temp": "500"}}))
    first = _ingest(weather)
    change_landing("weather", DAY, reversed_rows)
    assert (first.quarantined, _ingest(weather)) == (2, first)


def test_a_corrected_file_is_the_next_version(weather: DatasetConfig) -> None:
    first = _ingest(weather)
    change_landing("weather", DAY, _with({0: {"temp": "33"}}))
    second = _ingest(weather)
    assert (first.version, second.version) == (1, 2)
    assert first.digest != second.digest
    assert len(read_partition(first)) == len(read_partition(second))


def test_the_impossible_wind_of_12_february_2013_is_quarantined(weather: DatasetConfig) -> None:
    version = _ingest(weather, BAD_WIND)
    quarantined = storage.read_frame(version.quarantine_path)
    assert quarantined[["origin", "wind_speed"]].round().to_dict("records") == [{"origin": "EWR", "wind_speed": 1048.0}]
    assert quarantined[REASON_COLUMN].tolist() == ["expect_column_values_to_be_between(wind_speed)"]
    assert read_partition(version)["wind_speed"].max() < 100
    validation = latest_validation("weather", BAD_WIND)
    assert validation is not None
    assert (validation["verdict"], validation["quarantined"]) == ("quarantined", 1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {3: {"wind_speed": "1048"}},
        {3: {"wind_speed": "1048", "origin": "BOS"}, 4: {"precip": "NA"}, 5: {"time_hour": ""}},
    ],
)
def test_accepted_and_quarantined_rows_are_together_those_of_the_source(weather: DatasetConfig, changes: dict[int, dict[str, str]]) -> None:
    change_landing("weather", DAY, _with(changes))
    version = _ingest(weather)
    assert (version.quarantined, version.source_rows) == (len(changes), 72)
    assert version.rows + version.quarantined == version.source_rows
    assert len(read_partition(version)) == version.rows
    assert len(storage.read_frame(version.quarantine_path)) == version.quarantined


def test_a_key_that_stands_twice_quarantines_both_rows(weather: DatasetConfig) -> None:
    change_landing("weather", DAY, lambda rows: pd.concat([rows, rows.iloc[[3]].assign(temp="33")]))
    version = _ingest(weather)
    assert (version.rows, version.quarantined, version.source_rows) == (71, 2, 73)


def test_more_bad_rows_than_allowed_stop_the_partition_and_the_old_version_stays(weather: DatasetConfig) -> None:
    first = _ingest(weather)
    change_landing("weather", DAY, _with({row: {"wind_speed": "1048"} for row in range(10)}))
    with pytest.raises(DataError, match="weather 2013-01-05 is stopped: 10 of 72 rows fail, .*max_share"):
        _ingest(weather)
    _assert_current_is(first)
    assert latest_validation("weather", DAY)["verdict"] == "stopped"  # type: ignore[index]


def test_a_stop_keeps_the_old_version_and_the_repaired_file_is_taken(weather: DatasetConfig) -> None:
    first = _ingest(weather)
    sound = landing_file("weather", DAY).read_text()
    change_landing("weather", DAY, lambda rows: rows.head(5))
    with pytest.raises(DataError, match="expect_table_row_count_to_be_between.*found 5.*stays as it is"):
        _ingest(weather)
    _assert_current_is(first)
    landing_file("weather", DAY).write_text(sound)
    assert _ingest(weather) == first


def test_a_warning_publishes_every_row(weather: DatasetConfig) -> None:
    change_landing("weather", DAY, _with({3: {"visib": "11"}}))
    version = _ingest(weather)
    assert (version.rows, version.quarantined) == (72, 0)
    assert latest_validation("weather", DAY)["verdict"] == "warned"  # type: ignore[index]


@pytest.mark.parametrize("text", ["", "origin,time_hour,temp,humid,wind_speed,precip,visib\n", "origin,temp\nEWR,30\n"])
def test_a_file_without_its_rows_or_columns_publishes_nothing(weather: DatasetConfig, text: str) -> None:
    first = _ingest(weather)
    landing_file("weather", DAY).write_text(text)
    with pytest.raises(DataError, match="weather"):
        _ingest(weather)
    _assert_current_is(first)


def test_a_file_that_is_not_there_publishes_nothing_and_is_named(weather: DatasetConfig) -> None:
    first = _ingest(weather)
    landing_file("weather", DAY).unlink()
    with pytest.raises(DataError, match=f"has no file {landing_file('weather', DAY)}"):
        _ingest(weather)
    _assert_current_is(first)


def test_a_garbage_number_publishes_nothing_and_is_named_by_line(weather: DatasetConfig) -> None:
    first = _ingest(weather)
    change_landing("weather", DAY, _with({3: {"temp": "warm"}}))
    with pytest.raises(DataError, match=rf"{landing_file('weather', DAY)}, line 5: temp is 'warm'"):
        _ingest(weather)
    _assert_current_is(first)


def test_a_wrong_expectation_publishes_nothing(weather: DatasetConfig) -> None:
    first = _ingest(weather)
    for expectation in (
        Expectation(expect="expect_the_best"),
        Expectation(expect="expect_table_row_count_to_be_between", arguments={"min_value": 1}, on_fail="quarantine"),
    ):
        with pytest.raises(ConfigError, match="weather"):
            _ingest(weather.model_copy(update={"expectations": (expectation,)}))
    _assert_current_is(first)


def test_a_looser_quarantine_takes_what_a_tighter_one_stopped(weather: DatasetConfig) -> None:
    change_landing("weather", DAY, _with({row: {"wind_speed": "1048"} for row in range(10)}))
    loose = weather.model_copy(update={"quarantine": Quarantine(max_share=0.5)})
    assert _ingest(loose).quarantined == 10


def test_a_disk_that_refuses_publishes_nothing(weather: DatasetConfig, landed: Any) -> None:
    (landed / "storage").write_text("a file stands where the storage should be")
    with pytest.raises(TransientError, match="could not be written"):
        _ingest(weather)
    assert rows_of(partition_versions) == []


def test_a_process_that_is_killed_while_it_publishes_has_published_nothing(weather: DatasetConfig) -> None:
    validated = ingestion.validate_partition(weather, DAY, ingestion.fetch(weather, DAY), "live")
    run_code(
        "import datetime as dt, os\n"
        "from include.evergreen.foundation import clock; from include.evergreen.data import ingestion\n"
        "from include.evergreen.config import Catalog\n"
        "clock.now = lambda: os._exit(9)  # within the transaction, before its row is written\n"
        f"ingestion.publish(Catalog().dataset('weather'), '2013-01-05', {validated}, 'live')",
        exit_code=9,
    )
    assert current_partition("weather", DAY) is None
    assert ingestion.publish(weather, DAY, validated, "live")[0].version == 1


def _ingest(dataset: DatasetConfig, partition: Partition = DAY) -> PartitionVersion:
    return ingestion.ingest(dataset, partition, "live")[0]


def _with(changes: dict[int, dict[str, str]]) -> Change:
    """Other cells in some rows."""

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        for row, cells in changes.items():
            rows.loc[row, list(cells)] = list(cells.values())
        return rows

    return change


def _assert_current_is(version: PartitionVersion) -> None:
    assert current_partition(version.dataset, version.partition) == version
    assert len(rows_of(partition_versions)) == 1
    assert len(read_partition(version)) == version.rows
