"""A database as an earlier release left it, on either kind of database: for tests of what a migration makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from include.evergreen.state.database import writing
from include.evergreen.state.database.engine import MIGRATIONS
from tests.servers import PostgreSQL
from tests.unit.flights import close_database

DATABASES = ["sqlite", "postgresql"]


def leave_database(
    revision: str, fill: Callable[[sa.Connection], None], request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a fixture over `DATABASES`: make the schema of ``revision`` in a new database of that kind, and fill it."""
    url = f"sqlite:///{tmp_path}/evergreen.db"
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.new_database("evergreen")
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", url)
    request.addfinalizer(close_database)
    with writing() as connection:
        command.upgrade(_config(connection), revision)
        fill(connection)


def take_back(revision: str) -> None:
    """Bring the database back to the schema of ``revision``."""
    with writing() as connection:
        command.downgrade(_config(connection), revision)


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config
