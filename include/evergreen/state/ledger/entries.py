"""The entries of the ledger: which kinds there are, how one is added, how they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import canonical_json
from include.evergreen.state.database.tables import ledger

GENESIS = "0" * 64
BATCH = 5_000  # entries in memory at once, however many there are

KINDS: dict[str, str] = {
    "publication": "a version of a partition was published, delivered again, corrected, or rid of a person's rows",
    "snapshot": "the partitions that a training reads were recorded",
    "training": "a candidate was trained",
    "decision": "the gate's decision on a candidate, with every criterion",
    "registration": "a blessed candidate became a version",
    "promotion": "a version became champion",
    "rollback": "an earlier version became champion again",
    "rollout": "the roll-out of a version began beside the champion",
    "rollout-step": "the version of a roll-out serves a larger share of the keys",
    "rollout-end": "a roll-out ended: its version was promoted, or rolled back, or it was aborted",
    "approval": "a person approved a version for production",
    "refusal": "a person rejected a version, or nobody answered in time",
    "override": "a person overrode the rules",
    "pause": "automatic promotion and retraining were paused",
    "resume": "the pause was lifted before its time",
    "acknowledgement": "a person acknowledged, snoozed, assigned, commented on or resolved an alert",
    "maintenance": "a person planned an outage, or ended it",
    "scoring": "a partition was scored",
    "firing": "a retraining rule tripped",
    "quarantine-release": "a person let quarantined rows through",
    "knowledge-correction": "a person corrected when partitions were known",
    "removal": "a record was removed, since what it told of was erased",
    "erasure": "the erasure of a person's rows began, or was done",
    "damage": "stored rows do not match what was recorded",
}


class Entry(NamedTuple):
    """One row of the ledger; ``recorded_at`` is ISO 8601 text with its offset, as the hash covers it."""

    sequence: int
    kind: str
    model: str
    body: str
    recorded_at: str
    previous_hash: str
    hash: str

    def own_hash(self) -> str:
        """Compute what the entry's hash has to be: that of its content and of the hash before it.

        :returns: SHA-256, as 64 hex digits; equal to ``hash`` as long as nobody changed the entry
        """
        content = {name: value for name, value in self._asdict().items() if name != "hash"}
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def append(connection: sa.Connection, *, kind: str, model: str, body: dict[str, Any]) -> int:
    """Add an entry within the transaction of the deed, so that deed and record stand or fall together.

    :param connection: inside a writing transaction; nothing is committed here
    :param kind: one of `KINDS`
    :param model: name of the model that it is about; empty for all
    :param body: what was done, by whom and why, as a JSON document; dates are written as text
    :returns: the entry's sequence
    :raises KeyError: when ``kind`` is none of `KINDS`
    """
    if kind not in KINDS:
        raise KeyError(f"{kind!r} is not among the ledger's kinds; add it to KINDS, with what it says")
    newest = newest_entry(connection)
    sequence, previous = (newest.sequence + 1, newest.hash) if newest else (1, GENESIS)
    now = clock.now()
    text = canonical_json(json.loads(canonical_json(body)))  # as an export gives it back: keys that were numbers are sorted as text
    entry = Entry(sequence, kind, model, text, now.isoformat(), previous, "")
    connection.execute(ledger.insert().values(**{**entry._asdict(), "recorded_at": now, "hash": entry.own_hash()}))
    return sequence


def newest_entry(connection: sa.Connection) -> Entry | None:
    """Read the ledger's last entry.

    :param connection: any that reads
    :returns: the entry of the highest sequence; None when there is none
    """
    row = connection.execute(ledger.select().order_by(ledger.c.sequence.desc()).limit(1)).first()
    return _entry(row) if row else None


def entries(connection: sa.Connection, model: str | None = None) -> Iterator[Entry]:
    """Read the ledger's entries, `BATCH` of them in memory at once.

    :param connection: any that reads
    :param model: name of the model, empty for entries of no model; None for all entries
    :yields: the entries in their order
    """
    query = ledger.select().order_by(ledger.c.sequence)
    if model is not None:
        query = query.where(ledger.c.model == model)
    for batch in connection.execution_options(yield_per=BATCH).execute(query).partitions():
        yield from map(_entry, batch)


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(row.sequence, row.kind, row.model, row.body, row.recorded_at.isoformat(), row.previous_hash, row.hash)
