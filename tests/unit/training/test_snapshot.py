from __future__ import annotations

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.partitions import current_partition
from include.evergreen.features.columns import TARGET
from include.evergreen.features.reader import PARTITION_COLUMN
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.span import Span
from include.evergreen.state.database.tables import snapshots
from include.evergreen.training.snapshot import find_snapshot
from include.evergreen.training.take_snapshot import take_snapshot
from tests.unit.flights import january, republish, reversed_rows, rows_of, shifted

pytestmark = pytest.mark.usefixtures("flights")
AS_OF = january(18)


def test_a_snapshot_lists_exactly_the_partitions_that_it_read(catalog: Catalog, air_time: ModelConfig) -> None:
    members = take_snapshot(catalog, air_time, AS_OF, window=Span(14, "day")).members
    assert sorted(members)[0] == "outcomes/2013-01-01/v1"
    days = {name: sorted(key.split("/")[1][-2:] for key in members if key.startswith(name)) for name in catalog.dataset_names()}
    assert (days["schedules"][-1], days["weather"][-1], days["outcomes"][-1]) == ("17", "16", "17")
    weather = current_partition("weather", january(16))
    assert weather is not None
    assert members["weather/2013-01-16/v1"] == {"version": 1, "digest": weather.digest}


def test_its_frame_has_the_window_before_as_of_oldest_day_first(catalog: Catalog, air_time: ModelConfig) -> None:
    frame = take_snapshot(catalog, air_time, AS_OF, window=Span(14, "day")).frame()
    days = frame[PARTITION_COLUMN].unique().tolist()
    assert days == [str(january(day)) for day in range(4, 18)]
    keys = ["key:carrier", "key:flight", "key:origin"]  # so that a person's rows can be found in it
    assert list(frame.columns) == [PARTITION_COLUMN, *(feature.name for feature in air_time.features), TARGET, *keys]
    assert frame[TARGET].notna().all()


def test_taken_again_it_is_the_same_and_recorded_once(catalog: Catalog, air_time: ModelConfig) -> None:
    first = take_snapshot(catalog, air_time, AS_OF)
    assert take_snapshot(catalog, air_time, AS_OF) == first
    assert len(rows_of(snapshots)) == 1
    assert find_snapshot(first.digest) == first


def test_what_is_ingested_later_does_not_change_it(catalog: Catalog, air_time: ModelConfig) -> None:
    before = take_snapshot(catalog, air_time, AS_OF)
    republish("outcomes", AS_OF, shifted("air_time", 1))
    assert take_snapshot(catalog, air_time, AS_OF) == before


@pytest.mark.parametrize(("dataset", "column"), [("outcomes", "air_time"), ("weather", "wind_speed"), ("schedules", "distance")])
def test_a_correction_within_the_window_changes_it(catalog: Catalog, air_time: ModelConfig, dataset: str, column: str) -> None:
    before = take_snapshot(catalog, air_time, AS_OF)
    republish(dataset, january(15), shifted(column, 1))
    after = take_snapshot(catalog, air_time, AS_OF)
    assert after.digest != before.digest
    assert f"{dataset}/2013-01-15/v1" in before.members and f"{dataset}/2013-01-15/v2" in after.members


def test_two_runs_that_read_the_same_have_each_a_record_of_their_own(catalog: Catalog, air_time: ModelConfig) -> None:
    """With no newer day ingested, a training as of a week later reads the same, and stands elsewhere all the same."""
    late = [january(28), january(29)]
    taken = [take_snapshot(catalog, air_time, as_of, window=Span(60, "day")) for as_of in late]
    assert taken[0].frame().equals(taken[1].frame())
    assert [find_snapshot(each.digest).as_of for each in taken] == late
    shorter = take_snapshot(catalog, air_time, late[0], window=Span(50, "day"))
    assert find_snapshot(shorter.digest).window == Span(50, "day")


def test_too_few_days_are_the_datas_fault_and_are_counted(catalog: Catalog, air_time: ModelConfig) -> None:
    with pytest.raises(DataError, match="air_time as of 2013-01-10: only 8 of the 60 days before it .*asks for 14") as few:
        take_snapshot(catalog, air_time, january(10))
    assert "Ingest more days of schedules, weather, outcomes, or choose a later as_of." in str(few.value)
    assert rows_of(snapshots) == []


def test_days_before_the_first_are_too_few_and_no_crash(catalog: Catalog, air_time: ModelConfig) -> None:
    with pytest.raises(DataError, match="only 0 of the 60 days"):
        take_snapshot(catalog, air_time, "2012-06-01")


def test_rows_in_another_order_make_another_frame_and_so_another_snapshot(catalog: Catalog, air_time: ModelConfig) -> None:
    """Which is why ingestion keeps rows in the order of their keys."""
    before = take_snapshot(catalog, air_time, AS_OF)
    republish("schedules", january(15), reversed_rows)
    assert take_snapshot(catalog, air_time, AS_OF).digest != before.digest


def test_a_snapshot_that_nobody_took_is_not_found() -> None:
    with pytest.raises(DataError, match="No snapshot 'abc' is recorded. Run the training from its first task."):
        find_snapshot("abc")
