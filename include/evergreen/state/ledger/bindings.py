"""Binds the rows of tables to the ledger: what a row says, its entry says too, so that a row that was edited, added or removed shows.

`bind` writes the entry in the row's own transaction, and the row's ``entry`` names it. `why_unbound` compares one row, for whoever is
about to act on it; `compare` compares every row of every table with its entry, and every entry with its row.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation.batches import in_batches
from include.evergreen.foundation.digest import canonical_json
from include.evergreen.state.database import tables
from include.evergreen.state.database.tables import ledger
from include.evergreen.state.ledger.entries import BATCH, append

Row = Mapping[Any, Any]  # the values of a row, by column
TABLE, REPLACES = "table", "replaces"  # what the body of an entry has besides the row's columns


@dataclass(frozen=True)
class Binding:
    """How the rows of one table are bound.

    ``key`` names a row to people; ``by_digest`` are columns that must not stand in an entry, or are too large to, of which it holds the
    SHA-256; ``unbound`` are columns that may change without an entry, each with the reason; ``renewed`` are bound ones that daily work
    changes in a row that stands, with a new entry. Where ``newest_counts``, rows stand in the order of their entries, since the newest
    one decides.
    """

    table: sa.Table
    kinds: frozenset[str]
    key: tuple[str, ...]
    by_digest: frozenset[str] = frozenset()
    unbound: dict[str, str] = field(default_factory=dict)
    renewed: frozenset[str] = frozenset()
    newest_counts: bool = False

    @property
    def columns(self) -> list[str]:
        """The bound columns: all but the number of the row, its entry, and ``unbound``."""
        return [column.name for column in self.table.columns if column.name not in {"id", "entry", *self.unbound}]

    def said(self, row: Row) -> dict[str, Any]:
        """Say what an entry says of a row.

        :param row: of the binding's table, with all its columns
        :returns: the bound columns' values by name, as they are read back from JSON; of ``by_digest`` their SHA-256, in hex
        """
        values = {name: row[name] for name in self.columns}
        for name in self.by_digest:
            values[name] = hashlib.sha256(canonical_json(values[name]).encode()).hexdigest()
        said: dict[str, Any] = json.loads(canonical_json(values))
        return said

    def name(self, row: Row) -> str:
        """Name a row in a message.

        :param row: of the binding's table, with all its columns
        :returns: the table, and the values of ``key``
        """
        return f"{self.table.name} ({', '.join(f'{name} {_short(row[name])}' for name in self.key)})"

    def model(self, row: Row) -> str:
        """Tell which model a row, and its entry, is about.

        :param row: of the binding's table, with all its columns
        :returns: the model's name; empty where it is about all
        """
        return str(row["model"]) if "model" in self.table.c else ""


BINDINGS = {
    binding.table.name: binding
    for binding in (
        Binding(
            tables.snapshots,
            frozenset({"snapshot"}),
            ("model", "as_of", "digest"),
            by_digest=frozenset({"members"}),
            unbound={
                "tombstones": "an erasure adds to them, and has an entry of its own",
                "window": "the bound digest is of a document that says it, and verification compares them",
            },
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
            tables.rollouts,
            frozenset({"rollout", "rollout-step", "rollout-end"}),
            ("model", "version", "started_at"),
            unbound={"note": "it says what a running one waits for, and whether MLflow shows the end of another, which decides nothing"},
            renewed=frozenset({"last", "steps", "evidence", "state", "because", "ended_at"}),
        ),
        Binding(
            tables.prediction_sets,
            frozenset({"scoring"}),
            ("model", "partition", "scoring"),
            unbound={"superseded_at": "it follows from the later scorings; the audit looks that the newest alone is current"},
        ),
        Binding(
            tables.partition_versions,
            frozenset({"publication"}),
            ("dataset", "partition", "version"),
            unbound={
                "raw_path": "retention empties it when the raw rows go; what they were, the bound raw_digest says",
                "removed_at": "retention sets it when it takes the files away, and then nobody can read them",
                "superseded_at": "it follows from the later versions; the audit looks that the newest alone is current",
                "kept_at": "it only spares retention another look at what stays",
            },
            renewed=frozenset({"delivered_at"}),
        ),
        Binding(
            tables.knowledge_corrections,
            frozenset({"knowledge-correction"}),
            ("dataset", "first", "last", "recorded_at"),
            by_digest=frozenset({"before"}),
            newest_counts=True,
        ),
        Binding(
            tables.quarantine_releases,
            frozenset({"quarantine-release"}),
            ("dataset", "partition", "recorded_at"),
            by_digest=frozenset({"rows"}),  # with its salt: from the digest of a short row alone, the row could be guessed
        ),
        Binding(
            tables.erasures,
            frozenset({"erasure"}),
            ("dataset", "columns", "subject_hash"),
            unbound={"progress": "it counts while the erasure is at work; what it came to, the entry of its end says"},
        ),
        Binding(
            tables.pauses,
            frozenset({"pause", "resume"}),
            ("actor", "recorded_at"),
            renewed=frozenset({"lifted_at", "lifted_by"}),
            newest_counts=True,
        ),
        Binding(
            tables.firings,
            frozenset({"firing"}),
            ("model", "rule", "as_of"),
            unbound=dict.fromkeys(
                ("training_run_id", "attempts", "answered_at", "failed_at"),
                "how far its training came, which decides when it is asked for again; what it led to has entries of its own",
            ),
            newest_counts=True,
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
    row = connection.execute(table.select().filter_by(**key)).one()._mapping
    replaced = {REPLACES: row["entry"]} if row["entry"] is not None else {}
    body = {**(evidence or {}), **binding.said(row), TABLE: table.name, **replaced}
    sequence = append(connection, kind=kind, model=binding.model(row), body=body)
    connection.execute(table.update().filter_by(**key).values(entry=sequence))


def unbind(connection: sa.Connection, table: sa.Table, key: dict[str, Any], *, reason: str) -> None:
    """Delete a row that is bound to the ledger, and say so in an entry.

    :param connection: inside a writing transaction; nothing is committed here
    :param table: one of `BINDINGS`
    :param key: values of columns by name, equal for one row alone
    :param reason: why, for the ledger
    """
    binding = BINDINGS[table.name]
    row = connection.execute(table.select().filter_by(**key)).one()._mapping
    body = {"removed": binding.name(row), REPLACES: row["entry"], "reason": reason}
    append(connection, kind="removal", model=binding.model(row), body=body)
    connection.execute(table.delete().filter_by(**key))


def why_unbound(connection: sa.Connection, table: sa.Table, **key: Any) -> str:
    """Compare a row with its entry in the ledger.

    :param connection: any that reads
    :param table: one of `BINDINGS`
    :param **key: values of columns by name, equal for one row alone
    :returns: what is wrong between them, for a message; empty when they agree
    """
    row = connection.execute(table.select().filter_by(**key)).one()
    return next(differences(connection, table, [row._mapping]), "")


def differences(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> Iterator[str]:
    """Compare rows, as they were read, with the entries that they name, which one query reads for `BATCH` of them.

    :param connection: any that reads
    :param table: one of `BINDINGS`
    :param rows: the values of the bound columns and of ``entry``, by name
    :yields: what is wrong between a row and its entry, for a message; nothing where they agree
    """
    for batch in in_batches(rows, BATCH):
        yield from filter(None, (problem for _, problem in _with_problems(connection, BINDINGS[table.name], batch)))


def newest_bound_entry(connection: sa.Connection, table: sa.Table, model: str) -> sa.Row[Any] | None:
    """Read the newest entry that is about rows of a table, of one model.

    :param connection: any that reads
    :param table: one of `BINDINGS`
    :param model: name of the model; empty for rows that are about all
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
                yield f"entry {entry.sequence} ({_about(entry)}) has no row in {binding.table.name}: it was removed"


