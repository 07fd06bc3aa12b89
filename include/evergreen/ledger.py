"""The append-only, hash-chained record of what was decided and done.

Each entry's hash is SHA-256 over its own content and the hash before it, so an edit, a deletion or a new order shows.
"""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa

from include.evergreen import clock
from include.evergreen.database import reading
from include.evergreen.database.tables import ledger
from include.evergreen.partitions.digest import canonical_json

GENESIS = "0" * 64


def append(connection: sa.Connection, *, kind: str, model: str, body: dict[str, Any]) -> None:
    """Add an entry within the caller's writing transaction, so that deed and record stand or fall together."""
    newest = connection.execute(ledger.select().order_by(ledger.c.sequence.desc()).limit(1).with_for_update()).first()
    sequence, previous = (newest.sequence + 1, newest.hash) if newest else (1, GENESIS)
    entry = {"sequence": sequence, "kind": kind, "model": model, "body": canonical_json(body), "recorded_at": clock.now()}
    connection.execute(ledger.insert().values(**entry, previous_hash=previous, hash=_hash(entry, previous)))


def verify() -> list[str]:
    """What is wrong with the chain, one sentence each; empty when nothing is."""
    problems = []
    with reading() as connection:
        entries = connection.execute(ledger.select().order_by(ledger.c.sequence)).all()
    previous = GENESIS
    for expected, row in enumerate(entries, start=1):
        entry = {name: row._mapping[name] for name in ("sequence", "kind", "model", "body", "recorded_at")}
        if row.sequence != expected:
            problems.append(f"entry {expected} is missing: entry {row.sequence} follows entry {expected - 1}")
            break
        if row.previous_hash != previous:
            problems.append(f"entry {row.sequence} ({row.kind}) does not follow the entry before it")
        if row.hash != _hash(entry, row.previous_hash):
            problems.append(f"entry {row.sequence} ({row.kind} of {row.model}) was changed after it was written")
        previous = row.hash
    return problems


def _hash(entry: dict[str, Any], previous: str) -> str:
    moment = entry["recorded_at"].isoformat()
    text = canonical_json({**entry, "recorded_at": moment, "previous_hash": previous})
    return hashlib.sha256(text.encode()).hexdigest()
