"""Corrects when stored versions were known, after their declaration, or a time that was given, had been wrong: an act on record.

What was made before goes on reading what it read: the times that stood until then are kept, and a training that is reproduced is
shown those. Whatever is read from now on sees the corrected ones.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.config import DatasetConfig
from include.evergreen.data.erased.stale_reads import refuse_stale_reads
from include.evergreen.data.knowledge import GIVEN, DeliveredVersion, as_recorded, knowledge_time
from include.evergreen.data.partitions import PartitionVersion
from include.evergreen.data.partitions.files import read_batches, read_schema
from include.evergreen.data.partitions.store import all_versions, change_version
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.errors import ConfigError, DataError, OvertakenError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.overtaken import until_not_overtaken
from include.evergreen.foundation.reasons import checked_reason
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import knowledge_corrections

log = logging.getLogger(__name__)
LEDGER_KIND = "knowledge-correction"


@dataclass(frozen=True)
class Correction:
    """What is corrected of one version: when it was known, and by which column its rows were."""

    version: PartitionVersion
    knowledge_time: dt.datetime
    knowledge_column: str | None
    knowledge: dict[str, Any]

    @property
    def is_seen(self) -> bool:
        """Whether readers see a difference; otherwise the record only notes that the version agrees with the declaration."""
        version = self.version
        return (version.knowledge_time, version.knowledge_column) != (self.knowledge_time, self.knowledge_column)


def plan_corrections(dataset: DatasetConfig, first: Partition, last: Partition, *, known_at: dt.datetime | None = None) -> list[Correction]:
    """Work out what `correct_knowledge` would correct, and write nothing.

    Raises `ConfigError` when the range is none, and `DataError` when no partition of it is published, or when rows lack the knowledge
    column or are gone.

    :param dataset: as it is declared now
    :param first: the first partition, inclusive
    :param last: the last partition, inclusive
    :param known_at: since when (UTC) the current version of the one partition was known; None: as dataset.yaml declares, of all versions
    :returns: what would be corrected, oldest partition first; empty when all of it is as declared
    """
    return [correction for correction in _plan(dataset, _versions(dataset, first, last), first, last, known_at) if correction.is_seen]


def correct_knowledge(
    dataset: DatasetConfig, first: Partition, last: Partition, *, actor: str, reason: str, known_at: dt.datetime | None = None
) -> list[Correction]:
    """Give the stored versions of some partitions the knowledge that dataset.yaml declares now, or one of them a time.

    Times that a person gave stay, unless ``known_at`` gives another. Done again, it finds nothing to correct. Raises `ConfigError`
    when the range is none, or the reason too short or too long; `DataError` when no partition of it is published, or when rows lack the
    knowledge column or are gone; and `TransientError` while an erasure runs.

    :param dataset: as it is declared now
    :param first: the first partition, inclusive
    :param last: the last partition, inclusive
    :param actor: who corrects it, for the ledger
    :param reason: why, for the ledger; see `checked_reason`
    :param known_at: since when (UTC) the current version of the one partition was known; None: as dataset.yaml declares, of all versions
    :returns: what was corrected, oldest partition first; empty when all of it was as declared
    """
    reason = checked_reason(dataset.name, reason)
    return until_not_overtaken(lambda: _correct(dataset, first, last, known_at, actor, reason))


def _correct(
    dataset: DatasetConfig, first: Partition, last: Partition, known_at: dt.datetime | None, actor: str, reason: str
) -> list[Correction]:
    began = clock.now()
    versions = _versions(dataset, first, last)
    planned = _plan(dataset, versions, first, last, known_at)
    seen = [correction for correction in planned if correction.is_seen]
    if not planned:
        return []
    with writing() as connection:
        refuse_stale_reads(connection, [dataset.name], began, is_derived=True)
        if all_versions(connection, dataset.name, first, last) != versions:
            raise OvertakenError(f"{dataset.name}: partitions from {first} to {last} were published or corrected in the meantime")
        if seen:
            _record(connection, dataset, seen, known_at, actor, reason)
        for correction in planned:
            values = {name: getattr(correction, name) for name in ("knowledge_time", "knowledge_column", "knowledge")}
            change_version(connection, correction.version, because=f"when it was known was corrected by {actor}", **values)
    log.info("%s: %d versions from %s to %s corrected by %s: %s", dataset.name, len(seen), first, last, actor, reason)
    return seen


def _versions(dataset: DatasetConfig, first: Partition, last: Partition) -> list[PartitionVersion]:
    with reading() as connection:
        return all_versions(connection, dataset.name, first, last)


def _plan(
    dataset: DatasetConfig, versions: list[PartitionVersion], first: Partition, last: Partition, known_at: dt.datetime | None
) -> list[Correction]:
    if first > last:
        raise ConfigError(f"{dataset.name}: the range {first} to {last} ends before it begins; give the earlier day first.")
    if known_at is not None and first != last:
        raise ConfigError(f"{dataset.name}: a time of its own is given to one partition; got {first} to {last}. Correct them one by one.")
    if not versions:
        raise DataError(f"{dataset.name}: no partition from {first} to {last} is published, so there is nothing to correct.")
    if known_at is not None:
        newest, recorded = versions[-1], as_recorded(dataset.knowledge, known_at)
        corrections = [Correction(newest, known_at, dataset.knowledge.column, recorded)]
    else:
        corrections = [_as_declared(dataset, version) for version in versions if _can_be_read(dataset, version)]
    return [correction for correction in corrections if correction.is_seen or correction.version.knowledge != correction.knowledge]


def _as_declared(dataset: DatasetConfig, version: PartitionVersion) -> Correction:
    declared = dataset.knowledge
    given = (version.knowledge or {}).get(GIVEN)
    if given is not None:
        moment = dt.datetime.fromisoformat(given)
        return Correction(version, moment, declared.column, as_recorded(declared, moment))
    first_row, last_row = _extremes(version, declared.column) if declared.column else (None, None)
    arrived = version.arrived_at or version.recorded_at
    delivered = DeliveredVersion(version.partition, version.origin, arrived, version.version > 1, first_row, last_row)
    return Correction(version, knowledge_time(dataset, delivered), declared.column, as_recorded(declared, None))


def _can_be_read(dataset: DatasetConfig, version: PartitionVersion) -> bool:
    """A version that retention removed is read by nobody; by its rows, its time cannot be told either."""
    return version.removed_at is None or dataset.knowledge.column is None


def _extremes(version: PartitionVersion, column: str) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The earliest and the latest value of a timestamp column of the version's rows."""
    import pyarrow.compute as pc

    moments: list[dt.datetime] = []
    with storage.local_file(version.path) as file:
        if column not in read_schema(file).names:
            raise DataError(
                f"{version.dataset} {version.partition}: the rows of version {version.version} have no column {column}, by which "
                f"dataset.yaml declares that they are known. Ingest the partition again, or leave it out of the range."
            )
        for batch in read_batches(file, [column]):
            if batch.num_rows:
                moments += [moment.as_py() for moment in pc.min_max(batch.column(0)).values()]
    return (min(moments), max(moments)) if moments else (None, None)


def _record(
    connection: sa.Connection, dataset: DatasetConfig, corrections: list[Correction], known_at: dt.datetime | None, actor: str, reason: str
) -> None:
    versions = [correction.version for correction in corrections]
    before = [_said(version, version) for version in versions]
    after = [_said(correction.version, correction) for correction in corrections]
    first, last = versions[0].partition, versions[-1].partition
    values = {"dataset": dataset.name, "first": first, "last": last, "actor": actor, "reason": reason}
    row = knowledge_corrections.insert().values(**values, before=before, recorded_at=clock.now()).returning(knowledge_corrections.c.id)
    evidence = {
        "versions": len(corrections),
        "declared": as_recorded(dataset.knowledge, known_at),
        "after": document_digest(after),
    }
    number = connection.execute(row).scalar_one()
    ledger.bind(connection, knowledge_corrections, {"id": number}, kind=LEDGER_KIND, evidence=evidence)


def _said(version: PartitionVersion, of: PartitionVersion | Correction) -> list[Any]:
    return [version.partition, version.version, of.knowledge_time.isoformat(), of.knowledge_column]
