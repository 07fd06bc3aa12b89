"""What the tables say, the ledger says: a row that anybody edited, added or removed is found, raises the alert, and serves nothing."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog
from include.evergreen.data import ingestion
from include.evergreen.data.correct_knowledge import correct_knowledge
from include.evergreen.data.quarantine import released_rows
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.settings import Settings
from include.evergreen.monitoring.triggers import ask_training
from include.evergreen.operations.audit import audit_ledger, verify_records
from include.evergreen.registry import champions, servable
from include.evergreen.registry.approvals import record_answer
from include.evergreen.registry.rollouts import begin_rollout, end_rollout
from include.evergreen.registry.versions import ChangedRecordError, UnearnedError
from include.evergreen.scoring.predictions import all_scorings, record_scoring
from include.evergreen.scoring.score import score
from include.evergreen.state import ledger, mlflow_store, pauses
from include.evergreen.state.alerts import open_alerts
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import (
    approvals,
    candidates,
    decisions,
    erasures,
    firings,
    metadata,
    model_versions,
    partition_versions,
    prediction_sets,
    promotions,
    quarantine_releases,
    recipes,
    snapshots,
)
from include.evergreen.state.database.tables import ledger as ledger_table
from include.evergreen.state.ledger import bindings
from include.evergreen.training.take_snapshot import take_snapshot
from tests.templates import template
from tests.unit.copies import copied_candidate, copied_version, decided
from tests.unit.flights import at_home, lenient, rows_of
from tests.unit.lifecycle import AS_OF, MODEL, day, settle_cycled

INGESTED = DAILY.shift(AS_OF, -1)  # the last day that the cycle ingested
# What answers an auditor, or has no part in it; nothing else may be unbound.
NOT_BOUND = {
    "recipes": "the digest is the document's own, and bound candidates name it",
    "dataset_totals": "a count of partition_versions",
    "validations": "what the newest validation said, replaced by the next",
    "stage_records": "how far a stage came, replaced by the next run",
    "snapshot_spans": "computed from snapshots",
    "run_claims": "which MLflow run is tried, before anything is recorded",
    "alerts": "what a person must see; each act on one has an entry of its own",
    "alert_places": "where an alert's cause was seen, counted again and again",
    "alert_events": "an alert's timeline; each line by a person has an entry of its own",
    "task_failures": "what tasks said when they failed",
    "leases": "who does a work now",
    "kept_files": "a team's own file as it was last sound",
    "notifications": "what was sent about alerts",
    "maintenance_windows": "each has an entry of its own",
    "observations": "figures that can be computed again",
    "superseded_observations": "what figures were before they were revised; what a firing rests on is in its evidence, which is bound",
    "estimates": "figures that can be computed again",
    "observation_news": "which models were observed last, for those that wait",
    "reports": "pictures that can be drawn again",
    "ledger": "the entries themselves",
}


@pytest.fixture(autouse=True)
def _home(settled: Callable[[Path], Path]) -> None:
    settled(template("second-champion-has-scored", _make))


def _make(home: Path) -> None:
    with at_home(home):
        settle_cycled()
        version = champions.register(MODEL, copied_candidate("second"), why_ask=lambda *_: "a person approves each version")
        record_answer(MODEL, version.version, request="r1", verdict="approved", actor="ann", reason="it is good")
        champions.promote(MODEL, version.version, actor="ann", reason="it is better")
        score(Catalog(), Catalog().model(MODEL), AS_OF, "live")


def changed(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, dt.datetime):
        return value + dt.timedelta(seconds=1)
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return DAILY.shift(value, 1)
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, dict):
        return {**value, "forged": 1}
    if isinstance(value, list):
        return [*value, {"forged": 1}]
    if value is None:
        return "forged"
    return f"{value[:-1]}{'0' if value[-1:] != '0' else '1'}"


def forge(table: sa.Table, row: sa.Row[Any], **values: Any) -> None:
    """By a hand that asks for no foreign keys: whoever can write in a database can switch them off."""
    engine = sa.create_engine(Settings.from_environment().database_url)
    with engine.begin() as connection:
        connection.execute(table.update().where(table.c.entry == row.entry).values(**values))
    engine.dispose()


def newest(table: sa.Table) -> sa.Row[Any]:
    rows = [row for row in rows_of(table) if "model" not in table.c or row.model == MODEL]
    return max(rows, key=lambda row: int(row.entry))


def record(table: sa.Table, kind: str, **values: Any) -> None:
    """Insert a row as the verb does that records it, without what that needs."""
    with writing() as connection:
        number = connection.execute(table.insert().values(**values, recorded_at=clock.now()).returning(table.c.id)).scalar_one()
        ledger.bind(connection, table, {"id": number}, kind=kind)


def record_one_of_each() -> None:
    """A row in each of the tables in which a cycle leaves none."""
    who: dict[str, Any] = {"actor": "ann", "reason": "it was said wrongly"}
    correct_knowledge(Catalog().dataset("weather"), INGESTED, INGESTED, known_at=clock.now(), **who)
    pauses.pause(hours=1, **who)
    pauses.lift(**who)
    weather = {"dataset": "weather", "partition": INGESTED}
    record(quarantine_releases, "quarantine-release", **weather, **who, rows=released_rows(["a" * 64]))
    record(erasures, "erasure", dataset="weather", columns="tail", subject_hash="b" * 64, status="done", detail=who, progress={})
    plan = {"strategy": "shadow", "plan": {"shares": [0.0]}, "decision": 1, "first": day(1)}
    with writing() as connection:
        rollout = begin_rollout(connection, model=MODEL, version=2, champion_version=1, **plan, **who)
        end_rollout(connection, rollout, "promoted", "it is better", {"step": 1})
    record(firings, "firing", model=MODEL, rule="mae>1", as_of=AS_OF, version=2, evidence={"message": "mae is 3"})


def test_where_nobody_changed_anything_all_agree() -> None:
    assert verify_records().problems == []


def test_every_table_is_bound_or_has_a_reason_not_to_be() -> None:
    assert set(ledger.BINDINGS) | set(NOT_BOUND) == set(metadata.tables)
    assert all(reason for binding in ledger.BINDINGS.values() for reason in binding.unbound.values())


def test_rows_of_which_the_newest_counts_keep_the_order_of_their_entries() -> None:
    """Of the others each row speaks for itself, or says itself which is current."""
    of_which_the_newest_counts = {"approvals", "decisions", "firings", "knowledge_corrections", "pauses", "promotions"}
    assert {name for name, binding in ledger.BINDINGS.items() if binding.newest_counts} == of_which_the_newest_counts


def test_each_bound_column_that_is_changed_is_found_raises_the_alert_and_is_named() -> None:
    """One column of each table at a time."""
    record_one_of_each()
    columns = [[(metadata.tables[name], column) for column in binding.columns] for name, binding in ledger.BINDINGS.items()]
    for one_of_each in itertools.zip_longest(*columns):
        forged = [(table, column, newest(table)) for table, column in filter(None, one_of_each)]
        for table, column, row in forged:
            forge(table, row, **{column: changed(row._mapping[column])})
        with pytest.raises(DataError, match="were changed after they were written"):
            audit_ledger()
        [alert] = [alert for alert in open_alerts() if alert.key == "ledger/damage"]
        assert (alert.severity, alert.model) == ("critical", "")
        problems = alert.evidence["problems"]
        for table, column, row in forged:
            assert any(problem.startswith(table.name) and column in problem for problem in problems), (table.name, column, problems)
            forge(table, row, **{column: row._mapping[column]})
        audit_ledger()
        assert all(alert.cleared_at for alert in open_alerts()), "one that comes and goes stays open until its cause has stayed away"


def test_a_changed_row_of_what_serves_lets_its_version_serve_no_longer() -> None:
    assert [version.version for version in servable.serving(MODEL, AS_OF)] == [2, 1]
    for table, column in (
        (candidates, "artifact_digest"), (candidates, "recipe_digest"), (candidates, "metrics"), (decisions, "criteria"),
        (model_versions, "semver"), (promotions, "actor"), (approvals, "actor"),
    ):  # fmt: skip
        row = next(row for row in rows_of(table) if row.entry == newest(table).entry)
        forge(table, row, **{column: changed(row._mapping[column])})
        assert [version.version for version in servable.serving(MODEL, AS_OF)] == [1], (table.name, column)
        assert any(alert.severity == "critical" for alert in open_alerts(MODEL))
        forge(table, row, **{column: row._mapping[column]})
    assert [version.version for version in servable.serving(MODEL, AS_OF)] == [2, 1]


def test_a_foreign_recipe_is_not_run_though_recipe_and_candidate_name_each_other() -> None:
    candidate = newest(candidates)
    document = next(row.document for row in rows_of(recipes) if row.digest == candidate.recipe_digest).replace(
        "import pandas", "import os, pandas"
    )

    foreign = hashlib.sha256(document.encode()).hexdigest()
    with writing() as connection:
        connection.execute(recipes.insert().values(digest=foreign, model=MODEL, document=document, recorded_at=clock.now()))
    forge(candidates, candidate, recipe_digest=foreign)
    [version] = servable.serving(MODEL, AS_OF)
    assert version.version == 1


def test_an_invented_promotion_moves_no_alias_and_makes_no_champion() -> None:
    third = copied_version("third")
    row = {
        "model": MODEL,
        "version": third.version,
        "as_of": AS_OF,
        "previous_version": 2,
        "actor": "x",
        "reason": "y",
        "promoted_at": clock.now(),
    }
    with writing() as connection:
        connection.execute(promotions.insert().values(**row))
    with pytest.raises(ChangedRecordError, match="promotions .* has no entry in the ledger"):
        champions.reconcile(MODEL)
    [alert] = [alert for alert in open_alerts(MODEL) if alert.key == f"bypass/{MODEL}/champion"]
    assert alert.severity == "critical" and "MLflow's alias was left as it is" in alert.message
    assert mlflow_store.alias(MODEL, "champion") == 2
    assert [version.version for version in servable.serving(MODEL, AS_OF)] == [2, 1]
    with pytest.raises(DataError, match="has no entry in the ledger"):
        audit_ledger()


def test_a_row_is_named_with_digests_and_moments_as_people_know_them() -> None:
    promoted = {"model": MODEL, "version": 2, "promoted_at": dt.datetime(2013, 2, 9, 8, 5, 30, tzinfo=dt.UTC)}
    assert ledger.BINDINGS["promotions"].name(promoted) == f"promotions (model {MODEL}, version 2, promoted_at 2013-02-09 08:05 UTC)"
    taken = {"model": MODEL, "as_of": "2013-02-09", "digest": "ab" * 32}
    assert ledger.BINDINGS["snapshots"].name(taken) == f"snapshots (model {MODEL}, as_of 2013-02-09, digest abababababab)"


def test_no_entry_vouches_for_two_rows() -> None:
    row = newest(promotions)
    copied = {name: value for name, value in row._mapping.items() if name != "id"}
    with pytest.raises(sa.exc.IntegrityError), writing() as connection:
        connection.execute(promotions.insert().values(**copied))


def test_a_removed_promotion_is_missed_and_stops_what_would_follow_from_it() -> None:
    with writing() as connection:
        connection.execute(promotions.delete().where(promotions.c.id == newest(promotions).id))
    with pytest.raises(ChangedRecordError, match="the newest promotion of flight_delay is entry .* in the ledger"):
        champions.reconcile(MODEL)
    with pytest.raises(DataError, match=r"entry \d+ \(promotion of flight_delay\) has no row in promotions"):
        audit_ledger()


def test_a_removed_refusal_is_missed() -> None:
    record_answer(MODEL, 2, request="r2", verdict="refused", actor="bob", reason="not yet")
    with writing() as connection:
        connection.execute(approvals.delete().where(approvals.c.verdict == "refused"))
    with pytest.raises(DataError, match=r"entry \d+ \(refusal of flight_delay\) has no row in approvals"):
        audit_ledger()


def test_promotions_in_another_order_are_found() -> None:
    first, second = sorted((row for row in rows_of(promotions) if row.model == MODEL), key=lambda row: row.id)
    for row, number in ((first, 1001), (second, 1000)):
        forge(promotions, row, id=number)
    with pytest.raises(DataError, match="their order was changed"):
        audit_ledger()


def test_a_version_that_was_rolled_back_is_not_slipped_into_the_line_again() -> None:
    champions.rollback(MODEL, actor="ann", reason="it is worse")
    row = next(row for row in rows_of(promotions) if row.model == MODEL and row.version == 2)
    forge(promotions, row, ended_by=None)
    with pytest.raises(DataError, match="ended_by None, its place among the champions, was changed"):
        audit_ledger()


def test_an_older_scoring_is_not_made_current_again() -> None:
    scored = next(row for row in rows_of(prediction_sets) if row.model == MODEL)
    with writing() as connection:
        values = {name: scored._mapping[name] for name in ("challenger_version", "rows", "digest", "path", "input_digest", "origin")}
        record_scoring(connection, MODEL, AS_OF, version=2, **values)
    assert verify_records().problems == []
    with writing() as connection:
        connection.execute(prediction_sets.update().where(prediction_sets.c.model == MODEL).values(superseded_at=None))
    assert len(all_scorings(MODEL, AS_OF)) == 2
    with pytest.raises(DataError, match="it was made current again"):
        audit_ledger()


def test_the_newest_scoring_is_not_made_a_superseded_one() -> None:
    with writing() as connection:
        connection.execute(prediction_sets.update().where(prediction_sets.c.model == MODEL).values(superseded_at=clock.now()))
    with pytest.raises(DataError, match=rf"model {MODEL}, partition {AS_OF}, scoring 1\): it was superseded by no other"):
        audit_ledger()


def test_a_promotion_names_a_decision_that_the_ledger_knows() -> None:
    run_key = copied_candidate("third")
    older = next(row.id for row in rows_of(decisions) if row.run_key == run_key)
    decided(run_key, "blessed")
    version = champions.register(MODEL, run_key)
    row = next(row for row in rows_of(decisions) if row.id == older)
    forge(decisions, row, champion_version=2, gate_digest="0" * 64)
    with pytest.raises(UnearnedError, match=r"differs from entry \d+ of the ledger in: gate_digest, so .* is not promoted"):
        champions.promote_judged(version, older, actor="the night", reason="it is better")


def test_all_rows_are_compared_however_many_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "BATCH", 1)
    assert verify_records().problems == []
    forge(decisions, newest(decisions), mode="dry_run")
    assert ["mode" in problem for problem in verify_records().problems] == [True]


def test_no_version_is_registered_of_a_candidate_whose_record_was_changed() -> None:
    run_key = copied_candidate("third")
    row = next(row for row in rows_of(candidates) if row.run_key == run_key)
    forge(candidates, row, artifact_digest=document_digest("another"))
    with pytest.raises(UnearnedError, match="differs from entry .* in: artifact_digest, so it is not registered"):
        champions.register(MODEL, run_key)


def test_a_snapshot_whose_members_were_changed_trains_and_serves_nothing() -> None:
    row = newest(snapshots)
    forge(snapshots, row, members=changed(row.members))
    with pytest.raises(DataError, match="none of its champions may serve"):
        list(servable.serving(MODEL, AS_OF))


def test_a_partition_that_was_changed_in_the_database_is_neither_scored_nor_trained_on() -> None:
    catalog = Catalog()
    for name, today in itertools.product(("schedules", "outcomes", "weather"), (AS_OF, day(21))):
        ingestion.ingest(catalog.dataset(name), today, "live")
    row = next(row for row in rows_of(partition_versions) if (row.dataset, row.partition) == ("schedules", day(21)))
    forge(partition_versions, row, rows=row.rows + 1)
    words = r"partition_versions \(dataset schedules, partition 2013-01-21, .*in: rows. Nothing is made of it"
    with pytest.raises(DataError, match=words):
        score(catalog, catalog.model(MODEL), day(21), "live")
    with pytest.raises(DataError, match=words):
        take_snapshot(catalog, lenient(catalog.model(MODEL)), day(24))


def test_an_older_version_of_a_partition_is_not_made_current_again() -> None:
    newest_row = next(row for row in rows_of(partition_versions) if (row.dataset, row.partition) == ("weather", INGESTED))
    forge(partition_versions, newest_row, superseded_at=clock.now())
    with pytest.raises(DataError, match="partition_versions .*partition 2013-01-19, version 1.: it was superseded by no other"):
        audit_ledger()


def test_a_pause_that_was_changed_or_removed_in_the_database_lets_nothing_be_promoted_by_itself() -> None:
    version = champions.version_number(MODEL, 1)
    pauses.pause(hours=1, actor="ann", reason="a bad feed")
    row = newest(metadata.tables["pauses"])
    forge(metadata.tables["pauses"], row, lifted_at=clock.now(), lifted_by="ann")
    with pytest.raises(DataError, match=r"pauses .*in: lifted_at, lifted_by, so nothing is promoted or retrained by itself"):
        champions.why_not_promoted(version)
    with writing() as connection:
        connection.execute(metadata.tables["pauses"].delete())
    with pytest.raises(DataError, match=r"the newest pause is entry \d+ in the ledger.* so nothing is promoted or retrained by itself"):
        champions.why_not_promoted(version)


def test_an_invented_firing_trains_nothing_and_an_invented_release_lets_no_row_through() -> None:
    values = {"model": MODEL, "rule": "mae>1", "as_of": AS_OF, "version": 2, "evidence": {"message": "mae is 3"}}
    released = {"dataset": "weather", "partition": INGESTED, "rows": released_rows(["a" * 64]), "actor": "x", "reason": "y"}
    with writing() as connection:
        number = connection.execute(firings.insert().values(**values, recorded_at=clock.now()).returning(firings.c.id)).scalar_one()
        connection.execute(quarantine_releases.insert().values(**released, recorded_at=clock.now()))
    with pytest.raises(DataError, match="firings .* has no entry in the ledger, so no training is asked for"):
        ask_training(number)
    with pytest.raises(DataError, match="quarantine_releases .* has no entry in the ledger, so no row is let through"):
        ingestion.ingest(Catalog().dataset("weather"), INGESTED, "live")


def test_an_erasure_that_was_changed_lets_no_row_of_the_person_come_back() -> None:
    record_one_of_each()
    forge(erasures, newest(erasures), subject_hash="c" * 64)
    with pytest.raises(DataError, match="erasures .*in: subject_hash, so what the source still delivers of erased people cannot be told"):
        ingestion.ingest(Catalog().dataset("weather"), INGESTED, "live")


def test_a_delivery_of_the_same_content_and_a_correction_are_recorded_as_what_a_version_is_now() -> None:
    weather = Catalog().dataset("weather")
    before = next(row for row in rows_of(partition_versions) if (row.dataset, row.partition) == ("weather", INGESTED))
    _, is_new = ingestion.ingest(weather, INGESTED, "live")
    correct_knowledge(weather, INGESTED, INGESTED, known_at=clock.now(), actor="ann", reason="it was said wrongly")
    entries = [json.loads(str(row.body)) for row in rows_of(ledger_table) if row.kind == "publication"]
    assert not is_new
    assert [(body["because"], body["partition"]) for body in entries if "because" in body and body.get("replaces", 0) >= before.entry] == [
        ("it was delivered again", str(INGESTED)), ("when it was known was corrected by ann", str(INGESTED)),
    ]  # fmt: skip
    assert verify_records().problems == []
