"""What a stage has to do for a partition, and which event starts it."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.calendar import Calendar
from include.evergreen.config.labels import LabelSource
from include.evergreen.config.moments import WHEN_IT_BEGINS
from include.evergreen.data.correct_knowledge import correct_knowledge
from include.evergreen.data.ingestion import ingest
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import NO_SPAN, Span
from include.evergreen.gates.decision import all_decisions
from include.evergreen.monitoring import monitor
from include.evergreen.registry import champions
from include.evergreen.scoring import readiness
from include.evergreen.scoring import score as scoring
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.readiness import News, Readiness
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import partition_versions, prediction_sets, recipes, stage_records
from tests.unit.flights import NEW_YORK, january, republish, rows_of, shifted, with_other_features

pytestmark = pytest.mark.sqlite_only  # state/database/test_on_postgresql.py has what a server may tell otherwise

MODEL = "air_time"
LABELS = LabelSource("outcomes")
DAY, YESTERDAY = january(20), january(19)
NEXT = january(22)  # the first day of which nothing is there yet but its weather and outcomes
INPUTS = (("schedules", NEXT), ("weather", january(21)), ("outcomes", january(21)))
LATER = dt.timedelta(minutes=10)


@pytest.fixture(autouse=True)
def _home(trained: Path) -> None:
    """A champion as of 17 January, and 1-21 January ingested."""


@pytest.fixture
def nothing_of_next() -> None:
    with writing() as connection:
        for dataset, day in INPUTS:
            table = partition_versions.c
            connection.execute(partition_versions.delete().where(table.dataset == dataset, table.partition == day))


def test_a_partition_waits_until_its_last_input_is_there(catalog: Catalog) -> None:
    ready = _scoring(MODEL, NEXT)
    assert (ready.missing, ready.is_due) == (("schedules/2013-01-22",), False)
    deliver(catalog, "schedules", NEXT)
    assert _scoring(MODEL, NEXT).is_due


@pytest.mark.parametrize("order", list(itertools.permutations(INPUTS)))
@pytest.mark.usefixtures("nothing_of_next")
def test_the_last_input_starts_the_scoring_whatever_the_order(order: tuple[readiness.Key, ...], catalog: Catalog) -> None:
    started = []
    for dataset, day in order:
        deliver(catalog, dataset, day)
        started.append(starts((dataset, day)))
    assert started == [False, False, True]


@pytest.mark.parametrize("events", list(itertools.permutations(INPUTS)))
@pytest.mark.usefixtures("nothing_of_next")
def test_inputs_that_were_all_published_before_any_event_came_start_it_once(events: tuple[readiness.Key, ...], catalog: Catalog) -> None:
    for dataset, day in INPUTS:
        deliver(catalog, dataset, day)
    assert [key for key in events if starts(key)] == [INPUTS[-1]]


@pytest.mark.usefixtures("nothing_of_next")
def test_a_publisher_that_died_before_its_event_starts_it_by_its_retry(catalog: Catalog) -> None:
    for dataset, day in INPUTS:
        deliver(catalog, dataset, day)
    deliver(catalog, *INPUTS[-1])  # the content is the same, and so no new version
    assert starts(INPUTS[-1])


@pytest.mark.usefixtures("nothing_of_next")
def test_a_publication_whose_event_never_came_is_made_up_for_by_the_next_one(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    for dataset, day in INPUTS:
        deliver(catalog, dataset, day)
    assert not starts(INPUTS[0])
    later(monkeypatch)
    assert starts(INPUTS[0])


def test_without_a_champion_nothing_is_started(catalog: Catalog) -> None:
    ready = _scoring(MODEL, january(16))
    assert (ready.is_due, ready.blocker) == (False, "no champion with an as_of up to 2013-01-16")
    assert not _scoring("a_model_that_was_added_today", DAY).is_due


def test_a_stage_is_due_when_there_is_something_new_and_nothing_is_missing_or_in_its_way() -> None:
    new = (News("weather/2013-01-21", "live", clock.now()),)
    assert Readiness(news=new).is_due
    assert not Readiness().is_due
    assert not Readiness(news=new, missing=("weather/2013-01-20",)).is_due
    assert not Readiness(news=new, blocker="no champion").is_due


def test_a_model_that_was_promoted_after_its_inputs_came_has_work(catalog: Catalog) -> None:
    assert _scoring(MODEL, january(17)).is_due  # its inputs came before the champion


def test_content_that_is_published_again_unchanged_starts_nothing(catalog: Catalog, air_time: ModelConfig) -> None:
    scored(catalog, air_time)
    deliver(catalog, "weather", YESTERDAY)
    assert not starts(("weather", YESTERDAY), DAY)


def test_a_correction_starts_the_day_that_read_it_and_no_other(
    catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(catalog, air_time)
    republish("weather", YESTERDAY, shifted("wind_speed", 10))
    assert starts(("weather", YESTERDAY), DAY)
    assert "weather/2013-01-19" not in [each.name for each in _scoring(MODEL, YESTERDAY).news]
    later(monkeypatch)
    assert starts(("weather", YESTERDAY), DAY)
    scored(catalog, air_time)
    assert not starts(("weather", YESTERDAY), DAY)


def test_a_correction_that_is_taken_back_before_it_was_scored_starts_nothing(catalog: Catalog, air_time: ModelConfig) -> None:
    scored(catalog, air_time)
    republish("weather", YESTERDAY, shifted("wind_speed", 10))
    deliver(catalog, "weather", YESTERDAY)
    assert not _scoring(MODEL, DAY).is_due


def test_a_correction_that_was_known_too_late_for_the_day_starts_nothing(catalog: Catalog, air_time: ModelConfig) -> None:
    scored(catalog, air_time)
    republish("weather", YESTERDAY, shifted("wind_speed", 10), knowledge_time=NEW_YORK.start(DAY) + dt.timedelta(hours=1))
    assert not starts(("weather", YESTERDAY), DAY)


def test_an_input_of_which_it_was_said_later_that_nobody_knew_it_then_starts_nothing(catalog: Catalog, air_time: ModelConfig) -> None:
    scored(catalog, air_time)
    known_at = NEW_YORK.start(DAY) + dt.timedelta(hours=1)
    correct_knowledge(catalog.dataset("weather"), YESTERDAY, YESTERDAY, known_at=known_at, actor="ann", reason="it came late")
    assert not _scoring(MODEL, DAY).is_due


def test_two_corrections_at_once_start_the_scoring_once(catalog: Catalog, air_time: ModelConfig) -> None:
    scored(catalog, air_time)
    republish("weather", YESTERDAY, shifted("wind_speed", 10))
    republish("schedules", DAY, shifted("distance", 10))
    assert [starts(("weather", YESTERDAY), DAY), starts(("schedules", DAY), DAY)] == [False, True]


def test_a_correction_that_comes_while_the_day_is_scored_is_read(
    catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = scoring.feature_batches
    corrections = iter([10])

    def read_and_correct(*arguments: Any) -> Any:
        read = iter(list(batches(*arguments)))
        for correction in corrections:
            republish("weather", YESTERDAY, shifted("wind_speed", correction))
        return read

    monkeypatch.setattr(scoring, "feature_batches", read_and_correct)
    scored(catalog, air_time)
    assert not starts(("weather", YESTERDAY), DAY)


def test_a_scoring_that_is_overtaken_again_and_again_leaves_what_there_was_and_is_worth_a_retry(
    catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = scoring.feature_batches
    corrections = iter(range(1, 10))

    def read_and_correct(*arguments: Any) -> Any:
        read = iter(list(batches(*arguments)))
        republish("weather", YESTERDAY, shifted("wind_speed", next(corrections)))
        return read

    with monkeypatch.context() as patch, pytest.raises(scoring.OvertakenError, match=f"weather/{YESTERDAY} changed while it was scored"):
        patch.setattr(scoring, "feature_batches", read_and_correct)
        scored(catalog, air_time)
    assert find_predictions("air_time", DAY) is None
    scored(catalog, air_time)
    assert find_predictions("air_time", DAY) is not None


def test_what_is_read_is_what_the_champion_was_trained_on_and_not_what_is_declared_now(catalog: Catalog, tmp_path: Path) -> None:
    changed = with_other_features(catalog, tmp_path / "include")
    declared = changed.model_path(MODEL)
    declared.write_text(declared.read_text().replace("{dataset: weather, lag: 1 day}", "{dataset: weather, lag: 2 days}"))
    champion = champions.champion(MODEL)
    assert champion
    assert ("weather", YESTERDAY) in readiness.inputs_of(champion).keys(DAY)


def test_a_version_of_a_release_that_kept_no_recipe_reads_what_is_declared(catalog: Catalog) -> None:
    with writing() as connection:
        connection.execute(recipes.delete())
    readiness._kept_inputs.cache_clear()
    champion = champions.champion(MODEL)
    assert champion
    assert readiness.inputs_of(champion).keys(DAY) == [("schedules", DAY), ("weather", YESTERDAY), ("outcomes", YESTERDAY)]


def test_a_challenger_whose_own_input_comes_after_the_champion_has_scored_may_join(
    catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(catalog, air_time)
    schedules, outcomes = ("schedules", Calendar(NEW_YORK), NO_SPAN, None), ("outcomes", Calendar(NEW_YORK), Span(2, "day"), None)
    own = {
        1: readiness.Inputs(NEW_YORK, WHEN_IT_BEGINS, (schedules,)),
        2: readiness.Inputs(NEW_YORK, WHEN_IT_BEGINS, (schedules, outcomes)),
    }
    monkeypatch.setattr(readiness, "inputs_of", lambda version: own[version.version])
    assert not _scoring(MODEL, DAY, ("outcomes", january(18))).is_due, "there is no challenger"
    champions.register(MODEL, all_decisions(MODEL)[0].run_key)
    assert _scoring(MODEL, DAY, ("outcomes", january(18))).is_due
    assert not _scoring(MODEL, DAY, ("outcomes", january(17))).is_due
    with writing() as connection:
        connection.execute(prediction_sets.update().values(challenger_version=2))
    assert not _scoring(MODEL, DAY, ("outcomes", january(18))).is_due, "it has scored the day already"


def test_what_an_older_release_scored_is_compared_by_when_it_was_scored(catalog: Catalog, air_time: ModelConfig) -> None:
    scored(catalog, air_time)
    with writing() as connection:
        connection.execute(stage_records.update().values(detail={"message": "done"}))
    assert not _scoring(MODEL, DAY).is_due
    republish("weather", YESTERDAY, shifted("wind_speed", 10))
    assert starts(("weather", YESTERDAY), DAY)


# --- live or backfill -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("news", "previous_origin", "origin"),
    [
        (["backfill", "backfill"], "", "backfill"),
        (["backfill", "live"], "", "live"),
        (["backfill"], "live", "backfill"),  # a correction by backfill makes nobody's night
        (["live"], "backfill", "live"),
        ([], "live", "live"),
        ([], "", "backfill"),
    ],
)
def test_what_is_made_is_live_when_anything_new_to_it_is(news: list[str], previous_origin: str, origin: str) -> None:
    found = tuple(News(str(number), each, clock.now()) for number, each in enumerate(news))
    assert Readiness(news=found, previous_origin=previous_origin).origin == origin


def test_a_live_schedule_makes_the_scoring_live_though_its_weather_was_backfilled(catalog: Catalog) -> None:
    with writing() as connection:
        connection.execute(partition_versions.update().values(origin="backfill"))
    assert _scoring(MODEL, NEXT).origin == "backfill"
    deliver(catalog, "schedules", NEXT)
    assert _scoring(MODEL, NEXT).origin == "live"


# --- monitoring -------------------------------------------------------------------------------------------------------


def test_a_day_that_was_not_scored_is_not_monitored_when_its_truth_arrives() -> None:
    ready = readiness.monitoring(MODEL, DAY, LABELS)
    assert (ready.missing, ready.is_due) == ((f"predictions of {MODEL}/2013-01-20",), False)


def test_a_day_is_monitored_when_it_was_scored_and_once_more_when_its_truth_arrives(catalog: Catalog, air_time: ModelConfig) -> None:
    deliver(catalog, "schedules", NEXT)
    scored(catalog, air_time, NEXT)
    assert news_to_monitor(NEXT) == ["predictions"]
    monitor(catalog, air_time, NEXT, "live")
    assert news_to_monitor(NEXT) == []
    deliver(catalog, "outcomes", NEXT)
    assert news_to_monitor(NEXT) == ["outcomes/2013-01-22"]
    monitor(catalog, air_time, NEXT, "live")
    deliver(catalog, "outcomes", NEXT)
    assert news_to_monitor(NEXT) == []


def test_other_predictions_are_monitored_again(catalog: Catalog, air_time: ModelConfig) -> None:
    scored(catalog, air_time)
    monitor(catalog, air_time, DAY, "live")
    republish("schedules", DAY, lambda rows: rows.iloc[1:])
    scored(catalog, air_time)
    assert news_to_monitor(DAY) == ["predictions"]


def test_what_an_older_release_monitored_is_compared_by_when_it_was_monitored_and_noted_anew(
    catalog: Catalog, air_time: ModelConfig
) -> None:
    scored(catalog, air_time)
    monitor(catalog, air_time, DAY, "live")
    with writing() as connection:
        connection.execute(stage_records.update().where(stage_records.c.stage == "monitor").values(detail={"message": "drift.share 0.1"}))
    assert news_to_monitor(DAY) == []
    assert monitor(catalog, air_time, DAY, "live").status == "unchanged"
    [record] = [each for each in rows_of(stage_records) if each.stage == "monitor"]
    assert record.detail["message"] == "drift.share 0.1" and set(record.detail["read"]) == {"predictions", "truth"}


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_an_event_asks_a_handful_of_questions_however_long_the_history_is(catalog: Catalog, air_time: ModelConfig) -> None:
    scored(catalog, air_time)
    _scoring(MODEL, NEXT)  # recipes are kept from now on
    assert len(statements(lambda: _scoring(MODEL, DAY, ("weather", YESTERDAY)))) <= 2
    assert len(statements(lambda: _scoring(MODEL, NEXT))) <= 5
    assert len(statements(lambda: readiness.monitoring(MODEL, DAY, LABELS))) <= 3


def test_every_question_is_answered_by_an_index(catalog: Catalog, air_time: ModelConfig) -> None:
    scored(catalog, air_time)
    asked = statements(lambda: (_scoring(MODEL, DAY), _scoring(MODEL, NEXT), readiness.monitoring(MODEL, DAY, LABELS)))
    with reading() as connection:
        for statement in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("",) * statement.count("?")).all()
            assert [step.detail for step in plan if step.detail.startswith("SCAN")] == [], statement


def statements(ask: Callable[[], object]) -> list[str]:
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            found.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    return found


def deliver(catalog: Catalog, dataset: str, day: Partition) -> None:
    ingest(catalog.dataset(dataset), day, "live")


def starts(published: readiness.Key, partition: Partition = NEXT) -> bool:
    return _scoring(MODEL, partition, published).is_started_by(readiness.partition_name(published))


def scored(catalog: Catalog, model: ModelConfig, partition: Partition = DAY) -> None:
    assert scoring.score(catalog, model, partition, "live").is_done


def news_to_monitor(partition: Partition) -> list[str]:
    ready = readiness.monitoring(MODEL, partition, LABELS)
    assert ready.is_due == bool(ready.news)
    return [each.name for each in ready.news]


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was published was published a while ago."""
    now = clock.now() + LATER
    monkeypatch.setattr(clock, "now", lambda: now)


def _scoring(model: str, partition: Partition, published: readiness.Key | None = None) -> readiness.Readiness:
    return readiness.scoring(model, partition, published, moment=NEW_YORK.start(partition))
