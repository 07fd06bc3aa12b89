"""Rows that are scored at their own times: what is refused, what each sees when something is corrected, what scores them again."""

from __future__ import annotations

import datetime as dt
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.calendar import Calendar
from include.evergreen.config.check import check_catalog
from include.evergreen.config.moments import ScoringMoment
from include.evergreen.features import partition_cache
from include.evergreen.features.build import feature_frame
from include.evergreen.features.columns import AS_OF, CHALLENGER, PREDICTION, key_column
from include.evergreen.features.lineage import lineage
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.features.reader import PointInTimeReader
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import DAILY, Grain, Partition
from include.evergreen.foundation.span import Span
from include.evergreen.gates.decide import decide
from include.evergreen.operations.diagnose import why
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.operations.timetable import explain
from include.evergreen.promotion.cards.write import card_path, read_card
from include.evergreen.promotion.promote import register_candidate
from include.evergreen.scoring import readiness
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state import mlflow_store
from include.evergreen.testkit import CHECKS, examine
from include.evergreen.training.pipeline import predict
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train
from tests.shapes.living import FOLDER, Living

HOUR, HOURS = dt.timedelta(hours=1), Grain("hour")
DAY = Partition("2024-03-07")
LEAK = next(iter(CHECKS))


def at(hour: int, minute: int = 0) -> dt.datetime:
    return DAILY.start(DAY) + dt.timedelta(hours=hour, minutes=minute)


@pytest.fixture
def shape(home: Path, monkeypatch: pytest.MonkeyPatch) -> Living:
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(FOLDER / "own_times"))
    return Living("own_times")


def delivered(shape: Living) -> Living:
    """What the day's features look back at, and no more."""
    payments, alarms = shape.catalog.dataset("payments"), shape.catalog.dataset("alarms")
    hours = [(alarms, each) for each in HOURS.between(HOURS.at(at(-5)), HOURS.at(at(23)))]
    for dataset, key in [(payments, DAILY.shift(DAY, -1)), (payments, DAY), *hours]:
        shape.deliver(dataset, key, dataset.known_from(key), shape.frame(dataset, key))
    return shape


def features(shape: Living, *, as_of: Partition | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    model = shape.model
    cache = PartitionCache(as_of or DAY, model=model, is_scored=as_of is None)
    return feature_frame(shape.catalog, model, DAY, cache)


# --- what is refused ---------------------------------------------------------------------------------------------------

PAYMENTS, MODEL = "datasets/payments/dataset.yaml", "models/fraud_at_once/model.yaml"
SCORED_AT = "scored_at: {hours_after_end: 1, column: paid_at}"
DECLARED = "- {name: paid_at, type: timestamp, description: When}"


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (MODEL, "column: paid_at}", "column: paid}", "6: scored_at.column: unknown column of payments 'paid'; did you mean 'paid_at'?"),
        (MODEL, "column: paid_at}", "column: card}",
         "6: scored_at.column: card is no timestamp (its type is integer), as a row's own time is; allowed: paid_at"),
        (PAYMENTS, DECLARED, DECLARED.replace("}", ", nullable: true}"), "must be a timestamp that is not nullable"),
        (MODEL, SCORED_AT, "scored_at: {column: paid_at}", "6: scored_at: give exactly one of hours_after_partition and hours_after_end"),
        (MODEL, "hours_after_end: 1", "hours_after_end: -1",
         "6: scored_at.hours_after_end: is -1 hours after its day ends, and rows have their own times (column: paid_at) until it ends, so"),
        (MODEL, "hours_after_end: 1", "hours_after_partition: 12",
         "6: scored_at.hours_after_partition: is 12 hours after its day begins, and rows have their own times (column: paid_at) until"),
        (MODEL, "hours_after_end: 1", "hours_after_end: 0.5",
         "8: inputs[0].lag: 0 days is too short: payments is known 1 hours after its day ends; score rows when they are known, with "
         "scored_at: {hours_after_end: 1, column: paid_at}"),
        (MODEL, "{dataset: payments, window", "{dataset: payments, lag: 1 day, window",
         "8: inputs[0].lag: 1 day is for rows of an earlier day, and paid_at is a time in the scored one; remove it"),
        (MODEL, "lag: 1 hour", "lag: 0 hours",
         "9: inputs[1].lag: 0 hours is too short: alarms is known when its hour ends; use at least 1 hour"),
        (PAYMENTS, "knowledge:", "whole_table: true\nknowledge:",
         "6: scored_at.column: payments is a whole table, whose rows are of any time and not of the day in which it is delivered;"),
        (MODEL, "{dataset: alarms, lag: 1 hour, window: 3 hours}", "{dataset: alarms, max_age: 1 hour}", ""),
        (MODEL, "hours_after_end: 1", "hours_after_partition: 25", ""),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(tmp_path: Path, file: str, old: str, new: str, problem: str) -> None:
    found = check_catalog(changed(tmp_path, (file, old, new)))
    assert any(problem in each for each in found) if problem else found == []


def test_a_nullable_column_is_refused_where_nothing_else_needs_it(tmp_path: Path) -> None:
    known = (PAYMENTS, "{hours_after_end: 1, column: paid_at}", "{hours_after_end: 1}")
    found = check_catalog(changed(tmp_path, known, (PAYMENTS, DECLARED, DECLARED.replace("}", ", nullable: true}"))))
    assert len(found) == 1
    assert "6: scored_at.column: paid_at is nullable, and a row without its own time can be scored as of none; remove nullable" in found[0]


def changed(folder: Path, *changes: tuple[str, str, str], like: str = "own_times") -> Catalog:
    shutil.copytree(FOLDER / like, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "data.py"))
    for file, old, new in changes:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))
    return Catalog(folder)


