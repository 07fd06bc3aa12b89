"""A table that each delivery replaces whole: what is delivered early, late, again and too late, and which days that scores again."""

from __future__ import annotations

import datetime as dt
import itertools
import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.calendar import Calendar
from include.evergreen.config.check import check_catalog
from include.evergreen.data import ingestion
from include.evergreen.data.knowledge import DeliveredVersion, knowledge_time
from include.evergreen.data.partitions import current_partition, publish_partition
from include.evergreen.features.build import feature_frame
from include.evergreen.features.lineage import lineage
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.features.reader import PointInTimeReader
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import DAILY, Grain, Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.foundation.span import Span
from include.evergreen.operations.diagnose import why
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.operations.maintenance import Limits, apply_retention
from include.evergreen.operations.missed import missed_work
from include.evergreen.operations.timetable import explain
from include.evergreen.scoring import readiness
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from tests.unit.test_shapes import FOLDER, Living

HOUR = dt.timedelta(hours=1)
SHOPS = "shops"
MODEL = {
    "name": "m",
    "description": "x",
    "owner": "x",
    "task": "regression",
    "target": {"dataset": "labels", "column": "y"},
    "features": [{"name": "f", "kind": "numeric", "description": "x"}],
    "train": {"estimator": "sklearn.linear_model.Ridge"},
    "gate": {"criteria": [{"kind": "absolute", "metric": "mae", "at_most": 1}]},
}


@pytest.fixture
def shape(home: Path, monkeypatch: pytest.MonkeyPatch) -> Living:
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(FOLDER / "replaced_table"))
    return Living("replaced_table")


def due(shape: Living, days: list[Partition]) -> list[Partition]:
    model = shape.model
    return [day for day in days if readiness.scoring(model.name, day, moment=model.moment(day)).is_due]


def delivered(shape: Living, day: Partition, known: dt.datetime, like: Partition | None = None) -> None:
    dataset = shape.catalog.dataset(SHOPS)
    shape.deliver(dataset, day, known, shape.frame(dataset, like or day))


def score_all(shape: Living, days: list[Partition]) -> None:
    for day in days:
        assert score(shape.catalog, shape.model, day, "live").status == "done", day


def test_a_delivery_scores_again_just_the_days_that_read_it(shape: Living) -> None:
    catalog, model = shape.catalog, shape.model
    as_of = shape.first_as_of()
    shape.deliver_all(model.moment(as_of))
    run_cycle(catalog, model, as_of, reason="the first", actor="a person")
    days = DAILY.between(as_of, DAILY.shift(as_of, 8))
    shape.deliver_all(model.moment(days[-1]))
    assert due(shape, days) == days[1:]
    score_all(shape, days[1:])
    assert due(shape, days) == [], "what is delivered in time corrects nothing"
    first, second, *_ = (day for day in days if DAILY.begins(day).weekday() in shape.source.DELIVERED_ON)
    own = DAILY.between(first, DAILY.shift(second, -1))  # a day ends after the delivery of its morning
    rule = catalog.dataset(SHOPS).known_from
    before = {day: prediction_digest(model, day) for day in days}

    delivered(shape, first, model.moment(days[-1]), like=second)
    assert due(shape, days[:-1]) == [], "a correction of what was delivered is known when it arrives"
    delivered(shape, first, rule(first), like=DAILY.shift(first, -1))
    assert due(shape, days) == readiness.partitions_reading(model, SHOPS, first) == own, "unless it says that it was known"
    assert [(each.stage, each.partition) for each in missed_work(catalog, since=clock.now() - HOUR) if each.stage == "score"] == []
    score_all(shape, own)
    assert due(shape, days) == []
    assert {day for day in days if prediction_digest(model, day) != before[day]} == set(own)

    extra = DAILY.shift(first, 1)
    delivered(shape, extra, rule(extra), like=DAILY.shift(first, -1))
    assert due(shape, days) == [], "it is the same table"
    delivered(shape, extra, model.moment(days[-1]) + HOUR)
    assert readiness.partitions_reading(model, SHOPS, extra) == due(shape, days) == [], "it came after the next one had"
    between = DAILY.shift(extra, 1)
    delivered(shape, between, rule(between))
    assert due(shape, days) == DAILY.between(between, DAILY.shift(second, -1)), "one that comes late was known, by the rule"


