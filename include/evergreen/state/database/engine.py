"""Connections to our own database, and its migration."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation.errors import ConfigError, EvergreenError, TransientError
from include.evergreen.foundation.settings import Settings, read_number
from include.evergreen.state.database import faults, sessions
from include.evergreen.state.database.types import to_json

LOCK_TIMEOUT, IDLE_TIMEOUT = "EVERGREEN_LOCK_TIMEOUT_SECONDS", "EVERGREEN_IDLE_TRANSACTION_SECONDS"
MOST_SECONDS = 86_400
MIGRATIONS = Path(__file__).parent / "migrations"


@contextmanager
def reading() -> Iterator[sa.Connection]:
    """Open a consistent view of the database, for reading alone; raises what `writing` does.

    :yields: a connection in a transaction, in which all statements see the same state
    """
    with _connection() as connection:
        if connection.dialect.name == "postgresql":  # by itself, each statement sees what was committed before it; SQLite's BEGIN is enough
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def writing() -> Iterator[sa.Connection]:
    """Open one transaction, all or nothing, and one at a time: what it reads nobody changes before it has written.

    Raises `TransientError` when the database does not answer or stays locked, which names who holds the lock, and `ConfigError`
    when it has no tables, its URL is of no use, or its user may not log in or do that.

    :yields: a connection in that transaction, which is committed at the end of the context, and rolled back when it raises
    """
    with _connection() as connection:
        writer = connection.execution_options(evergreen_writes=True)
        with writer.begin():
            if writer.dialect.name == "postgresql":  # SQLite's BEGIN IMMEDIATE does the same
                writer.exec_driver_sql(f"SELECT pg_advisory_xact_lock({sessions.WRITE_LOCK})")
            yield writer


def migrate() -> None:
    """Bring the database to the newest schema; safe to call again, and from several processes in turn."""
    from alembic import command
    from alembic.config import Config

    settings = Settings.from_environment()
    if settings.database_url.startswith("sqlite:///"):
        Path(settings.database_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def disconnect() -> None:
    """Close this process's connections to the database; its next use opens new ones."""
    _engine(Settings.from_environment().database_url, os.getpid()).dispose()


def compact() -> None:
    """Leave nothing of deleted rows in the database's own files, as far as it lets us: free pages and SQLite's log are emptied.

    :raises TransientError: while others keep the database busy
    """
    with _connection() as connection:
        if connection.dialect.name == "sqlite":
            connection.connection.execute("VACUUM")  # past SQLAlchemy: it allows no transaction
            busy, *_ = connection.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise TransientError(
                    f"The database {Settings.from_environment().database_url} is being read by others, so what was deleted is "
                    f"still in its log. Give the same command again in a moment."
                )
        else:
            outside = connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in ("validations", "quarantine_releases"):  # all that quote, or are computed from, a single row
                outside.exec_driver_sql(f"VACUUM FULL {table}")


@contextmanager
def _connection() -> Iterator[sa.Connection]:
    url = Settings.from_environment().database_url
    engine = _engine(url, os.getpid())
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.DBAPIError as error:
        if (explained := _explanation(error, engine, url)) is None:
            raise
        raise explained from error


def _explanation(error: sa.exc.DBAPIError, engine: sa.Engine, url: str) -> EvergreenError | None:
    """The error by who must act; none for a mistake of ours."""
    if lacking := faults.schema_fault(error):
        return ConfigError(f"The database {url} {lacking}. Run `make setup`.")
    if faults.is_permanent(error):
        advice = (
            "Name a role that may do this in EVERGREEN_DATABASE_URL: docs/guides/database-roles.md says who may write what."
            if faults.sqlstate(error) == faults.FORBIDDEN_STATE
            else "Look at EVERGREEN_DATABASE_URL, and at what its user may do; `make setup` makes the tables in a database that is there."
        )
        return ConfigError(f"The database {url} cannot be used: {str(error.orig).strip()}. {advice}")
    if faults.is_locked(error):
        return TransientError(
            f"The database {url} is locked by another writer, which was waited for {_lock_seconds():g} s ({LOCK_TIMEOUT}). "
            f"{sessions.describe_holders(engine)}"
        )
    if faults.sqlstate(error) == faults.IDLE_STATE:
        return TransientError(
            f"The database {url} ended a transaction of this process, which did nothing in it for {_idle_seconds():g} s "
            f"({IDLE_TIMEOUT}) while others may have waited."
        )
    if faults.is_gone(error):
        hint = ". Is its folder there, and may this process write in it? `make setup` makes it" if "unable to open" in str(error) else ""
        return TransientError(f"The database {url} did not answer: {error.orig}{hint}")
    return None


def _lock_seconds() -> float:
    return read_number(LOCK_TIMEOUT, 60, "seconds", least=0.001, most=MOST_SECONDS)


def _idle_seconds() -> float:
    return read_number(IDLE_TIMEOUT, 300, "seconds", least=0.001, most=MOST_SECONDS)


@cache
def _engine(url: str, process: int) -> sa.Engine:
    """One engine a process: a connection that was opened before a fork must not be used after it."""
    try:
        engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"), json_serializer=to_json)
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise ConfigError(f"EVERGREEN_DATABASE_URL is {url!r}, which SQLAlchemy cannot use: {error}") from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    elif engine.dialect.name == "postgresql":
        sa.event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    """Nobody waits without end, neither for a lock nor for whoever sleeps in a transaction; and every session says what it is."""
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, false), set_config('idle_in_transaction_session_timeout', %s, false), "
            "set_config('application_name', coalesce(nullif(current_setting('application_name'), ''), %s), false)",
            (f"{_lock_seconds() * 1000:.0f}", f"{_idle_seconds() * 1000:.0f}", sessions.session_name()),
        )
    connection.commit()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    connection.execute(f"PRAGMA busy_timeout={_lock_seconds() * 1000:.0f}")
    _write_ahead(connection)
    connection.execute("PRAGMA foreign_keys=ON")


def _write_ahead(connection: Any) -> None:
    """SQLite's busy time-out does not cover the change of a new database to write-ahead logging: two may want it at once."""
    deadline = time.monotonic() + _lock_seconds()
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("evergreen_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
