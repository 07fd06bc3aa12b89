"""Removes a person's rows from one partition: from its files, and from every record about them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from include.evergreen.data.conditions import Conditions
from include.evergreen.data.partitions.store import change_version, newest_version
from include.evergreen.data.partitions.totals import count_change
from include.evergreen.data.quarantine import released_rows
from include.evergreen.data.release import LEDGER_KIND as RELEASE
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import Partition
from include.evergreen.operations.erasure.record import add_counts
from include.evergreen.operations.erasure.stored import FileWithRows, Rewritten, rewrite
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import (
    candidates,
    partition_versions,
    quarantine_releases,
    snapshot_spans,
    snapshots,
    validations,
)

log = logging.getLogger(__name__)
LEFT_OUT = "left out: rows of this partition were erased"


def members_by_version(dataset: str) -> dict[tuple[str, int], list[tuple[str, str]]]:
    """Find the snapshots that name versions of a dataset.

    :param dataset: its name, as in ``include/datasets``
    :returns: by partition (``2013-02-09``) and number of the version: digest of each snapshot, and the member's name in it
    """
    named: dict[tuple[str, int], list[tuple[str, str]]] = {}
    reading_it = sa.select(snapshot_spans.c.snapshot_digest).where(snapshot_spans.c.dataset == dataset)
    query = sa.select(snapshots.c.digest, snapshots.c.members).where(snapshots.c.digest.in_(reading_it))
    with reading() as connection:
        for digest, members in connection.execute(query):
            for name, member in members.items():
                parts = name.split("/")
                if parts[0] == dataset and len(parts) > 1 and isinstance(member, dict):
                    named.setdefault((parts[1], member["version"]), []).append((digest, name))
    return named


def erase_partition(
    dataset: str,
    partition: Partition,
    files: list[FileWithRows],
    subject: Conditions,
    key: dict[str, str],
    reason: str,
    members: dict[tuple[str, int], list[tuple[str, str]]],
) -> None:
    """Rewrite the files that versions name, in one transaction with all records that are about it; then remove the old files.

    :param dataset: its name, as in ``include/datasets``
    :param partition: the day whose files are rewritten
    :param files: all files of the partition that hold rows of the person; what no version names is removed whole
    :param subject: the columns and values that name the person
    :param key: of the erasure, as `record.begin` takes it
    :param reason: why, for the snapshots and candidates that read the rows
    :param members: of the whole dataset, as `members_by_version` returns them
    """
    with reading() as connection:
        _, named = _recorded(connection, dataset, partition)
    rewritten = {file.path: rewrite(file, subject) for file in files if file.path in named}
    removed = {file.path: file.rows for file in files}
    with writing() as connection:
        counts: Counter[str] = Counter()
        changed = []
        versions, named = _recorded(connection, dataset, partition)
        before = newest_version(connection, dataset, partition)
        for version in versions:
            if values := _without(version, rewritten, removed):
                change_version(connection, version, because="rows were erased", **values)
                counts["versions"] += 1
                if version.path in rewritten:
                    changed.append(version.version)
        after = newest_version(connection, dataset, partition)
        if after is not None:
            count_change(connection, before, after)
        for file in files:
            if file.path in rewritten and file.path in named:  # else the same command, given twice at once, was quicker
                counts[f"{file.kind} rows"] += file.rows
        _forget_releases(connection, dataset, partition, {digest for file in files for digest in file.digests})
        _forget_examples(connection, dataset, partition)
        counts["snapshots"] = _set_tombstones(connection, dataset, partition, changed, members, key["subject_hash"], reason)
        add_counts(connection, key, counts)
    for file in files:
        storage.remove(file.path)
    log.info(
        "%s %s: %s", dataset, partition, ", ".join(f"{number} {name}" for name, number in counts.items()) or "unrecorded files removed"
    )


def _recorded(connection: sa.Connection, dataset: str, partition: Partition) -> tuple[Sequence[sa.Row[Any]], set[str]]:
    """The partition's versions, and the paths of all files that they name."""
    versions = connection.execute(partition_versions.select().filter_by(dataset=dataset, partition=partition)).all()
    return versions, {path for version in versions for path in (version.path, version.quarantine_path, version.raw_path)}


