"""With roles of PostgreSQL, a worker does all of its work and edits nothing that was recorded; a reader writes about alerts alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
import sqlalchemy as sa

from include.evergreen.cli.main import main
from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.settings import Settings
from include.evergreen.operations.audit import verify_records
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.operations.noticing import Attempt, Declared, Instance, Standing, attempts_to_settle, record_attempts, settle
from include.evergreen.operations.rescoring import rescore
from include.evergreen.registry import champions
from include.evergreen.registry.overview import version_history
from include.evergreen.state import alerts, leases, pauses
from include.evergreen.state.access import grant_access, updated_columns
from include.evergreen.state.alerts.maintenance_windows import plan_maintenance
from include.evergreen.state.database.tables import metadata
from tests.servers import PostgreSQL
from tests.unit.copies import move_to
from tests.unit.flights import close_database, lenient
from tests.unit.lifecycle import MODEL, day, settle_cycled

OWNER = "evergreen"
ON_CALL = {"alerts", "alert_places", "alert_events", "task_failures", "leases", "notifications", "maintenance_windows", "kept_files"}


@pytest.fixture
def roles(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The URLs of a worker and a reader of our database, on PostgreSQL, in which a cycle has run."""
    settle_cycled()
    move_to(postgresql, monkeypatch, "cycled")
    urls = {}
    for role in ("a-worker", "reader"):
        postgresql.execute(f'DROP ROLE IF EXISTS "{role}"')
        postgresql.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'plums'")
        urls[role] = sa.make_url(Settings.from_environment().database_url).set(username=role, password="plums").render_as_string(False)
    for _ in range(2):
        grant_access(worker="a-worker", reader="reader")
    close_database()
    yield urls
    close_database()
    postgresql.new_database("evergreen")
    for role in urls:
        postgresql.execute(f'DROP ROLE "{role}"')


def test_a_worker_does_a_models_whole_work(roles: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", roles["a-worker"])
    catalog = Catalog()
    model = lenient(catalog.model(MODEL))
    result = run_cycle(catalog, model, day(21), reason="as a worker", actor="a worker")
    assert result.promotion is not None
    champions.rollback(MODEL, actor="a worker", reason="it may", request="one form")
    assert rescore(catalog, model, day(20), day(21))
    pauses.pause(hours=1, actor="a worker", reason="it may")
    pauses.lift(actor="a worker", reason="it may")
    assert main(["maintain"]) == 0
    assert verify_records().problems == []


def test_of_what_was_recorded_a_worker_changes_only_what_is_listed_and_a_reader_nothing_but_alerts(roles: dict[str, str]) -> None:
    for role, url in roles.items():
        allowed, refused = set(), set()
        with closing(psycopg2.connect(url.replace("+psycopg2", ""))) as connection, connection.cursor() as cursor:
            for table in metadata.sorted_tables:
                statements = {
                    f"{table.name}.{column.name}": f'UPDATE {table.name} SET "{column.name}" = "{column.name}"' for column in table.columns
                }
                statements[f"{table.name} DELETE"] = f"DELETE FROM {table.name} WHERE false"
                statements[f"{table.name} TRUNCATE"] = f"TRUNCATE {table.name}"
                for name, statement in statements.items():
                    try:
                        cursor.execute(statement)
                        allowed.add(name)
                    except psycopg2.errors.InsufficientPrivilege:
                        refused.add(name)
                    connection.rollback()
        if role == "reader":
            about_alerts = {name for name in allowed if name.partition(".")[0] in ON_CALL}
            assert allowed - {"task_failures DELETE", "notifications DELETE"} == about_alerts
            assert {name.partition(".")[0] for name in about_alerts} == ON_CALL
            continue
        assert {name for name in refused if name.startswith(("decisions.", "decisions "))} == {
            f"decisions.{column.name}" for column in metadata.tables["decisions"].columns if column.name != "entry"
        } | {"decisions DELETE", "decisions TRUNCATE"}
        assert not {name for name in allowed if name.startswith(("ledger", "recipes")) or name.endswith(" TRUNCATE")}
        assert {name for name in allowed if name.startswith(("partition_versions", "knowledge_corrections", "pauses"))} == {
            "knowledge_corrections.entry", "pauses.entry", "pauses.lifted_at", "pauses.lifted_by",
            *(f"partition_versions.{name}" for name in ("entry", "delivered_at", "superseded_at", "raw_path", "removed_at", "kept_at")),
        }  # fmt: skip
        for table in metadata.sorted_tables:
            columns = updated_columns(table)
            expected = {column.name for column in table.columns} if columns is None else set(columns)
            assert {name.partition(".")[2] for name in allowed if name.startswith(f"{table.name}.")} == expected
            assert (f"{table.name} DELETE" in allowed) == (columns is None)


def test_a_reader_sees_what_the_pages_show(roles: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", roles["reader"])
    assert len(version_history(MODEL)) == 1
    with pytest.raises(ConfigError, match=r"reader:\*\*\*@.*cannot be used: permission denied for table.*database-roles"):
        pauses.pause(hours=1, actor="a reader", reason="it tries")


def test_a_reader_watches_and_records_what_people_do_about_alerts(roles: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", roles["reader"])
    assert leases.acquire("watch", "me", 30)
    died = Attempt(Instance("weather.ingest", "fetch", "run 1"), 1, "silent")
    record_attempts([died], Declared())
    (alert,) = alerts.open_alerts()
    alerts.acknowledge(alert.id, actor="ada")
    settle(attempts_to_settle(), {died.instance: Standing("success", 2)})
    alerts.pass_time(), alerts.forget_old_failures()
    plan_maintenance("weather", hours=1, actor="ada", reason="they move")
    assert alerts.open_alerts() == [] and verify_records().problems == []


@pytest.mark.parametrize("role", ["nobody", 'x"; DROP TABLE ledger; --'])
def test_a_role_that_is_not_there_is_named(roles: dict[str, str], role: str) -> None:
    with pytest.raises(ConfigError, match="The database has no role"):
        grant_access(worker=role)


def test_on_sqlite_there_are_no_roles() -> None:
    settle_cycled()
    with pytest.raises(ConfigError, match="Roles are PostgreSQL's"):
        grant_access(worker="a-worker")