def prediction_digest(model: ModelConfig, day: Partition) -> str:
    predictions = find_predictions(model.name, day)
    assert predictions is not None
    return predictions.digest


def test_a_day_waits_when_the_newest_delivery_is_too_old_and_is_told_what_brings_it(shape: Living) -> None:
    catalog, model = shape.catalog, shape.model
    as_of = shape.first_as_of()
    shape.deliver_all(model.moment(as_of))
    run_cycle(catalog, model, as_of, reason="the first", actor="a person")
    newest = next(day for day in reversed(DAILY.between("2024-03-01", as_of)) if current_partition(SHOPS, day))  # type: ignore[arg-type]
    late, too_late = DAILY.shift(newest, 7), DAILY.shift(newest, 8)  # a day is scored when the next one begins
    visits = catalog.dataset("visits")
    for day in (late, too_late):
        shape.deliver(visits, day, visits.known_from(day), shape.frame(visits, day))
    assert due(shape, [late, too_late]) == [late]
    waiting = score(catalog, model, too_late, "live")
    assert (waiting.status, waiting.facts["waiting_for"]) == ("waiting", [f"{SHOPS}/{DAILY.shift(too_late, 1)}"])
    told = "\n".join(why(catalog, model, too_late))
    assert f"no partition from {DAILY.shift(newest, 1)} to {DAILY.shift(too_late, 1)} was known at" in told
    assert f"Next: ingest a partition of {SHOPS} from" in told and "--known-at" in told
    delivered(shape, too_late, model.moment(too_late) + HOUR)
    assert due(shape, [too_late]) == [], "it was not known in time"
    delivered(shape, DAILY.shift(too_late, -1), model.moment(too_late))
    assert due(shape, [too_late]) == [too_late]
    assert score(catalog, model, too_late, "live").status == "done"


def test_a_table_without_a_past_is_known_when_it_arrives_whatever_is_ingested(shape: Living) -> None:
    dataset = shape.catalog.dataset(SHOPS)
    landing = Settings.from_environment().home / "landing" / SHOPS
    landing.mkdir(parents=True)
    shape.frame(dataset, Partition("2024-03-04")).to_csv(landing / "shops.csv", index=False)
    began = clock.now()
    for day, origin in (("2024-03-04", "live"), ("2024-03-07", "backfill")):
        version, _ = ingestion.ingest(dataset, Partition(day), origin)  # type: ignore[arg-type]
        assert version.knowledge_time >= began, day
    said = dt.datetime(2024, 2, 29, tzinfo=dt.UTC)
    version, _ = ingestion.ingest(dataset, Partition("2024-02-29"), "live", known_at=said)
    assert version.knowledge_time == said


def test_one_with_a_past_is_backfilled_by_the_rule() -> None:
    dataset = Catalog(FOLDER / "slowly_changing").dataset("customers")
    day, arrived = Partition("2024-03-04"), dt.datetime(2024, 3, 4, 7, tzinfo=dt.UTC)
    live, backfill = (knowledge_time(dataset, DeliveredVersion(day, origin, arrived, False)) for origin in ("live", "backfill"))
    assert (live, backfill) == (arrived, dt.datetime(2024, 3, 4, 1, tzinfo=dt.UTC))


def test_what_happens_when_is_told(shape: Living) -> None:
    told = explain(shape.catalog, shape.model, dt.datetime(2024, 4, 10, 12, tzinfo=dt.UTC))
    known = "known from 2024-04-08 05:00, ingested at 2024-04-08 05:00"
    assert f"      shops 2024-04-08, the newest known one, if it is at most 8 days old: {known}" in told


def test_a_feature_of_a_table_is_traced_to_its_columns(shape: Living) -> None:
    (origin,) = lineage(shape.catalog, shape.model)["area"][1:]
    assert (origin.dataset, origin.columns) == (SHOPS, ("shop", "area"))


