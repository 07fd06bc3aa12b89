"""Verifies snapshots: recomputes the digest of every member, of the training frame, and of the snapshot itself."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from include.evergreen.data.partitions.verification import StoredRows, stored_rows
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.operations.maintenance.limits import Limits
from include.evergreen.operations.maintenance.naming import Member, parse_member
from include.evergreen.operations.progress import Progress, no_progress
from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import candidates, decisions, model_versions, partition_versions, snapshots
from include.evergreen.training.snapshot import Snapshot, parts_path, recorded_window, window_of

SHORTEST_PREFIX = 8
State = Literal["whole", "removed", "erased", "missing", "changed"]
ACCOUNTED: frozenset[State] = frozenset({"removed", "erased"})  # a record says why it is so


@dataclass(frozen=True)
class Part:
    """One part of a snapshot (a member, ``frame``, ``parts`` or ``record``) and a message that says what is wrong with it."""

    name: str
    state: State
    message: str


@dataclass(frozen=True)
class SnapshotRecord(Snapshot):
    """A snapshot as it is recorded, with the versions that were registered of it.

    ``is_kept`` says whether retention keeps all that it names: one of its candidates was blessed or registered.
    """

    tombstones: list[dict[str, str]] | None
    recorded_at: dt.datetime
    versions: tuple[int, ...]
    is_kept: bool


@dataclass(frozen=True)
class Verification:
    """What came of verifying one snapshot: the parts that differ, out of ``checked``."""

    snapshot: SnapshotRecord
    checked: int
    differing: list[Part]

    @property
    def state(self) -> Literal["whole", "accounted", "damaged"]:
        """``accounted``: it cannot be read again in full, and retention or an erasure says why."""
        if not self.differing:
            return "whole"
        return "accounted" if all(part.state in ACCOUNTED for part in self.differing) else "damaged"


class Verifier:
    """Verifies snapshots; a file that many of them name is read once."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], StoredRows] = {}

    def verify(self, snapshot: SnapshotRecord, progress: Progress = no_progress) -> Verification:
        """Read everything that a snapshot names again. Passes on `TransientError` when the storage does not answer.

        :param snapshot: as `recorded_snapshots` returns it
        :param progress: is told the step, how much of it is done, and of how much
        :returns: the parts that differ, each with its reason; damage raises nothing
        """
        step = f"{snapshot.model} as of {snapshot.as_of}, snapshot {snapshot.digest[:12]}"
        recorded = _find_versions(snapshot)
        parts: list[Part] = []
        for done, (name, member) in enumerate(snapshot.members.items()):
            progress(step, done, len(snapshot.members))
            parts.append(self._member(snapshot, name, member, recorded.get(parse_member(name, member))))
        parts += self._frame_and_digest(snapshot)
        progress(step, len(snapshot.members), len(snapshot.members))
        return Verification(snapshot, len(parts), [part for part in parts if part.state != "whole"])

    def _member(self, snapshot: SnapshotRecord, name: str, member: Mapping[str, Any], row: sa.Row[Any] | None) -> Part:
        digest = str(member["digest"])
        if row is None:
            return Part(name, "missing", f"no record of version {member['version']} is left in the database")
        if row.removed_at is not None:
            return Part(name, "removed", f"retention removed its rows on {row.removed_at:%Y-%m-%d}")
        now = self._rows(row.path, row.digest)
        if now.state != "whole":
            return Part(name, now.state, now.message)
        if row.digest == digest:
            return Part(name, "whole", "")
        message = f"its rows have digest {row.digest[:12]}; the snapshot read {digest[:12]}"
        if any(stone["member"] == name for stone in snapshot.tombstones or []):
            return Part(name, "erased", f"rows were erased since, as its tombstone says: {message}")
        return Part(name, "changed", f"{message}, and the record of the version was changed with them")

    def _frame_and_digest(self, snapshot: SnapshotRecord) -> list[Part]:
        """The frame against the digest that the parts name; the parts against the snapshot's digest, and its record against them."""
        path = parts_path(snapshot.model, snapshot.digest)
        try:
            document = storage.read_bytes(path)
        except DataError:
            lost = f"{path} is not in the storage, so the digest cannot be computed anew"
            return [Part("parts", "removed" if _was_dropped(snapshot) else "missing", lost), self._frame_alone(snapshot)]
        if (digest := hashlib.sha256(document).hexdigest()) != snapshot.digest:
            return [Part("parts", "changed", f"{path} has digest {digest[:12]}, which is not the snapshot's"), self._frame_alone(snapshot)]
        parts = json.loads(document)
        said = {"model": snapshot.model, "as_of": str(snapshot.as_of), **recorded_window(snapshot.window),
                "members": {name: member["digest"] for name, member in snapshot.members.items()}}  # fmt: skip
        wrong = [name for name, value in said.items() if parts.get(name) != value]
        record = Part("record", "changed" if wrong else "whole", f"the database says otherwise of: {', '.join(wrong)}" if wrong else "")
        now = self._rows(snapshot.frame_path, parts["frame"])
        if now.state == "whole":
            return [record, Part("frame", "whole", "")]
        if snapshot.tombstones:
            return [record, Part("frame", "erased", f"rows were erased since: {now.message}")]
        if now.state == "missing" and _was_dropped(snapshot):
            return [record, Part("frame", "removed", f"{now.message}; no candidate of it was registered")]
        return [record, Part("frame", now.state, now.message)]

    def _frame_alone(self, snapshot: SnapshotRecord) -> Part:
        if storage.exists(snapshot.frame_path):
            return Part("frame", "whole", "")
        state: State = "erased" if snapshot.tombstones else "removed" if _was_dropped(snapshot) else "missing"
        return Part("frame", state, f"{snapshot.frame_path} is not in the storage")

    def _rows(self, path: str, digest: str) -> StoredRows:
        if (path, digest) not in self._seen:
            self._seen[path, digest] = stored_rows(path, digest)
        return self._seen[path, digest]


