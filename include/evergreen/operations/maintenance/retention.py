"""Retention: removes what is old enough, unless a record that is kept still names it.

The record goes first and the file after it, so that a crash between the two leaves an orphan, and never a record that
promises rows which are gone. What may go is looked for without holding up anybody; under the one write lock it is only marked, after
a second look at what was recorded meanwhile.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from include.evergreen.config import Catalog, DatasetConfig
from include.evergreen.config.datasets import Retention
from include.evergreen.foundation import clock
from include.evergreen.foundation.batches import in_batches
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Partition
from include.evergreen.operations.maintenance.limits import Limits
from include.evergreen.operations.maintenance.naming import Member, Seen, kept_snapshots, look, named_since, snapshots_naming
from include.evergreen.operations.maintenance.records import (
    owner,
    raw_files_of_validations,
    reports_without_evidence,
    unregistered_among,
)
from include.evergreen.operations.maintenance.removal import Removal, remove_files
from include.evergreen.state import storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import partition_versions, snapshots, superseded_observations

log = logging.getLogger(__name__)
Version = sa.Row[Any]
ROWS_A_STATEMENT = 500  # and as many as the write lock is held for at a time


@dataclass(frozen=True)
class Retained:
    """What retention did: the versions whose content went, the files, and the datasets that it had to leave alone.

    ``figures``: how many superseded observations went.
    """

    versions: list[str] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    figures: int = 0


def apply_retention(catalog: Catalog, limits: Limits, *, dry_run: bool = False) -> Retained:
    """Remove what each dataset's ``retention`` and the limits no longer keep. Safe to repeat, and to kill at any point.

    Never the content of a current version, unless it is of a whole table that another delivery has replaced, nor of one that the snapshot
    of a blessed or registered candidate names. A dataset whose YAML is wrong, or that is declared no more, keeps everything.

    :param catalog: what is declared now
    :param limits: all but ``sample`` count
    :param dry_run: remove and mark nothing; only tell what would go
    :returns: what went, or would go, and under ``problems`` a message for each dataset whose YAML is wrong
    """
    done = Retained()
    for name in catalog.dataset_names():
        try:
            dataset = catalog.dataset(name)
        except ConfigError as error:
            log.warning("%s: nothing is removed, since its declaration is wrong: %s", name, error)
            done.problems.append(f"{name}: retention was not applied: {error}")
            continue
        _apply_to_dataset(dataset, limits, done, dry_run=dry_run)
    _remove_old_reports(limits, done, dry_run=dry_run)
    _remove_unregistered(limits, done, dry_run=dry_run)
    return replace(done, figures=_remove_old_figures(limits, dry_run=dry_run))


def _apply_to_dataset(declared: DatasetConfig, limits: Limits, done: Retained, *, dry_run: bool) -> None:
    timestamp, dataset, retention = clock.now(), declared.name, declared.retention
    with reading() as connection:
        seen = look(connection, timestamp)
        superseded = _long_superseded(connection, declared, timestamp)
        naming = snapshots_naming(connection, [_member(row) for row in superseded])
        digests = {digest for named in naming.values() for digest in named}
        kept = kept_snapshots(connection, digests)
        frames = _frames(connection, digests - kept)
        raw = _expired_raw(connection, dataset, retention, timestamp)
        rows = _of_partitions(connection, dataset, {row.partition for row in (*superseded, *raw)})
    lately = _written_since(frames, timestamp - dt.timedelta(days=limits.unregistered_days))
    for_ever = [row for row in superseded if naming.get(_member(row), set()) & kept]
    free = [row for row in superseded if not naming.get(_member(row), set()) & (kept | lately)]
    expired = _without_shared(free, rows)
    if not dry_run:
        expired = _take_away(expired, seen, removed_at=timestamp)
        _mark(for_ever, kept_at=timestamp)
        _mark(raw, raw_path="")
    _remove_content(dataset, retention, limits, done, (expired, raw, rows), timestamp, dry_run=dry_run)


def _remove_content(
    dataset: str,
    retention: Retention,
    limits: Limits,
    done: Retained,
    marked: tuple[Sequence[Version], Sequence[Version], Sequence[Version]],
    timestamp: dt.datetime,
    *,
    dry_run: bool,
) -> None:
    """The files of ``marked``: of versions, of raw rows; its third part is all versions of their partitions, which may share them."""
    expired, raw, rows = marked
    gone, raw_gone = {row.id for row in expired}, {row.id for row in raw}
    named = {path for row in rows if row.removed_at is None and row.id not in gone for path in (row.path, row.quarantine_path)}
    named |= validated_raw(dataset, retention, timestamp, {row.partition for row in raw})
    named |= {row.raw_path for row in rows if row.id not in raw_gone}
    wanted: dict[str, str] = {}
    for row in expired:
        subject = f"{row.dataset} {row.partition} version {row.version}"
        why = f"{subject} was superseded more than {retention.superseded_days} days ago"
        done.versions.append(subject)
        log.info("%s: %s; its record stays", "would remove its content" if dry_run else "its content goes", why)
        wanted |= {path: why for path in (row.path, row.quarantine_path) if path not in named}
    for row in raw:
        if row.raw_path not in named:
            wanted[row.raw_path] = f"raw rows of {row.dataset} {row.partition}, published more than {retention.raw_days} days ago"
    done.removals.extend(remove_files(wanted.items(), written_before=timestamp - limits.grace, dry_run=dry_run))


def _long_superseded(connection: sa.Connection, declared: DatasetConfig, timestamp: dt.datetime) -> list[Version]:
    """Versions that were superseded long enough ago, and of which nobody knows yet that they stay, by partition."""
    if declared.retention.superseded_days is None:
        return []
    table = partition_versions.c
    limit = timestamp - dt.timedelta(days=declared.retention.superseded_days)
    there = (table.dataset == declared.name, table.removed_at.is_(None), table.kept_at.is_(None))
    query = partition_versions.select().where(*there, table.superseded_at <= limit, table.superseded_at.is_not(None))
    versions = list(connection.execute(query))
    if declared.whole_table:  # a delivery is superseded by the next one, too
        newest = sa.select(sa.func.max(table.partition)).where(table.dataset == declared.name, table.recorded_at <= limit)
        replaced = (table.partition < newest.scalar_subquery(), table.recorded_at <= limit, table.superseded_at.is_(None))
        versions += connection.execute(partition_versions.select().where(*there, *replaced))
    return sorted(versions, key=lambda row: (row.partition, row.version))


def _frames(connection: sa.Connection, digests: Iterable[str]) -> dict[str, str]:
    """Where the training frame of each of these snapshots lies."""
    paths: dict[str, str] = {}
    for batch in in_batches(sorted(digests), ROWS_A_STATEMENT):
        query = sa.select(snapshots.c.digest, snapshots.c.frame_path).where(snapshots.c.digest.in_(batch))
        paths |= {row.digest: row.frame_path for row in connection.execute(query)}
    return paths


def _written_since(frames: dict[str, str], timestamp: dt.datetime) -> set[str]:
    """The snapshots whose frame was written since then: a training may be under way."""
    files = {digest: storage.find(path) for digest, path in frames.items()}
    return {digest for digest, file in files.items() if file is not None and file.modified >= timestamp}


def _of_partitions(connection: sa.Connection, dataset: str, partitions: Iterable[Partition]) -> list[Version]:
    """All versions of these partitions."""
    query = partition_versions.select().filter_by(dataset=dataset)
    rows: list[Version] = []
    for batch in in_batches(sorted(partitions), ROWS_A_STATEMENT):
        rows += connection.execute(query.where(partition_versions.c.partition.in_(batch))).all()
    return rows


def _without_shared(versions: Sequence[Version], rows: Sequence[Version]) -> list[Version]:
    """Content that came back (A, B, A) is one file of two versions: while one of them is kept, so is the other."""
    ids = {row.id for row in versions}
    in_use = {row.path for row in rows if row.removed_at is None and row.id not in ids}
    return [row for row in versions if row.path not in in_use]


def _take_away(versions: Sequence[Version], seen: Seen, *, removed_at: dt.datetime) -> list[Version]:
    """Mark what no snapshot has come to name meanwhile, and is as it was; says which that is."""
    gone: list[Version] = []
    for batch in in_batches(versions, ROWS_A_STATEMENT):
        with writing() as connection:
            named = named_since(connection, [_member(row) for row in batch], seen)
            still = partition_versions.select().where(partition_versions.c.id.in_([row.id for row in batch]))
            same = {row.id: row for row in connection.execute(still)}
            free = [row for row in batch if _member(row) not in named and same.get(row.id) == row]
            connection.execute(_marking(free, removed_at=removed_at))
        gone += free
    return gone


def _mark(versions: Sequence[Version], **values: Any) -> None:
    for batch in in_batches(versions, ROWS_A_STATEMENT):
        with writing() as connection:
            connection.execute(_marking(batch, **values))


def _marking(versions: Sequence[Version], **values: Any) -> sa.Update:
    return partition_versions.update().where(partition_versions.c.id.in_([row.id for row in versions])).values(**values)


def _member(row: Version) -> Member:
    return row.dataset, row.partition, row.version


def validated_raw(dataset: str, retention: Retention, timestamp: dt.datetime, partitions: Collection[Partition] | None = None) -> set[str]:
    """Tell where the raw rows of each partition's newest validation lie, for as long as raw rows are kept.

    :param dataset: its name, as in ``include/datasets``
    :param retention: the dataset's, of which ``raw_days`` counts
    :param timestamp: now, from which those days are counted back
    :param partitions: of these days alone; None: of all
    :returns: the paths in the storage, which are not to be removed
    """
    days = retention.raw_days
    return raw_files_of_validations(dataset, None if days is None else timestamp - dt.timedelta(days=days), partitions)


def _expired_raw(connection: sa.Connection, dataset: str, retention: Retention, timestamp: dt.datetime) -> list[Version]:
    if retention.raw_days is None:
        return []
    table, limit = partition_versions.c, timestamp - dt.timedelta(days=retention.raw_days)
    query = partition_versions.select().where(table.dataset == dataset, table.recorded_at <= limit, table.raw_path != "")
    return sorted(connection.execute(query), key=lambda row: (row.partition, row.version))


def _remove_old_reports(limits: Limits, done: Retained, *, dry_run: bool) -> None:
    """Files alone: their records stay, and who opens one again has it drawn again. The evidence of a firing is kept.

    What else lies there is none of ours, and goes with the orphans.
    """
    timestamp = clock.now()
    why = f"a drift report that was drawn more than {limits.report_days:g} days ago"
    before = timestamp - max(limits.grace, dt.timedelta(days=limits.report_days))
    old = [file.path for file in storage.files("reports") if file.modified <= before]
    wanted = [(path, why) for path in reports_without_evidence(old)]
    done.removals.extend(remove_files(wanted, written_before=before, dry_run=dry_run))


def _remove_old_figures(limits: Limits, *, dry_run: bool) -> int:
    """Rows alone, some at a time: what is observed now, and the evidence of firings, stay."""
    table = superseded_observations.c
    before = table.superseded_at <= clock.now() - dt.timedelta(days=limits.history_days)
    if dry_run:
        with reading() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(superseded_observations).where(before)).scalar_one()
    some, gone = sa.select(table.id).where(before).order_by(table.superseded_at).limit(ROWS_A_STATEMENT), 0
    while True:
        with writing() as connection:
            count = connection.execute(superseded_observations.delete().where(table.id.in_(some))).rowcount
        gone += count
        if count < ROWS_A_STATEMENT:
            return gone


def _remove_unregistered(limits: Limits, done: Retained, *, dry_run: bool) -> None:
    """Frames and reference samples that no candidate of worth needs; training again as of the same date writes them again."""
    timestamp = clock.now()
    models: defaultdict[str, list[str]] = defaultdict(list)
    for folder in ("training", "references"):
        for file in storage.files(folder):
            models[owner(file.path)].append(file.path)
    why = f"of a candidate that was neither blessed nor registered in {limits.unregistered_days:g} days"
    before = timestamp - max(limits.grace, dt.timedelta(days=limits.unregistered_days))
    for model, paths in sorted(models.items()):
        wanted = [(path, why) for path in unregistered_among(model, paths)]
        done.removals.extend(remove_files(wanted, written_before=before, dry_run=dry_run))