def test_a_feature_of_a_dimension_is_traced_to_its_times() -> None:
    catalog = Catalog(FOLDER / "slowly_changing")
    orders, customers = lineage(catalog, catalog.model("returned"))["contract"]
    assert (orders.dataset, orders.columns) == ("orders", ("customer", "ordered_at"))
    assert (customers.dataset, customers.columns) == ("customers", ("customer", "contract", "valid_from", "valid_to"))


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("model", "shops, max_age: 8 days", "shops",
         "9: inputs[1].dataset: shops is a whole table, each of whose deliveries replaces the one before; say how old the one that is read "
         "may be, such as max_age: 8 days"),
        ("model", "max_age: 8 days", "max_age: 2 days",
         "9: inputs[1].max_age: 2 days is too short: shops comes by 0 5 * * 1,4 and is known 5 hours after its day begins, so that at some "
         "moments the newest known one is 4 days old; use at least 4"),
        ("model", "max_age: 8 days", "max_age: 8 days, lag: 1 day",
         "9: inputs[1].lag: is for partitions that are waited for; with max_age the newest known one is read: remove one"),
        ("model", "{dataset: visits}", "{dataset: visits, max_age: 3 days}",
         "5: rows: visits has max_age among the inputs, and rows are those of one partition; remove it there"),
        ("model", "max_age: 8 days", "max_age: 0 days", "9: inputs[1].max_age: 0 days is nothing; allowed: from 1 day on"),
        ("shops", "whole_table: true", "whole_table: false",
         "4: source: names no partition, so that every partition would have the same rows; use {partition}, or, if each delivery is"),
        ("shops", "{hours_after_partition: 5}", "{hours_after_partition: 5, first: rule}",
         "7: knowledge.first: rule would date the table of today to the past when an earlier partition is ingested, since the source "
         "names none; use first: arrival, or {partition} in the source"),
        ("shops", "{hours_after_partition: 5}", "{hours_after_partition: 5, corrections: rule}", "7: knowledge.corrections: rule would"),
        ("shops", "keys: [shop]", "keys: [shop]\nvalidity: {from: area}",
         "12: validity.from: 'area' must be a timestamp among the columns; allowed: none is declared"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(tmp_path: Path, file: str, old: str, new: str, problem: str) -> None:
    files = {"model": "models/takings_expected/model.yaml", "shops": "datasets/shops/dataset.yaml"}
    (found,) = changed("replaced_table", tmp_path, files[file], old, new)
    assert found.startswith(f"{tmp_path / files[file]}:{problem}")


def test_a_table_is_kept_for_as_long_as_a_training_goes_back(tmp_path: Path) -> None:
    for kept, words in ((29, "9: inputs[1].dataset: shops keeps a table for 29 days after it is replaced"), (30, "")):
        new = f"keys: [shop]\nretention: {{superseded_days: {kept}}}"
        found = changed("replaced_table", tmp_path, "datasets/shops/dataset.yaml", "keys: [shop]", new)
        assert len(found) == bool(words) and all(f"models/takings_expected/model.yaml:{words}" in each for each in found)


def test_a_delivery_that_was_replaced_long_ago_goes_and_the_newest_stays(shape: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.environ["EVERGREEN_HOME"]) / "include"
    changed("replaced_table", folder, "datasets/shops/dataset.yaml", "keys: [shop]", "keys: [shop]\nretention: {superseded_days: 30}")
    dataset = shape.catalog.dataset(SHOPS)
    began = clock.now()
    for number, day in enumerate(("2024-03-04", "2024-03-07", "2024-03-11")):
        monkeypatch.setattr(clock, "now", lambda number=number: began - dt.timedelta(days=50 - 15 * number))
        delivered(shape, Partition(day), dataset.known_from(Partition(day)))
    monkeypatch.setattr(clock, "now", lambda: began)
    assert apply_retention(Catalog(folder), Limits(), dry_run=True).versions == [f"{SHOPS} 2024-03-04 version 1"]
    assert apply_retention(Catalog(FOLDER / "replaced_table"), Limits()).versions == [], "all are kept unless it says otherwise"
    assert apply_retention(Catalog(folder), Limits()).versions == [f"{SHOPS} 2024-03-04 version 1"]
    assert apply_retention(Catalog(folder), Limits()).versions == []
    day = Partition("2024-03-06")
    with pytest.raises(DataError, match="was removed by retention on"):
        PointInTimeReader(shape.model, day, PartitionCache(day, model=shape.model, is_scored=True)).newest(SHOPS)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("keys: [customer, valid_from]", "keys: [customer]", "14: keys: must hold valid_from, from which the values of a row hold"),
        ("to: valid_to}", "to: ended}", "7: validity.to: 'ended' must be a timestamp among the columns; allowed: valid_from, valid_to"),
        ("to: valid_to}", "to: valid_from}", "7: validity.to: valid_from is one of the keys; name the column that says until when"),
    ],
)
def test_a_validity_that_cannot_work_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    (found,) = changed("slowly_changing", tmp_path, "datasets/customers/dataset.yaml", old, new)
    assert found.startswith(f"{tmp_path}/datasets/customers/dataset.yaml:{problem}")


