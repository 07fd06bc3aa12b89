"""More candidates and versions without more training, copies of the first one; and our own state on PostgreSQL, copied from SQLite."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.registry import champions
from include.evergreen.registry.champions import RegisteredVersion
from include.evergreen.state import ledger, mlflow_store
from include.evergreen.state.database import migrate, writing
from include.evergreen.state.database.tables import candidates, decisions, metadata
from tests.servers import PostgreSQL
from tests.unit.flights import close_database, rows_of
from tests.unit.lifecycle import MODEL


def copied_candidate(name: object, *, as_of: Partition | None = None, verdict: str | None = "blessed") -> str:
    """The run key of a copy of the model's first candidate, with this verdict of the gate against the champion of now, or none."""
    first: dict[str, Any] = min((row._asdict() for row in rows_of(candidates) if row.model == MODEL), key=lambda row: row["entry"])
    client = mlflow_store.mlflow_client()
    run_key = document_digest({"copy": str(name)})
    run = client.create_run(client.get_experiment_by_name(MODEL).experiment_id, tags={mlflow_store.RUN_KEY_TAG: run_key})
    copied = {**first, "run_key": run_key, "mlflow_run_id": run.info.run_id, "as_of": as_of or first["as_of"], "entry": None}
    with writing() as connection:
        connection.execute(candidates.insert().values(**copied))
        ledger.bind(connection, candidates, {"run_key": run_key}, kind="training")
    if verdict:
        decided(run_key, verdict)
    return run_key


def decided(run_key: str, verdict: str) -> int:
    """The id of a decision that the gate might have made on a candidate, against the champion of now."""
    serving = champions.champion(MODEL)
    blessed: dict[str, Any] = min((row._asdict() for row in rows_of(decisions) if row.model == MODEL), key=lambda row: row["entry"])
    attempt = 1 + len([row for row in rows_of(decisions) if row.run_key == run_key])
    copied = {**blessed, "run_key": run_key, "verdict": verdict, "attempt": attempt, "champion_version": serving.version if serving else 0}
    with writing() as connection:
        values = {name: value for name, value in copied.items() if name not in {"id", "entry"}}
        made = connection.execute(decisions.insert().values(**values))
        number = int(made.inserted_primary_key[0])  # type: ignore[index]
        ledger.bind(connection, decisions, {"id": number}, kind="decision")
    return number


def copied_version(name: object, *, as_of: Partition | None = None, approval: str = "") -> RegisteredVersion:
    """A registered copy; ``approval`` says why a person must approve it."""
    return champions.register(MODEL, copied_candidate(name, as_of=as_of), why_ask=lambda *_: approval)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """For the conftest of a folder whose tests are to run on both: where the homes of tests keep our own state."""
    return str(request.param)


def move_to(server: PostgreSQL, monkeypatch: pytest.MonkeyPatch, template: str) -> None:
    """From now on our own state is in PostgreSQL: all of what the home's SQLite has.

    :param template: names what is in it: a second home with the same gets a copy of the first one's database
    """
    kept = f"template_{template}".replace("-", "_")
    home = Settings.from_environment().home.as_uri()
    if (server, kept) not in _copied:
        rows = {table: [row._asdict() for row in rows_of(table)] for table in metadata.sorted_tables}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("EVERGREEN_DATABASE_URL", migrated_database(server, kept))
            _insert(rows)
            close_database()
        _copied[server, kept] = home
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", server.copy_database("evergreen", kept))
    with writing() as connection:
        moved = sa.func.replace(candidates.c.artifact_uri, _copied[server, kept], home)
        connection.execute(candidates.update().values(artifact_uri=moved))


def migrated_database(server: PostgreSQL, name: str) -> str:
    """The URL of a new database with our tables, and nothing in them: a copy, since making them takes half a second."""
    if server not in _migrated:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("EVERGREEN_DATABASE_URL", server.new_database(MIGRATED))
            migrate()
            close_database()
        _migrated.add(server)
    return server.copy_database(name, MIGRATED)


MIGRATED = "template_migrated"
_migrated: set[PostgreSQL] = set()
_copied: dict[tuple[PostgreSQL, str], str] = {}  # server and database -> the home that it is of


def _insert(rows: dict[sa.Table, list[dict[str, Any]]]) -> None:
    with writing() as connection:
        for table, values in rows.items():
            if values:
                connection.execute(table.insert(), values)
            if values and "id" in table.columns:
                sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
                connection.execute(sa.text(f"SELECT setval({sequence}, (SELECT max(id) FROM {table.name}))"))
