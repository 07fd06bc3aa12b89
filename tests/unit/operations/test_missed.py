"""Missed work is found once it is certain that no event will start it, and is done."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.ingestion import ingest
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import DAILY
from include.evergreen.monitoring import list_observations, monitor
from include.evergreen.operations.missed import GRACE, LOOK_BACK, Missed, make_up_for, missed_work
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import partition_versions
from include.evergreen.state.stage_status import find_stage, record_stage
from tests.unit.flights import january, republish, shifted

CHAMPION_AS_OF, LAST = january(17), january(21)
DAYS = DAILY.between(CHAMPION_AS_OF, LAST)  # that a champion may score and all of whose inputs are there
MODEL = "air_time"


@pytest.fixture(autouse=True)
def _home(trained: Path) -> None:
    """Champions as of 17 January, promoted when 1-21 January was ingested: nothing is scored."""


def at(monkeypatch: pytest.MonkeyPatch, later: dt.timedelta) -> None:
    now = dt.datetime.now(dt.UTC) + later
    monkeypatch.setattr(clock, "now", lambda: now)


def of_model(found: list[Missed], model: str = MODEL) -> list[tuple[str, int]]:
    return [(each.stage, int(each.partition[-2:])) for each in found if each.model == model]


def test_what_an_event_may_still_start_was_not_missed(catalog: Catalog) -> None:
    assert missed_work(catalog) == []


def test_days_whose_inputs_came_before_the_champion_are_found_and_those_that_it_has_seen_are_not(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, 2 * GRACE)
    found = missed_work(catalog)
    assert of_model(found) == of_model(found, "flight_delay") == [("score", int(day[-2:])) for day in DAYS]
    assert str(found[0]).startswith("air_time 2013-01-17: score has not read schedules/2013-01-17, ")


def test_making_up_for_it_leaves_nothing(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 2 * GRACE)
    [first, *_] = [each for each in missed_work(catalog) if each.model == MODEL]
    assert make_up_for(catalog, first).status == "done"
    at(monkeypatch, 4 * GRACE)
    left = of_model(missed_work(catalog))
    assert left == [*(("score", int(day[-2:])) for day in DAYS[1:]), ("monitor", 17)]
    assert find_predictions(MODEL, CHAMPION_AS_OF).origin == "live"  # type: ignore[union-attr]  # as its inputs were
    last = next(each for each in missed_work(catalog) if (each.model, each.stage) == (MODEL, "monitor"))
    assert make_up_for(catalog, last).status == "done"
    assert {each.origin for each in list_observations(MODEL)} == {"live"}
    at(monkeypatch, 6 * GRACE)
    assert of_model(missed_work(catalog)) == left[:-1]


def test_a_correction_and_a_truth_whose_events_were_lost_are_found(
    catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in DAYS:
        score(catalog, air_time, day, "live")
        monitor(catalog, air_time, day, "live")
    republish("weather", january(19), shifted("wind_speed", 10))
    republish("outcomes", january(21), shifted("air_time", 1))
    at(monkeypatch, 2 * GRACE)
    found = [each for each in missed_work(catalog) if each.model == MODEL]
    assert [(each.stage, int(each.partition[-2:]), each.news) for each in found] == [
        ("score", 20, ("weather/2013-01-19",)),
        ("monitor", 21, ("outcomes/2013-01-21",)),
    ]


def test_the_same_work_has_the_same_mark_and_a_later_correction_another(
    catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def marks() -> list[str]:
        return [each.mark for each in missed_work(catalog) if (each.model, each.partition) == (MODEL, january(20))]

    at(monkeypatch, 2 * GRACE)
    first = marks()
    at(monkeypatch, 24 * GRACE)
    assert marks() == first
    republish("weather", january(19), shifted("wind_speed", 10))
    at(monkeypatch, 26 * GRACE)
    assert marks() != first


def test_what_was_published_long_ago_is_a_persons_decision(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    began = clock.now() - dt.timedelta(days=1)
    at(monkeypatch, LOOK_BACK + GRACE)
    assert missed_work(catalog) == []
    assert of_model(missed_work(catalog, since=began)) == [("score", int(day[-2:])) for day in DAYS]


def test_a_day_that_waits_is_recorded_with_what_it_waits_for_and_since_when(
    catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = january(22)  # of which the weather and the outcomes of the day before are there
    missed_work(catalog)
    assert find_stage(MODEL, "score", waiting) is None
    at(monkeypatch, 2 * GRACE)
    missed_work(catalog)
    record = find_stage(MODEL, "score", waiting)
    assert record is not None
    assert (record.status, record.detail["waiting_for"]) == ("waiting", ["schedules/2013-01-22"])
    assert record.since < record.recorded_at - GRACE
    ingest(catalog.dataset("schedules"), waiting, "live")
    at(monkeypatch, 4 * GRACE)
    assert ("score", 22) in of_model(missed_work(catalog))


def test_data_at_fault_fails_in_words_and_alone(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 2 * GRACE)
    with writing() as connection:
        gone = (partition_versions.c.dataset == "schedules") & (partition_versions.c.partition == LAST)
        connection.execute(partition_versions.update().where(gone).values(path="datasets/schedules/gone.parquet"))
    first, *_, last = [each for each in missed_work(catalog) if each.model == MODEL]
    outcomes = [make_up_for(catalog, each) for each in (last, first)]
    assert [each.status for each in outcomes] == ["failed", "done"]
    assert "schedules/gone.parquet" in outcomes[0].message


def test_a_broken_declaration_leaves_out_its_model_alone(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import shutil

    include = tmp_path / "include"
    shutil.copytree(catalog.root, include, ignore=shutil.ignore_patterns("evergreen", "__pycache__"))
    path = include / "models" / "flight_delay" / "model.yaml"
    path.write_text(path.read_text().replace("owner:", "ownr:"))
    at(monkeypatch, 2 * GRACE)
    assert {each.model for each in missed_work(Catalog(include))} == {MODEL}
    assert "flight_delay is left out" in caplog.text


def test_a_record_of_what_is_done_is_not_overwritten(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    record_stage(MODEL, "score", january(20), "done", {"message": "by hand"})
    at(monkeypatch, 2 * GRACE)
    missed_work(catalog)
    assert find_stage(MODEL, "score", january(20)).status == "done"  # type: ignore[union-attr]