def test_features_that_ask_for_what_there_is_not_are_told_so(shape: Living) -> None:
    delivered(shape)
    read = PointInTimeReader(shape.model, DAY, PartitionCache(DAY, model=shape.model, is_scored=True))
    rows = read.rows()
    counted: dict[str, Any] = {"group_by": "card", "column": "payment", "agg": "count", "time": "paid_at"}
    with pytest.raises(ConfigError, match=r"looks back for rows that are none of read.rows\(\), by their index"):
        read.trailing(rows.set_axis(rows.index + 1), "payments", span="1 hour", **counted)
    with pytest.raises(ConfigError, match="asks for 2 days of payments; allowed: 1 day to 1 day"):
        read.trailing(rows, "payments", span="2 days", **counted)
    for span in ("1 month", "1 partition"):
        with pytest.raises(
            ConfigError, match=f"asks for {span} of payments before each row's own time, .* in minutes, hours, days or weeks"
        ):
            read.trailing(rows, "payments", span=span, **counted)
    with pytest.raises(ConfigError, match="which model.yaml reads by a window"):
        read.lookup(rows, "payments", by="card", columns=["country"])


def test_a_model_whose_rows_have_one_moment_has_no_use_for_a_time(shape: Living) -> None:
    model = shape.model.model_copy(update={"scored_at": shape.model.scored_at.model_copy(update={"column": None})})
    model = model.with_calendars(shape.catalog.calendar_of)
    delivered(shape)
    reader = PointInTimeReader(model, DAY, PartitionCache(DAY, model=model, is_scored=True))
    with pytest.raises(ConfigError, match=r"trailing\(\) takes time= where each row is scored at its own time"):
        reader.trailing(reader.rows(), "payments", span="1 hour", group_by="card", column="payment", agg="count", time="paid_at")


def test_in_words_when_what_happens(shape: Living) -> None:
    told = explain(shape.catalog, shape.model, at(12))
    assert told[2:6] == [
        "    each row as of its own paid_at: its features see what was known then, and the payments before it",
        "    they are scored together, 2024-03-08 01:00 at the earliest",
        "      payments 2024-03-07 (features may look back to 2024-03-06): known from 2024-03-08 01:00, ingested at 2024-03-08 01:00",
        "      alarms 2024-03-07T2200Z (features may look back to 2024-03-06T2000Z): known from 2024-03-07 23:00, "
        "ingested at 2024-03-07 23:05",
    ]


# --- rows without a time of their own ----------------------------------------------------------------------------------


def test_rows_elsewhere_are_left_out_and_counted(shape: Living, caplog: pytest.LogCaptureFixture) -> None:
    frame = moved(shape, lambda paid: [None, paid.iloc[1] - dt.timedelta(days=1), paid.iloc[2] + dt.timedelta(days=2)])
    with caplog.at_level(logging.WARNING):
        given, found = features(shape)
    assert given["payment"].tolist() == frame["payment"].tolist()[3:]
    assert len(found) == len(frame) - 3
    assert (
        f"fraud_at_once: 3 of {len(frame)} rows of payments {DAY} are left out: their paid_at is missing or not within the partition "
        f"(2024-03-07 00:00 to 2024-03-07 23:59:59 UTC). Correct the rows, or the time zone or the grain of payments"
    ) in caplog.text


