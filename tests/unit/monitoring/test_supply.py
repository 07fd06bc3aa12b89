"""What a scored day was made from and how: each figure, and that nothing is observed where nothing was measured."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pandas as pd
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.partitions import current_partition
from include.evergreen.foundation.grain import Partition
from include.evergreen.monitoring.supply import supply_figures
from include.evergreen.scoring.predictions import PredictionSet, find_predictions, record_scoring
from include.evergreen.scoring.score import score
from include.evergreen.state import storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import candidates, partition_versions, validations
from include.evergreen.state.stage_status import record_stage
from tests.unit.flights import SECOND_AS_OF, january

pytestmark = [pytest.mark.usefixtures("trained"), pytest.mark.sqlite_only]
DAY = january(20)
Scored = Callable[[], PredictionSet]


@pytest.fixture
def scored(catalog: Catalog, air_time: ModelConfig) -> PredictionSet:
    score(catalog, air_time, DAY, "live")
    found = find_predictions("air_time", DAY)
    assert found is not None
    return found


def figures(model: ModelConfig, scored: PredictionSet) -> dict[str, float]:
    return {each.name: each.value for each in supply_figures(model, scored)}


def rows_of(dataset: str, *days: Partition) -> int:
    versions = [current_partition(dataset, day) for day in days]
    return sum(version.rows for version in versions if version)


def test_freshness_is_how_long_after_its_end_the_last_input_came_first(air_time: ModelConfig, scored: PredictionSet) -> None:
    for each in air_time.inputs:
        newest = air_time.newest(each.dataset, DAY)
        hours = 30 if each.dataset == "weather" else -2
        _came(each.dataset, newest, air_time.grain_of(each.dataset).end(newest) + dt.timedelta(hours=hours), "live")
    assert figures(air_time, scored)["freshness.hours"] == 30
    _came("weather", air_time.newest("weather", DAY), air_time.grain.end(DAY) + dt.timedelta(days=999), "backfill")
    assert figures(air_time, scored)["freshness.hours"] == -2, "a backfill says nothing of when the source delivers"
    for each in air_time.inputs:
        newest = air_time.newest(each.dataset, DAY)
        _came(each.dataset, newest, air_time.grain_of(each.dataset).end(newest), "backfill")
    assert "freshness.hours" not in figures(air_time, scored)


def test_volume_is_told_beside_the_same_weekdays_of_the_weeks_before(air_time: ModelConfig, scored: PredictionSet) -> None:
    observed = figures(air_time, scored)
    assert observed["volume.rows"] == scored.rows
    assert "volume.relative" not in observed
    _scored_earlier(january(13), 400)
    _scored_earlier(january(19), 7)  # a Saturday
    assert "volume.relative" not in figures(air_time, scored), "one Sunday says nothing of Sundays"
    _scored_earlier(january(6), 600)
    assert figures(air_time, scored)["volume.relative"] == scored.rows / 500


def test_an_empty_day_is_seen_by_a_rule_on_its_volume_and_has_no_shares(air_time: ModelConfig, scored: PredictionSet) -> None:
    _scored_earlier(DAY, 0)
    empty = find_predictions("air_time", DAY)
    assert empty is not None and empty.rows == 0
    told = {each.name: each for each in supply_figures(air_time, empty)}
    assert (told["volume.rows"].value, told["volume.rows"].rows) == (0, 1), "a rule looks at figures of one row or more"
    assert not {"quality.missing_share", "scoring.seconds_per_1000_rows"} & told.keys()


def test_missing_values_and_failed_checks_are_counted(air_time: ModelConfig, scored: PredictionSet) -> None:
    before = figures(air_time, scored)
    frame = scored.frame()
    feature = air_time.feature_names[0]
    known = int(frame[feature].notna().sum())
    storage.write_frame(scored.path, frame.assign(**{feature: pd.Series(float("nan"), index=frame.index)}))
    cells = len(frame) * len(air_time.feature_names)
    assert figures(air_time, scored)["quality.missing_share"] == pytest.approx(before["quality.missing_share"] + known / cells)
    assert before["quality.failed_checks"] == 0
    checks = [{"passed": False}, {"passed": True}, {"passed": False}]
    with writing() as connection:
        connection.execute(validations.update().where(validations.c.partition == DAY).values(result={"checks": checks}))
    assert figures(air_time, scored)["quality.failed_checks"] == 2


def test_scoring_speed_is_that_of_the_scoring_and_stays_when_it_finds_nothing_new(
    catalog: Catalog, air_time: ModelConfig, scored: PredictionSet
) -> None:
    speed = figures(air_time, scored)["scoring.seconds_per_1000_rows"]
    assert speed > 0
    assert score(catalog, air_time, DAY, "live").status == "unchanged"
    assert figures(air_time, scored)["scoring.seconds_per_1000_rows"] == speed
    record_stage("air_time", "score", DAY, "done", {"message": "of an earlier release"})
    assert "scoring.seconds_per_1000_rows" not in figures(air_time, scored)


def test_what_has_come_since_the_last_training_is_counted_in_partition_time(air_time: ModelConfig, scored: PredictionSet) -> None:
    observed = figures(air_time, scored)
    assert january(19) == SECOND_AS_OF, "of a candidate that serves nothing, and was trained all the same"
    assert observed["training.age_days"] == 1
    assert observed["training.new_rows"] == rows_of("schedules", january(19), january(20))
    assert observed["training.new_labels"] == rows_of("outcomes", january(19)), "those of the day itself are still to come"
    with writing() as connection:
        connection.execute(candidates.update().values(as_of=january(21)))
    assert not [name for name in figures(air_time, scored) if name.startswith("training.")]


def _came(dataset: str, partition: Partition, moment: dt.datetime, origin: str) -> None:
    this = (partition_versions.c.dataset == dataset, partition_versions.c.partition == partition)
    with writing() as connection:
        connection.execute(partition_versions.update().where(*this).values(arrived_at=moment, origin=origin))


def _scored_earlier(partition: Partition, rows: int) -> None:
    values = {"version": 1, "challenger_version": 0, "digest": f"{rows}", "path": f"{rows}", "input_digest": "i", "origin": "live"}
    with writing() as connection:
        record_scoring(connection, "air_time", partition, rows=rows, **values)
