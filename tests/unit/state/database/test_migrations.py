from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.monitoring import list_observations
from include.evergreen.monitoring.triggers import list_firings
from include.evergreen.operations.audit import verify_records
from include.evergreen.state.database import migrate, reading, writing
from include.evergreen.state.database.engine import MIGRATIONS
from include.evergreen.state.database.tables import erasures, metadata, quarantine_releases
from tests.unit.flights import rows_of
from tests.unit.warm import start_code


def test_migrating_makes_the_folder_and_every_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "not" / "there"))
    migrate()
    assert set(metadata.tables) < set(_tables())


def test_migrating_again_changes_nothing(home: Path) -> None:
    before = _tables()
    migrate()
    assert _tables() == before


def test_the_migrations_give_exactly_the_declared_tables(home: Path) -> None:
    with reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert [each for each in compare_metadata(context, metadata) if not _is_the_same_text(connection, each)] == []


def _is_the_same_text(connection: sa.Connection, difference: object) -> bool:
    """SQLite holds a date as the text of a partition's key, in a column of any type: migration 0014 changes none there."""
    if connection.dialect.name != "sqlite" or not isinstance(difference, list):
        return False
    return all(change[0] == "modify_type" and isinstance(change[5], sa.Date) for change in difference)


def test_two_processes_may_migrate_at_once(tmp_path: Path) -> None:
    processes = [start_code("from include.evergreen.state.database import migrate; migrate()") for _ in range(2)]
    assert [(process.wait(300), process.communicate()[1]) for process in processes] == [(0, ""), (0, "")]
    assert set(metadata.tables) < set(_tables())


def test_a_database_without_tables_says_how_to_make_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(ConfigError, match="empty.db has no tables yet. Run `make setup`."), reading() as connection:
        connection.execute(metadata.tables["ledger"].select())


def test_a_database_that_cannot_be_opened_is_worth_a_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", f"sqlite:///{tmp_path}/nowhere/evergreen.db")
    with pytest.raises(TransientError, match="nowhere/evergreen.db did not answer"), reading() as connection:
        connection.execute(sa.text("SELECT 1"))


@pytest.mark.parametrize("url", ["not a url", "nodatabase://host/name"])
def test_a_url_that_is_none_is_the_settings_fault(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", url)
    with pytest.raises(ConfigError, match="EVERGREEN_DATABASE_URL is .* which SQLAlchemy cannot use"), reading():
        pass


def test_no_message_shows_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", "nodatabase://user:secret@host/name")
    with pytest.raises(ConfigError) as refused, reading():
        pass
    assert "secret" not in str(refused.value)


def test_a_firing_from_before_answers_were_recorded_counts_as_answered_if_its_training_was_asked_for(home: Path) -> None:
    _run(command.downgrade, "0007-1")
    with writing() as connection:
        for day, run in ((1, "'a run'"), (2, "NULL")):
            connection.execute(
                sa.text(
                    "INSERT INTO firings (model, rule, as_of, version, evidence, recorded_at, training_run_id) "
                    f"VALUES ('m', 'r', '2013-01-0{day}', 1, '{{}}', '2013-01-03 00:00:00', {run})"
                )
            )
    _run(command.upgrade, "head")
    asked, due = list_firings("m")
    assert (asked.attempts, asked.answered_at, asked.due_at) == (1, asked.recorded_at, None)
    assert (due.attempts, due.answered_at, due.due_at) == (0, None, due.recorded_at)


def test_rows_of_an_earlier_release_are_bound_at_their_word_and_what_was_released_at_once_is_one_row(home: Path) -> None:
    _run(command.downgrade, "0009-1")
    time, who = "'2013-01-03 00:00:00'", "'ann', 'it was a storm'"
    versions = (
        "dataset, partition, version, digest, path, rows, quarantine_digest, quarantine_path, quarantined, source_rows, knowledge_time, "
        "origin"
    )
    with writing() as connection:
        for table, columns, values in (
            ("partition_versions", versions, f"'weather', '2013-01-01', 1, 'd', 'p', 9, 'q', 'p', 2, 11, {time}, 'live'"),
            ("knowledge_corrections", "dataset, first, last, before, actor, reason", f"'weather', '2013-01-01', '2013-01-01', '[]', {who}"),
            ("quarantine_releases", "dataset, partition, row_digest, actor, reason", f"'weather', '2013-01-01', 'a', {who}"),
            ("quarantine_releases", "dataset, partition, row_digest, actor, reason", f"'weather', '2013-01-01', 'b', {who}"),
            ("erasures", "dataset, columns, subject_hash, status, detail",
             """'weather', 'email', 'h', 'done', '{"secret": "s", "actor": "ann", "counts": {"accepted rows": 2}}'"""),
            ("pauses", "actor, reason, until, lifted_at, lifted_by", f"{who}, {time}, {time}, 'bob'"),
            ("firings", "model, rule, as_of, version, evidence, attempts", "'m', 'r', '2013-01-01', 1, '{}', 0"),
        ):  # fmt: skip
            connection.exec_driver_sql(f"INSERT INTO {table} ({columns}, recorded_at) VALUES ({values}, {time})")
    _run(command.upgrade, "head")
    assert verify_records().problems == []
    [release], [erasure] = rows_of(quarantine_releases), rows_of(erasures)
    assert release.rows["digests"] == ["a", "b"]
    assert (erasure.detail, erasure.progress) == ({"secret": "s", "actor": "ann"}, {"counts": {"accepted rows": 2}})
    _run(command.downgrade, "0009-1")
    with reading() as connection:
        assert connection.exec_driver_sql("SELECT row_digest FROM quarantine_releases ORDER BY 1").scalars().all() == ["a", "b"]
    _run(command.upgrade, "head")


def test_an_estimate_of_an_earlier_release_keeps_its_interval_where_it_is_observed(home: Path) -> None:
    _run(command.downgrade, "0014")
    with writing() as connection:
        for metric, value in (("estimated.auc", 0.7), ("performance.auc", 0.6)):
            connection.exec_driver_sql(
                "INSERT INTO observations (model, partition, metric, value, version, origin, rows, recorded_at) "
                f"VALUES ('m', '2013-01-01', '{metric}', {value}, 1, 'live', 9, '2013-01-03 00:00:00')"
            )
        for estimator, low, is_observed in (("pape", 0.65, "true"), ("cbpe", 0.1, "false")):
            connection.exec_driver_sql(
                "INSERT INTO estimates (model, partition, estimator, metric, value, low, high, version, is_observed, recorded_at) "
                f"VALUES ('m', '2013-01-01', '{estimator}', 'auc', 0.7, {low}, 0.8, 1, {is_observed}, '2013-01-03 00:00:00')"
            )
    _run(command.upgrade, "head")
    assert [(each.metric, each.low, each.high) for each in list_observations("m")] == [
        ("estimated.auc", 0.65, 0.8), ("performance.auc", None, None),
    ]  # fmt: skip
    _run(command.downgrade, "0014")
    _run(command.upgrade, "head")
    assert len(list_observations("m")) == 2


def _run(verb: Callable[[Config, str], object], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writing() as connection:
        config.attributes["connection"] = connection
        verb(config, revision)


def _tables() -> list[str]:
    with reading() as connection:
        return sa.inspect(connection).get_table_names()
