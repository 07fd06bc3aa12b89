"""Insert a row, or replace the one that has the same key: the idempotent write."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: sa.Connection, table: sa.Table, key: dict[str, Any], values: dict[str, Any], *, keep: tuple[str, ...] = ()) -> None:
    """Write ``key`` and ``values`` to ``table``; where ``key`` stands already, replace all of ``values`` but ``keep``.

    ``key`` must be a unique constraint of the table.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**key, **values)
    replaced = {name: statement.excluded[name] for name in values if name not in keep}
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=replaced))


def insert_once(connection: sa.Connection, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> bool:
    """Write the row unless one with the same ``key`` stands; say whether it was written."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**key, **values)
    return connection.execute(statement.on_conflict_do_nothing(index_elements=list(key))).rowcount == 1
