"""Connections to our own database, and its migration."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.foundation.settings import Settings

SQLITE_BUSY_TIMEOUT_MS = 30_000
WRITE_LOCK = 20_130_209  # any number, the same in every process of ours
MIGRATIONS = Path(__file__).parent / "migrations"


@contextmanager
def reading() -> Iterator[sa.Connection]:
    """Open a consistent view of the database, for reading alone; raises what `writing` does."""
    with _connection() as connection:
        if connection.dialect.name == "postgresql":  # by itself, each statement sees what was committed before it; SQLite's BEGIN is enough
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def writing() -> Iterator[sa.Connection]:
    """Open one transaction, all or nothing, and one at a time: what it reads nobody changes before it has written.

    Raises `TransientError` when the database does not answer or stays locked, `ConfigError` when it has no tables or its URL
    is of no use.
    """
    with _connection() as connection:
        writer = connection.execution_options(evergreen_writes=True)
        with writer.begin():
            if writer.dialect.name == "postgresql":  # SQLite's BEGIN IMMEDIATE does the same
                writer.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
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

    :raises TransientError: while others keep the database busy.
    """
    with _connection() as connection:
        if connection.dialect.name == "sqlite":
            connection.connection.execute("VACUUM")  # past SQLAlchemy: it allows no transaction
            busy, *_ = connection.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise TransientError(
                    f"The database {_shown(Settings.from_environment().database_url)} is being read by others, so what was deleted is "
                    f"still in its log. Give the same command again in a moment."
                )
        else:
            outside = connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in ("validations", "quarantine_releases"):  # all that quote, or are computed from, a single row
                outside.exec_driver_sql(f"VACUUM FULL {table}")


@contextmanager
def _connection() -> Iterator[sa.Connection]:
    url = Settings.from_environment().database_url
    try:
        with _engine(url, os.getpid()).connect() as connection:
            yield connection
    except sa.exc.OperationalError as error:
        if "no such table" in str(error):
            raise ConfigError(f"The database {_shown(url)} has no tables yet. Run `make setup`.") from error
        hint = ". Is its folder there, and may this process write in it? `make setup` makes it" if "unable to open" in str(error) else ""
        raise TransientError(f"The database {_shown(url)} did not answer: {error.orig}{hint}") from error
    except sa.exc.ProgrammingError as error:
        if "does not exist" in str(error):
            raise ConfigError(f"The database {_shown(url)} has no tables yet. Run `make setup`.") from error
        if "permission denied" in str(error):
            raise ConfigError(
                f"The role of {_shown(url)} may not do this: {str(error.orig).strip()}. Act where EVERGREEN_DATABASE_URL names a role "
                f"that may; who may write what is in docs/guides/database-roles.md."
            ) from error
        raise


@cache
def _engine(url: str, process: int) -> sa.Engine:
    """One engine a process: a connection that was opened before a fork must not be used after it."""
    try:
        engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise ConfigError(f"EVERGREEN_DATABASE_URL is {_shown(url)!r}, which SQLAlchemy cannot use: {error}") from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    connection.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")
    _write_ahead(connection)
    connection.execute("PRAGMA foreign_keys=ON")


def _write_ahead(connection: Any) -> None:
    """SQLite's busy time-out does not cover the change of a new database to write-ahead logging: two may want it at once."""
    deadline = time.monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1000
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


def _shown(url: str) -> str:
    """The URL without its password."""
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return "(not a database URL)"