def _compare_rows(connection: sa.Connection, binding: Binding) -> Iterator[str]:
    newest: dict[str, int] = {}  # entry of each model's rows so far
    query = binding.table.select().order_by(*binding.table.primary_key)
    for rows in connection.execution_options(yield_per=BATCH).execute(query).mappings().partitions():
        for row, problem in _with_problems(connection, binding, rows):
            model = binding.model(row)
            if problem:
                yield problem
            elif binding.newest_counts and row["entry"] < newest.get(model, 0):
                yield f"{binding.name(row)} stands after a row whose entry in the ledger is newer: their order was changed"
            else:
                newest[model] = row["entry"]


def _with_problems(connection: sa.Connection, binding: Binding, rows: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    """Each row, with what is wrong between it and its entry; all entries are read at once."""
    numbers = [row["entry"] for row in rows if row["entry"] is not None]
    entries = {entry.sequence: entry for entry in connection.execute(ledger.select().where(ledger.c.sequence.in_(numbers)))}
    return ((row, _difference(binding, row, entries.get(row["entry"]))) for row in rows)


def _difference(binding: Binding, row: Row, entry: sa.Row[Any] | None) -> str:
    name = binding.name(row)
    if entry is None:
        return f"{name} has no entry in the ledger"
    body = json.loads(entry.body)
    if entry.kind not in binding.kinds or entry.model != binding.model(row) or body.get(TABLE) != binding.table.name:
        return f"{name} names entry {entry.sequence} of the ledger, which is about something else ({_about(entry)})"
    differ = [column for column, value in binding.said(row).items() if column not in body or body[column] != value]
    return f"{name} differs from entry {entry.sequence} of the ledger in: {', '.join(differ)}" if differ else ""


def _replaced(connection: sa.Connection) -> set[int]:
    """The entries that a later one replaced: their rows were changed, or removed, by a deed on record."""
    query = sa.select(ledger.c.body).where(ledger.c.body.contains(f'"{REPLACES}":'))
    return {json.loads(body).get(REPLACES) for body in connection.execute(query).scalars()}


def _without_row(binding: Binding) -> sa.Select[Any]:
    rows = sa.select(binding.table.c.entry).where(binding.table.c.entry == ledger.c.sequence)
    return ledger.select().where(ledger.c.kind.in_(binding.kinds), ~rows.exists()).order_by(ledger.c.sequence)


def _about(entry: sa.Row[Any]) -> str:
    return f"{entry.kind} of {entry.model}" if entry.model else str(entry.kind)


def _short(value: Any) -> str:
    """A moment to the minute, and a digest as people know it."""
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    text = str(value)
    return text[:12] if len(text) == 64 else text
