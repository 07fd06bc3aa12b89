"""Rows that are bound to the ledger, changed as a test needs them, together with their entries: not as a forger would."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from include.evergreen.state import ledger


def change(connection: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool] | None = None, **values: Any) -> None:
    """Set columns of the rows for which the condition holds, by default of all, and bind each row to the ledger again."""
    where = [] if condition is None else [condition]
    numbers = connection.execute(sa.select(table.c.id).where(*where)).scalars().all()
    connection.execute(table.update().where(table.c.id.in_(numbers)).values(**values))
    for number in numbers:
        ledger.bind(connection, table, {"id": number}, kind=min(ledger.BINDINGS[table.name].kinds))