def changed(shape: str, folder: Path, file: str, old: str, new: str) -> list[str]:
    """What `check` says of a shape in which one thing is another."""
    for each in (FOLDER / shape).glob("*/*/*.*"):
        copy = folder / each.relative_to(FOLDER / shape)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(each.read_text())
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    return check_catalog(Catalog(folder))


def test_a_delivery_that_is_known_before_its_day_counts_from_when_that_begins(shape: Living) -> None:
    model, visits = shape.model, shape.catalog.dataset("visits")
    today, announced, last = Partition("2024-03-11"), Partition("2024-03-14"), Partition("2024-03-16")
    for day in (today, announced):
        delivered(shape, day, DAILY.start(today) + HOUR)
    shape.deliver(visits, last, visits.known_from(last), shape.frame(visits, last))
    concerned = [readiness.partitions_reading(model, SHOPS, day) for day in (today, announced)]
    assert concerned == [["2024-03-11", "2024-03-12"], ["2024-03-13", "2024-03-14", "2024-03-15", "2024-03-16"]], (
        "a day is scored at its end"
    )


def test_the_reader_gives_the_table_as_it_was_known(shape: Living) -> None:
    model, dataset = shape.model, shape.catalog.dataset(SHOPS)
    day, older, newer = Partition("2024-03-13"), Partition("2024-03-07"), Partition("2024-03-11")
    reader = PointInTimeReader(model, day, PartitionCache(day, model=model, is_scored=True))
    with pytest.raises(DataError, match="takings_expected: no partition of shops from 2024-03-06 to 2024-03-14 was known on 2024-03-13"):
        reader.newest(SHOPS)
    delivered(shape, older, dataset.known_from(older))
    delivered(shape, newer, model.moment(day) + HOUR)

    def table(columns: list[str] | None = None) -> pd.DataFrame:
        return PointInTimeReader(model, day, PartitionCache(day, model=model, is_scored=True)).newest(SHOPS, columns)

    pd.testing.assert_frame_equal(table(), shape.frame(dataset, older))
    assert list(table(["area"]).columns) == ["area"]
    other = Partition("2024-03-12")
    delivered(shape, newer, model.moment(day), like=other)
    pd.testing.assert_frame_equal(table(), shape.frame(dataset, other))
    with pytest.raises(ConfigError, match=r"asks for a window of shops, of which model.yaml reads the newest known partition alone"):
        reader.window(SHOPS, span="1 day")
    with pytest.raises(ConfigError, match=r"asks for the newest partition of visits, which model.yaml reads by a window"):
        reader.newest("visits")


def test_an_older_delivery_is_found_however_long_ago_it_was(shape: Living) -> None:
    model, dataset = shape.model, shape.catalog.dataset(SHOPS)
    patient = model.model_copy(
        update={"inputs": (model.inputs[0], model.inputs[1].model_copy(update={"max_age": Span(3000, "day")}))}
    ).with_calendars(shape.catalog.calendar_of)
    day, long_ago = Partition("2024-03-13"), Partition("2019-05-06")
    delivered(shape, long_ago, dataset.known_from(long_ago))
    reader = PointInTimeReader(patient, day, PartitionCache(day, model=patient, is_scored=True))
    pd.testing.assert_frame_equal(reader.newest(SHOPS), shape.frame(dataset, long_ago))


