"""What the tables say, the ledger says: a row that anybody edited, added or removed is found, raises the alert, and serves nothing."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.settings import Settings
from include.evergreen.operations.audit import audit_ledger, verify_records
from include.evergreen.registry import champions
from include.evergreen.registry.approvals import record_answer
from include.evergreen.registry.versions import ChangedRecordError, UnearnedError
from include.evergreen.scoring.predictions import all_scorings, record_scoring
from include.evergreen.scoring.score import score
from include.evergreen.state import ledger, mlflow_store
from include.evergreen.state.alerts import open_alerts
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import (
    approvals,
    candidates,
    decisions,
    metadata,
    model_versions,
    prediction_sets,
    promotions,
    recipes,
    snapshots,
)
from include.evergreen.state.ledger import bindings
from tests.unit.copies import copied_candidate, copied_version, decided
from tests.unit.flights import rows_of
from tests.unit.lifecycle import AS_OF, MODEL, settle_cycled

BOUND = [(table, column) for table, binding in ledger.BINDINGS.items() for column in binding.columns]
# What answers an auditor, or has no part in it; nothing else may be unbound.
NOT_BOUND = {
    "partition_versions": "their digests stand in the snapshots that read them",
    "recipes": "the digest is the document's own, and bound candidates name it",
    "dataset_totals": "a count of partition_versions",
    "validations": "what the newest validation said, replaced by the next",
    "quarantine_releases": "each has an entry of its own",
    "erasures": "each has an entry of its own",
    "knowledge_corrections": "each has an entry of its own, with the digest of what it says",
    "stage_records": "how far a stage came, replaced by the next run",
    "snapshot_spans": "computed from snapshots",
    "run_claims": "which MLflow run is tried, before anything is recorded",
    "pauses": "each has an entry of its own",
    "alerts": "what a person must see; each act on one has an entry of its own",
    "alert_places": "where an alert's cause was seen, counted again and again",
    "alert_events": "an alert's timeline; each line by a person has an entry of its own",
    "task_failures": "what tasks said when they failed",
    "leases": "who does a work now",
    "kept_files": "a team's own file as it was last sound",
    "notifications": "what was sent about alerts",
    "maintenance_windows": "each has an entry of its own",
    "observations": "figures that can be computed again",
    "reports": "pictures that can be drawn again",
    "firings": "each has an entry of its own",
    "ledger": "the entries themselves",
}


@pytest.fixture(autouse=True)
def _home(home: object) -> None:
    settle_cycled()
    version = champions.register(MODEL, copied_candidate("second"), why_ask=lambda *_: "a person approves each version")
    record_answer(MODEL, version.version, request="r1", verdict="approved", actor="ann", reason="it is good")
    champions.promote(MODEL, version.version, actor="ann", reason="it is better")
    score(Catalog(), Catalog().model(MODEL), AS_OF, "live")


def changed(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, dt.datetime):
        return value + dt.timedelta(seconds=1)
    if isinstance(value, dt.date):
        return value + dt.timedelta(days=1)
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, dict):
        return {**value, "forged": 1}
    if isinstance(value, list):
        return [*value, {"forged": 1}]
    return f"{value[:-1]}{'0' if value[-1:] != '0' else '1'}"


def forge(table: sa.Table, row: sa.Row[Any], **values: Any) -> None:
    """By a hand that asks for no foreign keys: whoever can write in a database can switch them off."""
    engine = sa.create_engine(Settings.from_environment().database_url)
    with engine.begin() as connection:
        connection.execute(table.update().where(table.c.entry == row.entry).values(**values))
    engine.dispose()


def newest(table: sa.Table) -> sa.Row[Any]:
    rows = [row for row in rows_of(table) if row.model == MODEL]
    return max(rows, key=lambda row: int(row.entry))


def test_where_nobody_changed_anything_all_agree() -> None:
    assert verify_records().problems == []


def test_every_table_is_bound_or_has_a_reason_not_to_be() -> None:
    assert set(ledger.BINDINGS) | set(NOT_BOUND) == set(metadata.tables)
    assert all(reason for binding in ledger.BINDINGS.values() for reason in binding.unbound.values())


def test_each_bound_column_that_is_changed_is_found_raises_the_alert_and_is_named() -> None:
    for name, column in BOUND:
        table = metadata.tables[name]
        row = newest(table)
        forge(table, row, **{column: changed(row._mapping[column])})
        with pytest.raises(DataError, match="were changed after they were written"):
            audit_ledger()
        [alert] = [alert for alert in open_alerts() if alert.key == "ledger/damage"]
        assert (alert.severity, alert.model) == ("critical", "")
        assert any(name in problem and column in problem for problem in alert.evidence["problems"]), (name, column, alert.evidence)
        forge(table, row, **{column: row._mapping[column]})
        audit_ledger()
        assert open_alerts() == []


def test_a_changed_row_of_what_serves_lets_its_version_serve_no_longer() -> None:
    assert [version.version for version in champions.serving(MODEL, AS_OF)] == [2, 1]
    for table, column in (
        (candidates, "artifact_digest"), (candidates, "recipe_digest"), (candidates, "metrics"), (decisions, "criteria"),
        (model_versions, "semver"), (promotions, "actor"), (approvals, "actor"),
    ):  # fmt: skip
        row = next(row for row in rows_of(table) if row.entry == newest(table).entry)
        forge(table, row, **{column: changed(row._mapping[column])})
        assert [version.version for version in champions.serving(MODEL, AS_OF)] == [1], (table.name, column)
        assert any(alert.severity == "critical" for alert in open_alerts(MODEL))
        forge(table, row, **{column: row._mapping[column]})
    assert [version.version for version in champions.serving(MODEL, AS_OF)] == [2, 1]


def test_a_foreign_recipe_is_not_run_though_recipe_and_candidate_name_each_other() -> None:
    candidate = newest(candidates)
    document = next(row.document for row in rows_of(recipes) if row.digest == candidate.recipe_digest).replace(
        "import pandas", "import os, pandas"
    )

    foreign = hashlib.sha256(document.encode()).hexdigest()
    with writing() as connection:
        connection.execute(recipes.insert().values(digest=foreign, model=MODEL, document=document, recorded_at=clock.now()))
    forge(candidates, candidate, recipe_digest=foreign)
    [version] = champions.serving(MODEL, AS_OF)
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
    assert mlflow_store.alias(MODEL, "champion") == 2
    assert [version.version for version in champions.serving(MODEL, AS_OF)] == [2, 1]
    with pytest.raises(DataError, match="has no entry in the ledger"):
        audit_ledger()


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
        list(champions.serving(MODEL, AS_OF))
