"""Binds the rows of tables to the ledger: what a row says, its entry says too, so that a row that was edited, added or removed shows.

`bind` writes the entry in the row's own transaction, and the row's ``entry`` names it. `why_unbound` compares one row, for whoever is
about to act on it; `compare` compares every row of every table with its entry, and every entry with its row.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation.digest import canonical_json
from include.evergreen.state.database import tables
from include.evergreen.state.database.tables import ledger
from include.evergreen.state.ledger.entries import BATCH, append

TABLE, REPLACES = "table", "replaces"  # what the body of an entry has besides the row's columns


@dataclass(frozen=True)
class Binding:
    """How the rows of one table are bound.

    ``key`` names a row to people; ``by_digest`` are columns too large to stand in an entry, of which it holds the SHA-256;
    ``unbound`` are columns that may change without an entry, each with the reason. Where ``newest_counts``, rows stand in the order
    of their entries, since the newest one decides.
    """

    table: sa.Table
    kinds: frozenset[str]
    key: tuple[str, ...]
    by_digest: frozenset[str] = frozenset()
    unbound: dict[str, str] = field(default_factory=dict)
    newest_counts: bool = False

    @property
    def columns(self) -> list[str]:
        """The bound columns: all but the number of the row, its entry, and ``unbound``."""
        return [column.name for column in self.table.columns if column.name not in {"id", "entry", *self.unbound}]

    def said(self, row: sa.Row[Any]) -> dict[str, Any]:
        """Say what an entry says of a row.

        :param row: of the binding's table, with all its columns
        :returns: the bound columns' values by name, as they are read back from JSON; of ``by_digest`` their SHA-256, in hex
        """
        values = {name: row._mapping[name] for name in self.columns}
        for name in self.by_digest:
            values[name] = hashlib.sha256(canonical_json(values[name]).encode()).hexdigest()
        said: dict[str, Any] = json.loads(canonical_json(values))
        return said

    def name(self, row: sa.Row[Any]) -> str:
        """Name a row in a message.

        :param row: of the binding's table, with all its columns
        :returns: the table, and the values of ``key``
        """
        return f"{self.table.name} ({', '.join(f'{name} {_short(row._mapping[name])}' for name in self.key)})"


BINDINGS = {
    binding.table.name: binding
    for binding in (
        Binding(
            tables.snapshots,
            frozenset({"snapshot"}),
            ("model", "as_of", "digest"),
            by_digest=frozenset({"members"}),
            unbound={"tombstones": "an erasure adds to them, and has an entry of its own"},
        ),
        Binding(
            tables.candidates,
            frozenset({"training"}),
            ("model", "as_of", "run_key"),
            by_digest=frozenset({"facts"}),
            unbound={
                "artifact_uri": "where the files lie changes when a store moves; what they are, the bound artifact_digest says",
                "irreproducible_because": "an erasure sets it, and has an entry of its own",
            },
        ),
        Binding(tables.decisions, frozenset({"decision"}), ("model", "run_key", "attempt"), newest_counts=True),
        Binding(
            tables.model_versions,
            frozenset({"registration"}),
            ("model", "version"),
            unbound={"card_path": "the card is written after the registration, and again whenever it was lost"},
        ),
        Binding(tables.approvals, frozenset({"approval", "refusal"}), ("model", "version", "request"), newest_counts=True),
        Binding(
            tables.promotions,
            frozenset({"promotion", "rollback"}),
            ("model", "version", "promoted_at"),
            unbound={
                "shown_at": "it says that MLflow's alias was seen to agree, which decides nothing about who serves",
                "ended_by": "it follows from the promotions and rollbacks since, from which the audit works it out anew",
            },
            newest_counts=True,
        ),
        Binding(
            tables.prediction_sets,
            frozenset({"scoring"}),
            ("model", "partition", "scoring"),
            unbound={"superseded_at": "it follows from the later scorings; the audit looks that the newest alone is current"},
        ),
    )
}


def bind(connection: sa.Connection, table: sa.Table, key: dict[str, Any], *, kind: str, evidence: dict[str, Any] | None = None) -> None:
    """Add the entry of the row that ``key`` names, as it stands now.

    To be called by whoever inserts or changes a bound column, in the same transaction. A row that was bound before gets a new
    entry, which names the one that it replaces.

    :param connection: inside a writing transaction; nothing is committed here
    :param table: one of `BINDINGS`
    :param key: values of columns by name, equal for one row alone
    :param kind: the entry's kind: one of the binding's
    :param evidence: what else the entry says, besides the row's bound columns
    """
    binding = BINDINGS[table.name]
    row = connection.execute(table.select().filter_by(**key)).one()
    replaced = {REPLACES: row.entry} if row.entry is not None else {}
    body = {**(evidence or {}), **binding.said(row), TABLE: table.name, **replaced}
    sequence = append(connection, kind=kind, model=row.model, body=body)
    connection.execute(table.update().filter_by(**key).values(entry=sequence))


def unbind(connection: sa.Connection, table: sa.Table, key: dict[str, Any], *, reason: str) -> None:
    """Delete a row that is bound to the ledger, and say so in an entry.

    :param connection: inside a writing transaction; nothing is committed here
    :param table: one of `BINDINGS`
    :param key: values of columns by name, equal for one row alone
    :param reason: why, for the ledger
    """
    row = connection.execute(table.select().filter_by(**key)).one()
    body = {"removed": BINDINGS[table.name].name(row), REPLACES: row.entry, "reason": reason}
    append(connection, kind="removal", model=row.model, body=body)
    connection.execute(table.delete().filter_by(**key))


def why_unbound(connection: sa.Connection, table: sa.Table, **key: Any) -> str:
    """Compare a row with its entry in the ledger.

    :param connection: any that reads
    :param table: one of `BINDINGS`
    :param **key: values of columns by name, equal for one row alone
    :returns: what is wrong between them, for a message; empty when they agree
    """
    row = connection.execute(table.select().filter_by(**key)).one()
    entry = connection.execute(ledger.select().where(ledger.c.sequence == row.entry)).first()
    return _difference(BINDINGS[table.name], row, entry)


def newest_bound_entry(connection: sa.Connection, table: sa.Table, model: str) -> sa.Row[Any] | None:
    """Read the newest entry that is about rows of a table, of one model.

    :param connection: any that reads
    :param table: one of `BINDINGS`
    :param model: name of the model
    :returns: the row of the ledger; None when it has none
    """
    about = (ledger.c.model == model, ledger.c.kind.in_(BINDINGS[table.name].kinds))
    return connection.execute(ledger.select().where(*about).order_by(ledger.c.sequence.desc()).limit(1)).first()


def compare(connection: sa.Connection) -> Iterator[str]:
    """Compare all bound rows with their entries, and all entries with their rows, `BATCH` of them in memory at once.

    :param connection: any that reads
    :yields: one sentence for each row that differs from its entry, has none or is out of order, and for each entry whose row is gone
    """
    for binding in BINDINGS.values():
        yield from _compare_rows(connection, binding)
    replaced = _replaced(connection)
    for binding in BINDINGS.values():
        for entry in connection.execute(_without_row(binding)):
            if entry.sequence not in replaced and TABLE in json.loads(entry.body):  # releases before this one bound nothing
                yield f"entry {entry.sequence} ({entry.kind} of {entry.model}) has no row in {binding.table.name}: it was removed"


def _compare_rows(connection: sa.Connection, binding: Binding) -> Iterator[str]:
    newest: dict[str, int] = {}  # entry of each model's rows so far
    query = binding.table.select().order_by(*binding.table.primary_key)
    for rows in connection.execution_options(yield_per=BATCH).execute(query).partitions():
        numbers = [row.entry for row in rows if row.entry is not None]
        entries = {entry.sequence: entry for entry in connection.execute(ledger.select().where(ledger.c.sequence.in_(numbers)))}
        for row in rows:
            if problem := _difference(binding, row, entries.get(row.entry)):
                yield problem
            elif binding.newest_counts and row.entry < newest.get(row.model, 0):
                yield f"{binding.name(row)} stands after a row whose entry in the ledger is newer: their order was changed"
            else:
                newest[row.model] = row.entry


def _difference(binding: Binding, row: sa.Row[Any], entry: sa.Row[Any] | None) -> str:
    name = binding.name(row)
    if entry is None:
        return f"{name} has no entry in the ledger"
    body = json.loads(entry.body)
    if entry.kind not in binding.kinds or entry.model != row.model or body.get(TABLE) != binding.table.name:
        return f"{name} names entry {entry.sequence} of the ledger, which is about something else ({entry.kind} of {entry.model})"
    differ = [column for column, value in binding.said(row).items() if column not in body or body[column] != value]
    return f"{name} differs from entry {entry.sequence} of the ledger in: {', '.join(differ)}" if differ else ""


def _replaced(connection: sa.Connection) -> set[int]:
    """The entries that a later one replaced: their rows were changed, or removed, by a deed on record."""
    query = sa.select(ledger.c.body).where(ledger.c.body.contains(f'"{REPLACES}":'))
    return {json.loads(body).get(REPLACES) for body in connection.execute(query).scalars()}


def _without_row(binding: Binding) -> sa.Select[Any]:
    rows = sa.select(binding.table.c.entry).where(binding.table.c.entry == ledger.c.sequence)
    return ledger.select().where(ledger.c.kind.in_(binding.kinds), ~rows.exists()).order_by(ledger.c.sequence)


def _short(value: Any) -> str:
    """A moment to the minute, and a digest as people know it."""
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    text = str(value)
    return text[:12] if len(text) == 64 else text
