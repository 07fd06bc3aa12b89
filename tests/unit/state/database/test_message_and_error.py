"""What an earlier release stored under `words`, and as `on_fail: stop`, has the names of this one after migration."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from include.evergreen.state import ledger as ledgers
from include.evergreen.state.alerts import open_alerts
from include.evergreen.state.database import migrate, reading, writing
from include.evergreen.state.database.tables import decisions, firings, ledger, stage_records, validations
from include.evergreen.state.database.types import Moment
from tests.unit.flights import rows_of
from tests.unit.state.database.earlier_release import DATABASES, leave_database, take_back

BEFORE = "0004"
MOMENT = dt.datetime(2013, 2, 9, tzinfo=dt.UTC)
DAY = MOMENT.date()
BODY = '{"words":"as it was hashed"}'
ARGUMENTS = {"words": "of an expectation's own"}
CHECK = {"expectation": "e", "arguments": ARGUMENTS}
DOCUMENTS = {
    "detail": ({"words": "done", "read": {"a": 1}}, {"message": "done", "read": {"a": 1}}),
    "evidence": ({"words": "tripped", "values": [1]}, {"message": "tripped", "values": [1]}),
    "criteria": (
        [{"kind": "behaviour", "words": "a", "details": {"checks": [{"check": "c", "words": "b"}]}}, {"words": "c", "details": {}}],
        [{"kind": "behaviour", "message": "a", "details": {"checks": [{"check": "c", "message": "b"}]}}, {"message": "c", "details": {}}],
    ),
    "result": (
        {"reason": "r", "checks": [{**CHECK, "on_fail": "stop"}, {**CHECK, "on_fail": "warn"}]},
        {"reason": "r", "checks": [{**CHECK, "on_fail": "error"}, {**CHECK, "on_fail": "warn"}]},
    ),
}
COLUMNS = {"detail": stage_records, "evidence": firings, "criteria": decisions, "result": validations}


@pytest.fixture(params=DATABASES)
def filled(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_database(BEFORE, _fill, request, tmp_path, monkeypatch)


def test_stored_documents_and_alerts_have_a_message(filled: None) -> None:
    migrate()
    assert _stored() == {column: after for column, (_, after) in DOCUMENTS.items()}
    assert [alert.message for alert in open_alerts()] == ["the disk is full"]


def test_the_ledger_stays_as_it_was_hashed(filled: None) -> None:
    migrate()
    assert rows_of(ledger)[0].body == BODY  # type: ignore[attr-defined]


def test_decisions_are_bound_to_the_ledger_with_their_new_names(filled: None) -> None:
    migrate()
    with reading() as connection:
        assert list(ledgers.compare(connection)) == []
    assert [row.entry is None for row in rows_of(decisions)] == [False]  # type: ignore[attr-defined]


def test_it_can_be_taken_back(filled: None) -> None:
    migrate()
    take_back(BEFORE)
    assert _stored() == {column: before for column, (before, _) in DOCUMENTS.items()}
    with writing() as connection:
        assert connection.execute(sa.text("SELECT words FROM alerts")).scalars().all() == ["the disk is full"]


def _stored() -> dict[str, Any]:
    with reading() as connection:
        return {column: connection.execute(sa.select(table.c[column])).scalar() for column, table in COLUMNS.items()}


def _then(table: sa.Table) -> sa.TableClause:
    """The table as it was, when partitions were dates."""
    return sa.table(
        table.name, *(sa.column(column.name, sa.Date if column.name in ("partition", "as_of") else column.type) for column in table.columns)
    )


def _fill(connection: sa.Connection) -> None:
    documents = {column: before for column, (before, _) in DOCUMENTS.items()}
    common = {"model": "m", "recorded_at": MOMENT}
    connection.execute(
        _then(stage_records)
        .insert()
        .values(**common, stage="score", partition=DAY, status="done", detail=documents["detail"], since=MOMENT)
    )
    connection.execute(_then(firings).insert().values(**common, rule="r", as_of=DAY, version=1, evidence=documents["evidence"]))
    connection.execute(
        _then(validations)
        .insert()
        .values(dataset="d", partition=DAY, raw_digest="r", verdict="stopped", result=documents["result"], recorded_at=MOMENT)
    )
    connection.execute(ledger.insert().values(**common, sequence=1, kind="decision", body=BODY, previous_hash="", hash="h"))
    _decide(connection, documents["criteria"])
    alert = {"key": "k", "model": "m", "severity": "critical", "state": "firing", "words": "the disk is full", "evidence": "{}", "times": 1}
    columns = [*(sa.column(name) for name in alert), sa.column("first_at", Moment), sa.column("last_at", Moment)]
    connection.execute(sa.insert(sa.table("alerts", *columns)).values(**alert, first_at=MOMENT, last_at=MOMENT))


def _decide(connection: sa.Connection, criteria: object) -> None:
    snapshot = {"digest": "s", "model": "m", "as_of": DAY, "window_days": 1, "rows": 1, "members": "{}", "frame_path": ""}
    candidate = {
        "run_key": "k", "model": "m", "as_of": DAY, "snapshot_digest": "s", "recipe_digest": "", "signature_digest": "",
        "mlflow_run_id": "", "artifact_uri": "", "artifact_digest": "", "reference_path": "", "metrics": "{}", "facts": "{}",
    }  # fmt: skip
    for name, values in (("snapshots", snapshot), ("candidates", candidate)):
        columns = [*(sa.column(column) for column in values), sa.column("recorded_at", Moment)]
        connection.execute(sa.insert(sa.table(name, *columns)).values(**values, recorded_at=MOMENT))
    connection.execute(
        _then(decisions)
        .insert()
        .values(
            model="m", run_key="k", champion_version=0, gate_digest="g", as_of=DAY, verdict="blessed", recorded_at=MOMENT, criteria=criteria
        )
    )