def test_a_training_sees_of_each_day_the_table_that_was_known_then(shape: Living) -> None:
    catalog, model = shape.catalog, shape.model
    shape.deliver_all(model.moment(Partition("2024-03-20")))
    later = PartitionCache(Partition("2024-03-25"), model=model)
    for day, table in (
        ("2024-03-10", "2024-03-07"),
        ("2024-03-11", "2024-03-11"),
        ("2024-03-13", "2024-03-11"),
        ("2024-03-14", "2024-03-14"),
    ):
        _, features = feature_frame(catalog, model, Partition(day), later)
        assert features["area"].tolist() == shape.frame(catalog.dataset(SHOPS), Partition(table))["area"].tolist(), day


# --- which partitions a delivery concerns, whatever the grains ---------------------------------------------------------

GRAINS = [
    Grain("hour"), Grain(), Grain("day", "America/New_York"), Grain("week"), Grain("month"), Grain("6 hours", "America/New_York"),
    Grain("week from Sunday"), Grain("0 6,18 * * *", "Europe/Berlin"), Grain("0 0 1,16 * *"),
]  # fmt: skip
BEGINS = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
_number = itertools.count()


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[ModelConfig, str, dict[Partition, dt.datetime]]:
    """A model, its table's name, and when each of some deliveries was known, over a month that changes New York's clocks."""
    rows, table = draw(st.sampled_from(GRAINS)), draw(st.sampled_from(GRAINS))
    name, scored_at = f"table_{next(_number)}", draw(st.sampled_from(["hours_after_partition", "hours_after_end"]))
    model = ModelConfig.model_validate(
        {**MODEL, "scored_at": {scored_at: draw(st.integers(-30, 30))},
         "inputs": [{"dataset": name.replace("table", "rows")}, {"dataset": name, "max_age": f"{draw(st.integers(1, 40))} days"}],
         "rows": name.replace("table", "rows")}
    ).with_calendars(lambda dataset: Calendar(table if dataset == name else rows))  # fmt: skip
    moments = draw(st.lists(st.integers(0, 45 * 24), min_size=1, max_size=5, unique_by=lambda hour: table.at(BEGINS + hour * HOUR)))
    keys = [table.at(BEGINS + hour * HOUR) for hour in moments]
    return model, name, {key: table.start(key) + draw(st.integers(-24, 24 * 12)) * HOUR for key in keys}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=deliveries())
def test_a_partition_reads_the_delivery_that_concerns_it(home: Path, drawn: tuple[ModelConfig, str, dict[Partition, dt.datetime]]) -> None:
    model, name, known = drawn
    last = model.grain.at(BEGINS + 60 * 24 * HOUR)
    for dataset, key, moment in [(name, *each) for each in known.items()] + [(model.rows, last, BEGINS)]:
        counts = {"rows": 1, "source_rows": 1, "quarantined": 0, "quarantine_digest": "", "quarantine_path": ""}
        content = {"digest": str(key), "path": "", **counts}
        publish_partition(dataset=dataset, partition=key, content=content, known_at=lambda _, at=moment: at, origin="live")  # type: ignore[misc]
    concerned = {key: readiness.partitions_reading(model, name, key) for key in known}
    inputs = readiness._inputs(model.calendar_of, model.rows, model.scored_at, model.inputs)
    read = model.grain.between(model.grain.at(BEGINS - 40 * 24 * HOUR), last)[-readiness.MOST_READING :]
    for partition in read[:: len(read) // 100 + 1]:  # all of them are thousands
        moment = model.moment(partition)
        candidates = [
            key for key in known if known[key] <= moment and model.oldest(name, partition) <= key <= model.newest(name, partition)
        ]
        newest = max(candidates, default=None)
        assert [key for key, partitions in concerned.items() if partition in partitions] == ([newest] if newest else []), partition
        cache = PartitionCache(partition, model=model, is_scored=True)
        found = cache.newest(name, partition, model.oldest(name, partition), model.newest(name, partition))
        assert (found.partition if found else None) == newest
        if newest:
            assert inputs.keys(partition)[1] == (name, newest)