def find_by_prefix(prefix: str) -> SnapshotRecord:
    """Find the one snapshot that a person means by the beginning of its digest.

    :param prefix: `SHORTEST_PREFIX` to 64 hexadecimal characters, in either case
    :returns: its record
    :raises ConfigError: when ``prefix`` is too short, or no digest
    :raises DataError: when no snapshot or several begin with it
    """
    text = prefix.lower()
    if not re.fullmatch(f"[0-9a-f]{{{SHORTEST_PREFIX},64}}", text):
        raise ConfigError(f"{prefix[:80]!r} is no digest. Give its first {SHORTEST_PREFIX} characters (0-9, a-f), or more of the 64.")
    matching = recorded_snapshots(snapshots.c.digest.startswith(text))
    if not matching:
        raise DataError(f"No snapshot {prefix} is recorded. `evergreen snapshot list MODEL` lists a model's.")
    if len(matching) > 1:
        digests = ", ".join(snapshot.digest for snapshot in matching[:5])
        raise DataError(f"{len(matching)} snapshots begin with {prefix}: {digests}. Give more of it.")
    return matching[0]


def list_model_snapshots(model: str) -> list[SnapshotRecord]:
    """Read the record of every snapshot of one model.

    :param model: its name, as in ``include/models``
    :returns: newest as_of first; empty when none is recorded
    """
    return recorded_snapshots(snapshots.c.model == model)


def recorded_snapshots(*conditions: sa.ColumnElement[bool]) -> list[SnapshotRecord]:
    """Read the records of snapshots.

    :param *conditions: on the table `snapshots`, all of which must be met; none: every snapshot
    :returns: by model, and newest as_of first
    """
    order = (snapshots.c.model, snapshots.c.as_of.desc(), snapshots.c.recorded_at.desc())
    numbers = sa.select(candidates.c.snapshot_digest, model_versions.c.version).select_from(candidates.join(model_versions))
    blessed = sa.select(candidates.c.snapshot_digest).join(decisions).where(decisions.c.verdict == "blessed")
    with reading() as connection:
        rows = connection.execute(snapshots.select().where(*conditions).order_by(*order)).all()
        registered: dict[str, list[int]] = {}
        for digest, version in connection.execute(numbers.order_by(model_versions.c.version)):
            registered.setdefault(digest, []).append(version)
        kept = {*registered, *connection.execute(blessed).scalars()}
    return [
        as_record(SnapshotRecord, row, window=window_of(row), versions=tuple(registered.get(row.digest, ())), is_kept=row.digest in kept)
        for row in rows
    ]


def _find_versions(snapshot: SnapshotRecord) -> dict[Member, sa.Row[Any]]:
    datasets = {name.split("/")[0] for name in snapshot.members}
    query = partition_versions.select().where(partition_versions.c.dataset.in_(datasets))
    with reading() as connection:
        return {(row.dataset, row.partition, row.version): row for row in connection.execute(query)}


def _was_dropped(snapshot: SnapshotRecord) -> bool:
    """Whether maintenance may have removed what belongs to a candidate that nobody wanted."""
    limit = clock.now() - dt.timedelta(days=Limits.from_environment().unregistered_days)
    return not snapshot.is_kept and snapshot.recorded_at <= limit
