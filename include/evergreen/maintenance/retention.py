"""Retention: what is old enough goes, unless something that we keep names it.

The record goes first and the file after it, so that a crash between the two leaves an orphan, and never a record that
promises rows which are gone.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from include.evergreen import clock, storage
from include.evergreen.config import Catalog
from include.evergreen.config.models import Retention
from include.evergreen.database import reading, writing
from include.evergreen.database.tables import partition_versions
from include.evergreen.errors import ConfigError
from include.evergreen.maintenance.limits import Limits
from include.evergreen.maintenance.records import evidence_folders, kept_members, raw_files_of_validations, unregistered_files
from include.evergreen.maintenance.removal import Removal, remove_files

log = logging.getLogger(__name__)
Version = sa.Row[Any]
ROWS_A_STATEMENT = 500


@dataclass(frozen=True)
class Retained:
    """What retention did: the versions whose content went, the files, and the datasets that it had to leave alone."""

    versions: list[str] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def apply_retention(catalog: Catalog, limits: Limits, *, dry_run: bool = False) -> Retained:
    """Take away what each dataset's ``retention`` and ``limits`` no longer keep. Safe to repeat, and to kill at any point.

    Never the content of a current version, nor of one that the snapshot of a blessed or registered candidate names. A
    dataset whose YAML is wrong, or that is declared no more, keeps everything.
    """
    done = Retained()
    lately = clock.now() - dt.timedelta(days=limits.unregistered_days)
    written_lately = {file.path for file in storage.files("training") if file.modified >= lately}
    for name in catalog.dataset_names():
        try:
            retention = catalog.dataset(name).retention
        except ConfigError as error:
            log.warning("%s: nothing is removed, since its declaration is wrong: %s", name, error)
            done.problems.append(f"{name}: retention was not applied: {error}")
            continue
        _apply_to_dataset(name, retention, written_lately, limits, done, dry_run=dry_run)
    _remove_old_reports(limits, done, dry_run=dry_run)
    _remove_unregistered(limits, done, dry_run=dry_run)
    return done


def _apply_to_dataset(
    dataset: str, retention: Retention, written_lately: set[str], limits: Limits, done: Retained, *, dry_run: bool
) -> None:
    moment = clock.now()
    validated = validated_raw(dataset, retention, moment)
    with reading() if dry_run else writing() as connection:
        query = partition_versions.select().where(partition_versions.c.dataset == dataset)
        rows = connection.execute(query.order_by(partition_versions.c.partition, partition_versions.c.version)).all()
        expired = _expired_versions(rows, retention, kept_members(connection, written_lately), moment)
        raw = _expired_raw(rows, retention, moment)
        if not dry_run:
            _mark(connection, expired, removed_at=moment)
            _mark(connection, raw, raw_path="")
    gone, raw_gone = {row.id for row in expired}, {row.id for row in raw}
    named = {path for row in rows if row.removed_at is None and row.id not in gone for path in (row.path, row.quarantine_path)}
    named |= validated | {row.raw_path for row in rows if row.id not in raw_gone}
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
    done.removals.extend(remove_files(wanted.items(), written_before=moment - limits.grace, dry_run=dry_run))


def _expired_versions(
    rows: Sequence[Version], retention: Retention, kept: set[tuple[str, dt.date, int]], moment: dt.datetime
) -> list[Version]:
    """Versions that were superseded long enough ago, and that nothing kept names. ``rows`` are in the order of their versions."""
    if retention.superseded_days is None:
        return []
    limit = moment - dt.timedelta(days=retention.superseded_days)
    successors = {(row.partition, row.version): after for row, after in pairwise(rows) if row.partition == after.partition}
    expired = [
        row
        for row in rows
        if row.removed_at is None
        and (after := successors.get((row.partition, row.version))) is not None
        and after.recorded_at <= limit
        and (row.dataset, row.partition, row.version) not in kept
    ]
    # Content that came back (A, B, A) is one file of two versions: while one of them is kept, so is the other.
    ids = {row.id for row in expired}
    standing = {row.path for row in rows if row.removed_at is None and row.id not in ids}
    return [row for row in expired if row.path not in standing]


def validated_raw(dataset: str, retention: Retention, moment: dt.datetime) -> set[str]:
    """The raw rows of each partition's newest validation, for as long as raw rows are kept."""
    days = retention.raw_days
    return raw_files_of_validations(dataset, None if days is None else moment - dt.timedelta(days=days))


def _expired_raw(rows: Sequence[Version], retention: Retention, moment: dt.datetime) -> list[Version]:
    if retention.raw_days is None:
        return []
    limit = moment - dt.timedelta(days=retention.raw_days)
    return [row for row in rows if row.raw_path and row.recorded_at <= limit]


def _mark(connection: sa.Connection, rows: Sequence[Version], **values: Any) -> None:
    for first in range(0, len(rows), ROWS_A_STATEMENT):
        chosen = [row.id for row in rows[first : first + ROWS_A_STATEMENT]]
        connection.execute(partition_versions.update().where(partition_versions.c.id.in_(chosen)).values(**values))


def _remove_old_reports(limits: Limits, done: Retained, *, dry_run: bool) -> None:
    """Files alone: their records stay, and who opens one again has it drawn again. The evidence of a firing is kept."""
    moment = clock.now()
    evidence = evidence_folders()
    why = f"a drift report that was drawn more than {limits.report_days:g} days ago"
    wanted = [(file.path, why) for file in storage.files("reports") if file.path.rpartition("/")[0] not in evidence]
    before = moment - max(limits.grace, dt.timedelta(days=limits.report_days))
    done.removals.extend(remove_files(wanted, written_before=before, dry_run=dry_run))


def _remove_unregistered(limits: Limits, done: Retained, *, dry_run: bool) -> None:
    """Frames and reference samples that no candidate of worth needs; training again as of the same date writes them again."""
    moment = clock.now()
    models: defaultdict[str, list[str]] = defaultdict(list)
    for folder in ("training", "references"):
        for file in storage.files(folder):
            models[file.path.split("/")[1]].append(file.path)
    why = f"of a candidate that was neither blessed nor registered in {limits.unregistered_days:g} days"
    before = moment - max(limits.grace, dt.timedelta(days=limits.unregistered_days))
    for model, paths in sorted(models.items()):
        recorded = unregistered_files(model)
        wanted = [(path, why) for path in paths if path in recorded]
        done.removals.extend(remove_files(wanted, written_before=before, dry_run=dry_run))
