"""Insert a row, or replace the one that has the same key: the idempotent write."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: sa.Connection, table: sa.Table, key: dict[str, Any], values: dict[str, Any], *, keep: tuple[str, ...] = ()) -> None:
    """Write a row; where one with the same key stands already, replace its values.

    :param connection: inside a writing transaction; nothing is committed here
    :param table: to write to
    :param key: the row's values in the columns of a unique constraint, by name
    :param values: those in other columns, by name
    :param keep: the names of values that an existing row keeps
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**key, **values)
    replaced = {name: statement.excluded[name] for name in values if name not in keep}
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=replaced))


def insert_once(connection: sa.Connection, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> bool:
    """Write a row, unless one with the same key stands already; that one stays as it is.

    :param connection: inside a writing transaction; nothing is committed here
    :param table: to write to
    :param key: the row's values in the columns of a unique constraint, by name
    :param values: those in other columns, by name
    :returns: whether the row was written
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**key, **values)
    return connection.execute(statement.on_conflict_do_nothing(index_elements=list(key))).rowcount == 1
