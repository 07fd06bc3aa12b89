"""When it happened, and when it was known: versions of partitions, and reads as of a date. On the flights that ship."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pandas as pd
import pytest

from include.evergreen.config import Catalog, DatasetConfig, ModelConfig
from include.evergreen.config.datasets import Knowledge
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import PartitionVersion, current_partition, read_partition
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.span import Span
from include.evergreen.state.database.tables import partition_versions
from include.evergreen.training.take_snapshot import take_snapshot
from tests.unit.flights import INGESTED_UNTIL, NEW_YORK, brief, change_landing, january, rows_of

CORRECTED, LEARNED = january(5), january(20)
MONTH = DAILY.between(january(1), january(31))


@pytest.fixture
def three_weeks(flights: Path, _landed_template: Path) -> None:
    """1-21 January ingested, and the file of the day that will be corrected."""
    shutil.copy(_landed_template / "landing" / "outcomes" / f"{CORRECTED}.csv", flights / "landing" / "outcomes")


def test_a_late_correction_is_seen_by_trainings_as_of_later_days_and_by_no_earlier_ones(
    three_weeks: None, catalog: Catalog, flight_delay: ModelConfig
) -> None:
    model = brief(flight_delay).model_copy(update={"train": brief(flight_delay).train.model_copy(update={"window": Span(24, "day")})})
    for day in DAILY.between(DAILY.shift(INGESTED_UNTIL, 1), january(24)):
        for name in catalog.dataset_names():
            ingestion.ingest(catalog.dataset(name), day, "live")
    as_of_10, as_of_25 = take_snapshot(catalog, model, january(10)), take_snapshot(catalog, model, january(25))

    change_landing("outcomes", CORRECTED, lambda rows: rows.assign(arr_delay="99"))
    corrected, is_new = ingestion.ingest(catalog.dataset("outcomes"), CORRECTED, "live", known_at=NEW_YORK.start(LEARNED))

    assert (corrected.version, is_new, corrected.knowledge_time) == (2, True, NEW_YORK.start(LEARNED))
    assert take_snapshot(catalog, model, january(10)) == as_of_10
    assert take_snapshot(catalog, model, DAILY.shift(LEARNED, -1)).frame()["target"].mean() < 0.5
    later = take_snapshot(catalog, model, january(25))
    assert later.digest != as_of_25.digest
    of_that_day = later.frame().query(f"partition == '{CORRECTED}'")["target"]
    assert (of_that_day == 1).all() and not (as_of_25.frame().query(f"partition == '{CORRECTED}'")["target"] == 1).all()


def test_the_rows_of_a_day_within_a_training_are_features_of_what_was_known_on_that_day(three_weeks: None, catalog: Catalog) -> None:
    """Training as of the 25th computes the features of the 8th from what was known on the 8th, correction or not."""
    change_landing("outcomes", CORRECTED, lambda rows: rows.assign(arr_delay="99"))
    ingestion.ingest(catalog.dataset("outcomes"), CORRECTED, "live", known_at=NEW_YORK.start(LEARNED))
    cache = PartitionCache(january(21), model=catalog.model("air_time"))
    assert [each.version for each in cache.known("outcomes", january(8), CORRECTED, CORRECTED)] == [1]
    assert [each.version for each in cache.known("outcomes", LEARNED, CORRECTED, CORRECTED)] == [2]


@pytest.mark.usefixtures("landed")
class TestWhenAVersionIsKnown:
    def test_a_first_version_is_known_by_the_rule(self, catalog: Catalog) -> None:
        assert _ingest(catalog.dataset("outcomes")).knowledge_time == NEW_YORK.start(january(6))

    def test_a_correction_in_a_live_run_is_known_when_it_arrives(self, catalog: Catalog) -> None:
        first = _ingest(catalog.dataset("outcomes"))
        before = clock.now()
        _correct()
        second = _ingest(catalog.dataset("outcomes"))
        assert second.version == 2
        assert first.knowledge_time < before <= second.knowledge_time <= clock.now()

    def test_a_backfill_is_known_by_the_rule_even_when_it_corrects(self, catalog: Catalog) -> None:
        _ingest(catalog.dataset("outcomes"))
        _correct()
        second = _ingest(catalog.dataset("outcomes"), "backfill")
        assert (second.version, second.knowledge_time) == (2, NEW_YORK.start(january(6)))

    def test_a_dataset_may_say_that_its_corrections_mend_what_was_known_all_along(self, catalog: Catalog) -> None:
        weather = catalog.dataset("weather")
        assert weather.knowledge.corrections == "rule"
        _ingest(weather)
        change_landing("weather", CORRECTED, lambda rows: rows.assign(temp="33"))
        assert (_ingest(weather).version, _ingest(weather).knowledge_time) == (2, NEW_YORK.start(january(6)))

    def test_a_dataset_may_be_known_from_arrival_but_backfilled_by_the_rule(self, catalog: Catalog) -> None:
        outcomes = _knowing(catalog.dataset("outcomes"), first="arrival")
        before = clock.now()
        assert _ingest(outcomes).knowledge_time >= before
        other = january(6)
        assert ingestion.ingest(outcomes, other, "backfill")[0].knowledge_time == NEW_YORK.start(january(7))

    def test_arrival_never_comes_before_the_rule(self, catalog: Catalog) -> None:
        """A delivery that is early, as a forecast is, is not known before its declaration says so."""
        a_century = 24.0 * 366 * 100
        outcomes = _knowing(catalog.dataset("outcomes"), first="arrival", hours_after_end=a_century)
        assert _ingest(outcomes).knowledge_time == NEW_YORK.end(CORRECTED) + dt.timedelta(hours=a_century)

    def test_with_a_column_the_first_version_is_known_with_its_first_row_and_a_correction_with_its_last(self, catalog: Catalog) -> None:
        weather = catalog.dataset("weather")
        by_column = weather.model_copy(update={"knowledge": Knowledge(hours_after_partition=24, column="time_hour")})
        first = _ingest(by_column)
        rows = read_partition(first)
        assert (first.knowledge_column, first.knowledge_time) == ("time_hour", rows["time_hour"].min().to_pydatetime())
        change_landing("weather", CORRECTED, lambda rows: rows.assign(temp="33"))
        assert _ingest(by_column).knowledge_time == rows["time_hour"].max().to_pydatetime()

    def test_unchanged_content_makes_no_version_and_keeps_its_knowledge_time(self, catalog: Catalog) -> None:
        first = _ingest(catalog.dataset("outcomes"))
        again, is_new = ingestion.ingest(catalog.dataset("outcomes"), CORRECTED, "live", known_at=NEW_YORK.start(january(20)))
        assert (again, is_new) == (first, False)


@pytest.mark.usefixtures("landed")
def test_what_is_corrected_back_to_what_it_was_is_a_third_version_with_the_first_ones_digest(catalog: Catalog) -> None:
    outcomes = catalog.dataset("outcomes")
    first = _ingest(outcomes)
    change_landing("outcomes", CORRECTED, lambda rows: rows.assign(air_time="77"))
    _ingest(outcomes)
    assert first.digest != current_partition("outcomes", CORRECTED).digest  # type: ignore[union-attr]
    frame = read_partition(first)
    change_landing("outcomes", CORRECTED, lambda rows: _as_delivered(rows, frame))
    third = _ingest(outcomes)
    assert (third.version, third.digest) == (3, first.digest)
    assert len(rows_of(partition_versions)) == 3


def _as_delivered(rows: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """``rows`` with the air time that ``frame`` has for them."""
    keys = ["carrier", "flight", "origin"]
    known = frame.assign(flight=frame["flight"].astype("string"))[[*keys, "air_time"]]
    merged = rows.drop(columns="air_time").merge(known, on=keys, how="left")
    return merged.assign(air_time=merged["air_time"].astype("string").fillna("NA"))[rows.columns]


def _correct() -> None:
    change_landing("outcomes", CORRECTED, lambda rows: rows.assign(arr_delay="99"))


def _knowing(dataset: DatasetConfig, **knowledge: object) -> DatasetConfig:
    declared = {**dataset.knowledge.model_dump(exclude={"column"}), **knowledge}
    return dataset.model_copy(update={"knowledge": Knowledge.model_validate(declared)})


def _ingest(dataset: DatasetConfig, origin: ingestion.Origin = "live") -> PartitionVersion:
    return ingestion.ingest(dataset, CORRECTED, origin)[0]