def _without(version: Any, rewritten: dict[str, Rewritten], removed: dict[str, int]) -> dict[str, Any]:
    """The columns of a version's record that change."""
    values: dict[str, Any] = {}
    gone = 0
    if new := rewritten.get(version.path):
        values |= {"path": new.path, "digest": new.digest, "rows": new.rows}
        gone += removed[version.path]
    if new := rewritten.get(version.quarantine_path):
        values |= {"quarantine_path": new.path, "quarantine_digest": new.digest, "quarantined": new.rows}
        gone += removed[version.quarantine_path]
    if new := rewritten.get(version.raw_path):
        values |= {"raw_path": new.path, "raw_digest": new.digest}
    if gone:
        values["source_rows"] = version.source_rows - gone
    return values


def _forget_releases(connection: sa.Connection, dataset: str, partition: Partition, digests: set[str]) -> None:
    """A release names its rows by unkeyed digests, from which a short row could be guessed."""
    for row in connection.execute(quarantine_releases.select().filter_by(dataset=dataset, partition=partition)).all():
        known = row.rows["digests"]
        left = [digest for digest in known if digest not in digests]
        if left and len(left) < len(known):
            this = quarantine_releases.update().where(quarantine_releases.c.id == row.id)
            connection.execute(this.values(rows=released_rows(left)))
            ledger.bind(connection, quarantine_releases, {"id": row.id}, kind=RELEASE, evidence={"because": "rows were erased"})
        elif not left:
            ledger.unbind(connection, quarantine_releases, {"id": row.id}, reason="its rows were erased")


def _forget_examples(connection: sa.Connection, dataset: str, partition: Partition) -> None:
    for row in connection.execute(validations.select().filter_by(dataset=dataset, partition=partition)).all():
        connection.execute(sa.update(validations).where(validations.c.id == row.id).values(result=_without_values(row.result)))


def _without_values(document: Any) -> Any:
    """A validation's result with its counts and verdicts, and without what may quote a row."""
    if isinstance(document, list):
        return [_without_values(value) for value in document]
    if not isinstance(document, dict):
        return document
    blank = {"examples": [], "observed": "", "reason": LEFT_OUT, "message": LEFT_OUT}
    return {name: blank[name] if name in blank else _without_values(value) for name, value in document.items()}


def _set_tombstones(
    connection: sa.Connection,
    dataset: str,
    partition: Partition,
    versions: list[int],
    members: dict[tuple[str, int], list[tuple[str, str]]],
    subject: str,
    reason: str,
) -> int:
    """Say in each snapshot which member is no longer what was read, and of its candidates that they cannot be made again."""
    timestamp = clock.now()
    named = [member for version in versions for member in members.get((partition, version), [])]
    for digest, name in named:
        existing = connection.execute(sa.select(snapshots.c.tombstones).where(snapshots.c.digest == digest)).scalar() or []
        stone = {"member": name, "when": timestamp.isoformat(), "why": f"rows were erased: {reason}", "erasure": subject[:12]}
        if all((known["member"], known["erasure"]) != (name, subject[:12]) for known in existing):
            connection.execute(sa.update(snapshots).where(snapshots.c.digest == digest).values(tombstones=[*existing, stone]))
        because = f"rows of {dataset} that it had read were erased on {timestamp:%Y-%m-%d}: {reason}"
        whole = [candidates.c.snapshot_digest == digest, candidates.c.irreproducible_because.is_(None)]
        connection.execute(sa.update(candidates).where(*whole).values(irreproducible_because=because))
    return len({digest for digest, _ in named})