def test_where_all_rows_are_elsewhere_nothing_is_scored(shape: Living) -> None:
    moved(shape, lambda paid: [moment - dt.timedelta(days=1) for moment in paid])
    with pytest.raises(DataError, match=r"140 of 140 rows of payments 2024-03-07 could be scored at no time of their own"):
        features(shape)


def moved(shape: Living, move: Callable[[pd.Series], list[dt.datetime | None]]) -> pd.DataFrame:
    """The day, without a knowledge column, with other own times for the first rows."""
    delivered(shape)
    dataset = shape.catalog.dataset("payments")
    plain = dataset.model_copy(update={"knowledge": dataset.knowledge.model_copy(update={"column": None})})
    frame = shape.frame(dataset, DAY)
    times = move(frame["paid_at"])
    other = frame.assign(paid_at=pd.Series([*times, *frame["paid_at"].iloc[len(times) :]]).astype("datetime64[us, UTC]"))
    shape.deliver(plain, DAY, shape.model.moment(DAY), other)
    return frame


def test_batches_give_the_same(shape: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    moved(shape, lambda paid: [None] * 20)
    rows, found = features(shape)
    monkeypatch.setattr(partition_cache, "BATCH_ROWS", 16)
    in_batches = features(shape)
    pd.testing.assert_frame_equal(in_batches[0], rows)
    pd.testing.assert_frame_equal(in_batches[1], found, check_exact=True)


# --- what each row sees ------------------------------------------------------------------------------------------------


def test_a_correction_is_seen_by_the_rows_after_it_alone(shape: Living) -> None:
    """In scoring, in a training of later, and in a training as of before it came."""
    shape.deliver_all(shape.model.moment(DAY))
    rows, before = features(shape)
    alarms, hour, known = shape.catalog.dataset("alarms"), HOURS.at(at(10)), at(11, 12)
    first_training = take_snapshot(shape.catalog, shape.model, DAY).digest
    corrected = shape.frame(alarms, hour).assign(stolen=99.0)
    shape.deliver(alarms, hour, known, corrected)
    for as_of in (None, DAILY.shift(DAY, 3)):
        _, after = features(shape, as_of=as_of)
        is_told = rows["paid_at"].between(known, at(12), inclusive="left")
        assert is_told.any() and rows["paid_at"].between(at(11), known, inclusive="left").any()
        assert (after.loc[is_told, "stolen"] == 99.0).all()
        pd.testing.assert_frame_equal(after[~is_told], before[~is_told], check_exact=True)
    assert take_snapshot(shape.catalog, shape.model, DAY).digest == first_training, "no row of before saw it"


def test_what_came_after_a_row_changes_no_bit_of_it(shape: Living) -> None:
    delivered(shape)
    rows, before = features(shape)
    cut = rows["paid_at"].sort_values().iloc[70].to_pydatetime()
    payments, alarms = (shape.catalog.dataset(name) for name in ("payments", "alarms"))
    for hour in HOURS.between(HOURS.at(at(-5)), HOURS.at(at(23))):
        known = max(alarms.known_from(hour), cut + dt.timedelta.resolution)
        shape.deliver(alarms, hour, known, shape.frame(alarms, hour).assign(stolen=-5.0))
    frame = shape.frame(payments, DAY)
    later = frame["paid_at"] > cut
    shape.deliver(payments, DAY, at(25), frame.assign(card=frame["card"].mask(later, 1), country=frame["country"].mask(later, "at")))
    for as_of in (None, DAILY.shift(DAY, 3)):
        _, after = features(shape, as_of=as_of)
        pd.testing.assert_frame_equal(after[~later], before[~later], check_exact=True)
        assert (after.loc[later, "stolen"] != before.loc[later, "stolen"]).mean() > 0.9


def test_the_test_kit_finds_what_looks_at_the_rows_beside(tmp_path: Path) -> None:
    catalog = changed(tmp_path)
    code = catalog.features_path("fraud_at_once")
    assert examine(catalog, "fraud_at_once", LEAK) == []
    honest = 'read.trailing(rows, "payments", span="1 hour", **counted)'
    code.write_text(code.read_text().replace(honest, "rows['card'].map(rows['card'].value_counts())"))
    (scoring, training) = examine(catalog, "fraud_at_once", LEAK)
    assert "within_the_hour" in str(scoring)
    assert "in scoring, it changes with what was not known at its own paid_at" in str(scoring)
    assert "in training" in str(training)


def test_where_features_come_from_is_counted_back_from_the_last_row(shape: Living) -> None:
    origins = lineage(shape.catalog, shape.model)
    assert [each.description for each in origins["within_the_hour"]] == ["payments.{card, paid_at}, day 0"]
    alarms = origins["stolen"][1]
    assert (alarms.dataset, alarms.columns, alarms.oldest_day) == ("alarms", ("country", "stolen"), 24)
    assert 1 <= alarms.newest_day <= 3, "as far as rows are drawn late in the day"


# --- what scores a day again -------------------------------------------------------------------------------------------


def test_a_day_waits_for_each_of_its_hours_and_a_correction_of_one_scores_it_again(shape: Living) -> None:
    catalog, model = shape.catalog, shape.model
    shape.deliver_all(DAILY.start(DAY))
    run_cycle(catalog, model, DAY, reason="the first", actor="a person")
    card = read_card(str(card_path(model.name, 1))).decode()
    assert "1 hours after its day ends (UTC), for each row as of its own paid_at, from payments up to that day and alarms up to" in card
    missing, alarms = HOURS.at(at(5)), catalog.dataset("alarms")
    hours = [(alarms, each) for each in HOURS.between(HOURS.at(at(0)), HOURS.at(at(22))) if each != missing]
    for dataset, key in [(catalog.dataset("payments"), DAY), *hours]:
        shape.deliver(dataset, key, dataset.known_from(key), shape.frame(dataset, key))
    moment = model.moment(DAY)
    assert readiness.scoring(model.name, DAY, moment=moment).missing == (f"alarms/{missing}",)
    assert score(catalog, model, DAY, "live").facts == {"waiting_for": [f"alarms/{missing}"]}
    assert str(missing) in "\n".join(why(catalog, model, DAY))
    assert readiness.partitions_reading(model, "alarms", missing) == [DAY]
    assert readiness.partitions_reading(model, "alarms", HOURS.at(at(23))) == [DAILY.shift(DAY, 1)], (
        "the first hour of the next day reads it"
    )

    shape.deliver(alarms, missing, alarms.known_from(missing), shape.frame(alarms, missing))
    assert score(catalog, model, DAY, "live").status == "done"
    before = predictions(model, DAY)
    paid = shape.frame(catalog.dataset("payments"), DAY).set_index("payment")["paid_at"]
    assert before[AS_OF].tolist() == paid.loc[before[key_column("payment")]].tolist()
    assert score(catalog, model, DAY, "live").status == "unchanged"

    shape.deliver(alarms, missing, at(6, 30), shape.frame(alarms, missing).assign(stolen=4.0))
    assert readiness.scoring(model.name, DAY, moment=moment).is_due
    assert score(catalog, model, DAY, "live").status == "done"
    assert not readiness.scoring(model.name, DAY, moment=moment).is_due
    changed_rows = before[before[PREDICTION] != predictions(model, DAY)[PREDICTION]]
    assert len(changed_rows) and changed_rows[AS_OF].between(at(6, 30), at(7), inclusive="left").all()

    shape.deliver(alarms, missing, moment + HOUR, shape.frame(alarms, missing).assign(stolen=-4.0))
    assert not readiness.scoring(model.name, DAY, moment=moment).is_due, "it came when all had been scored"


def predictions(model: ModelConfig, day: Partition) -> pd.DataFrame:
    kept = find_predictions(model.name, day)
    assert kept is not None
    return kept.frame()


def test_each_row_looks_into_the_table_of_its_own_time(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_file = "models/returned/model.yaml"
    include = tmp_path / "include"
    catalog = changed(include, (model_file, "{hours_after_end: 0}", "{hours_after_end: 0, column: ordered_at}"), like="slowly_changing")
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(include))
    assert check_catalog(catalog) == []
    shape = Living("slowly_changing")
    shape.catalog = catalog
    model, customers = catalog.model("returned"), catalog.dataset("customers")
    as_of = shape.first_as_of()
    shape.deliver_all(model.moment(as_of))
    assert run_cycle(catalog, model, as_of, reason="the first", actor="a person").decision.verdict == "blessed"

    def contracts() -> pd.Series:
        cache = PartitionCache(as_of, model=model, is_scored=True)
        rows, found = feature_frame(catalog, model, as_of, cache)
        return found["contract"].set_axis(pd.Index(rows["ordered_at"]))

    before, noon = contracts(), DAILY.start(as_of) + 12 * HOUR
    shape.deliver(customers, as_of, noon, shape.frame(customers, as_of).assign(contract="other"))
    assert readiness.scoring("returned", as_of, moment=model.moment(as_of)).is_due
    after = contracts()
    assert set(after[after.index >= noon].dropna()) == {"other"}
    pd.testing.assert_series_equal(after[after.index < noon], before[before.index < noon])
    assert score(catalog, model, as_of, "live").status == "done"
    assert not readiness.scoring("returned", as_of, moment=model.moment(as_of)).is_due

    yesterday = DAILY.shift(as_of, -1)  # the first hour of the day looks into yesterday's table
    shape.deliver(customers, yesterday, customers.known_from(yesterday), shape.frame(customers, yesterday).assign(contract="older"))
    assert readiness.scoring("returned", as_of, moment=model.moment(as_of)).is_due
    early = contracts()
    assert set(early[early.index < DAILY.start(as_of) + HOUR].dropna()) <= {"older"}
    assert as_of in readiness.partitions_reading(model, "customers", yesterday)


def test_a_challenger_that_scores_at_other_moments_reads_by_its_own(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    include = tmp_path / "include"
    timed = (FOLDER / "own_times" / "models/fraud_at_once/features.py").read_text()
    one_moment = timed.replace('span="1 hour", **counted', 'span="1 day", **counted').replace(', "time": "paid_at"', "")
    catalog = changed(include, (MODEL, "1, column: paid_at}", "12}"), (MODEL, "at_least: 0.75", "at_least: 0.3"))
    (include / "models/fraud_at_once/features.py").write_text(one_moment)
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(include))
    shape = Living("own_times")
    shape.catalog = catalog
    shape.deliver_all(catalog.model(shape.name).moment(DAY))
    run_cycle(catalog, catalog.model(shape.name), DAY, reason="the first", actor="a person")

    changed(include)
    (include / "models/fraud_at_once/features.py").write_text(one_moment)
    catalog = Catalog(include)
    model = catalog.model(shape.name)
    candidate, _ = train(catalog, model, take_snapshot(catalog, model, DAY), "own times")
    assert decide(catalog, model, candidate).verdict == "blessed"
    version = register_candidate(catalog, model, candidate.run_key)
    payments = catalog.dataset("payments")
    plain = payments.model_copy(update={"knowledge": payments.knowledge.model_copy(update={"column": None})})
    shape.deliver(plain, DAY, at(30), shape.frame(payments, DAY).assign(country="at"))  # between the two moments
    assert score(catalog, model, DAY, "live").status == "done"
    kept = predictions(model, DAY)
    assert set(kept[AS_OF]) == {at(36)}, "those that are served are the champion's"
    shape.catalog = catalog
    pipeline = mlflow_store.load_model(version.artifact_uri, version.artifact_digest, ())
    np.testing.assert_array_equal(kept[CHALLENGER], predict(pipeline, model, features(shape)[1]))
    assert not readiness.scoring(model.name, DAY, moment=model.moment(DAY)).is_due, "what the champion read is what was known at its moment"
    shape.deliver(plain, DAY, at(24), shape.frame(payments, DAY).assign(country="be"))
    assert readiness.scoring(model.name, DAY, moment=model.moment(DAY)).is_due
    assert score(catalog, model, DAY, "live").status == "done"
    assert not readiness.scoring(model.name, DAY, moment=model.moment(DAY)).is_due


# --- which partitions of an input concern which of the rows, whatever the grains ---------------------------------------

GRAINS = [Grain("30min"), HOURS, DAILY, Grain("day", "America/New_York"), Grain("week"), Grain("month")]
CRONS = {"hour": [None, "0 8-17 * * *"], "day": [None, "0 6 * * 1-5"]}


@settings(max_examples=60, deadline=None)
@given(rows=st.sampled_from(GRAINS), grain=st.sampled_from(GRAINS), lag=st.integers(0, 3), hour=st.integers(0, 24 * 400), data=st.data())
def test_a_partition_concerns_just_the_rows_for_which_it_is_waited_for(
    rows: Grain, grain: Grain, lag: int, hour: int, data: st.DataObject
) -> None:
    calendar = Calendar(grain, data.draw(st.sampled_from(CRONS.get(grain.unit, [None]))))
    scored_at, span = ScoringMoment(hours_after_end=1, column="own"), Span(lag, "partition")
    partition = rows.at(dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + hour * HOUR)
    newest = scored_at.newest_reads(rows, partition, calendar, span)
    assert newest == sorted(set(newest)) and newest
    some = data.draw(st.sampled_from(newest))
    assert partition in scored_at.scored_by(rows, calendar, some, span)
    begins, ends = scored_at.moments(rows, partition)
    moment = begins + data.draw(st.floats(0, 1)) * (ends - begins)
    read = calendar.minus(grain.at(moment), span)
    assert read in newest or not calendar.made(read, read)
