"""The versions of every partition: published once for each content, read as of a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.evergreen.data.partitions.corrections import known_before_corrections
from include.evergreen.data.partitions.files import read_stored_batches
from include.evergreen.data.partitions.totals import count_change
from include.evergreen.data.partitions.version import PartitionVersion
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import DataError, EvergreenError
from include.evergreen.foundation.grain import EARLIEST, LATEST, Partition
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import partition_versions

if TYPE_CHECKING:
    import pandas as pd


LEDGER_KIND = "publication"
KnownAt = Callable[[PartitionVersion | None], dt.datetime]
"""Gives a new version's knowledge time from the version that it supersedes, if there is one."""
Also = Callable[[sa.Connection, PartitionVersion | None], None]
"""Does, in the publishing transaction, what stands or falls with it, or refuses it; gets the version that is current until then."""


class OlderDeliveryError(EvergreenError):
    """A newer delivery of the partition is current, and stays so. Nobody need act: what is newest counts, not who comes last."""


def publish_partition(
    *,
    dataset: str,
    partition: Partition,
    content: dict[str, Any],
    known_at: KnownAt,
    origin: str,
    delivered_at: dt.datetime | None = None,
    also: Also | None = None,
) -> tuple[PartitionVersion, bool]:
    """Make ``content`` the current version of a partition, unless the current version has it already.

    :param dataset: name of the dataset
    :param partition: the partition's date
    :param content: digests, paths and counts, by the names of the columns of ``partition_versions``
    :param known_at: asked for the knowledge time of a new version only
    :param origin: ``live`` or ``backfill``
    :param delivered_at: when the source began to be read for it; None: it is made of the delivery that is current
    :param also: what stands or falls with the publication; done too when the content is not new
    :returns: the current version, and whether it is new
    :raises OlderDeliveryError: when the current version has other content, of a delivery that is newer than this one
    """
    with writing() as connection:
        current = newest_version(connection, dataset, partition)
        if also:
            also(connection, current)
        of_current = (current.delivered_at or current.recorded_at) if current else None
        is_older = of_current is not None and delivered_at is not None and delivered_at < of_current
        if current and (current.digest, current.quarantine_digest) == (content["digest"], content["quarantine_digest"]):
            if delivered_at is not None and not is_older and delivered_at != current.delivered_at:
                change_version(connection, current, because="it was delivered again", delivered_at=delivered_at)
            return current, False
        if current and is_older:
            raise OlderDeliveryError(
                f"{dataset} {partition}: this delivery began to be read at {delivered_at:%Y-%m-%d %H:%M:%S} UTC, and is older than that of "
                f"version {current.version}, {of_current:%Y-%m-%d %H:%M:%S} UTC. Version {current.version} stays current, and nothing was "
                f"published. To publish what the source has now, ingest the partition again."
            )
        timestamp = clock.now()
        key = {"dataset": dataset, "partition": partition, "version": current.version + 1 if current else 1}
        connection.execute(
            partition_versions.insert().values(
                **key,
                knowledge_time=known_at(current),
                origin=origin,
                recorded_at=timestamp,
                delivered_at=delivered_at or of_current,
                **content,
            )
        )
        ledger.bind(connection, partition_versions, key, kind=LEDGER_KIND)
        published = newest_version(connection, dataset, partition)
        assert published is not None
        if current:
            connection.execute(partition_versions.update().filter_by(**_key(current)).values(superseded_at=timestamp))
        count_change(connection, current, published)
        return published, True


def current_partition(dataset: str, partition: Partition) -> PartitionVersion | None:
    """Look up the current version of a partition, which is the newest.

    :param dataset: name of the dataset
    :param partition: the partition's date
    :returns: the version; None when the partition was never published
    """
    with reading() as connection:
        return newest_version(connection, dataset, partition)


def current_partitions(dataset: str, first: Partition = EARLIEST, last: Partition = LATEST) -> list[PartitionVersion]:
    """Look up the current version of each of some partitions.

    :param dataset: name of the dataset
    :param first: the first partition, inclusive
    :param last: the last partition, inclusive
    :returns: one version for each partition that was published, oldest partition first
    """
    return known_partitions(dataset, as_of=None, first=first, last=last)


def count_rows(dataset: str, first: Partition, last: Partition) -> int:
    """Count the accepted rows of some partitions, as they are now. Reads no rows.

    :param dataset: name of the dataset
    :param first: the first partition, inclusive
    :param last: the last partition, inclusive
    :returns: the sum over their current versions
    """
    table = partition_versions.c
    current = (table.dataset == dataset, table.partition.between(first, last), table.superseded_at.is_(None))
    with reading() as connection:
        return int(connection.execute(sa.select(sa.func.coalesce(sa.func.sum(table.rows), 0)).where(*current)).scalar_one())


def known_partitions(dataset: str, *, as_of: dt.datetime | None, first: Partition, last: Partition) -> list[PartitionVersion]:
    """Look up what was known at a time: of each partition the newest version that was known by then.

    :param dataset: name of the dataset
    :param as_of: the time (UTC), inclusive; None for the newest versions, whenever they were known
    :param first: the first partition, inclusive
    :param last: the last partition, inclusive
    :returns: one version for each partition of which one was known, oldest partition first
    """
    table = partition_versions.c
    condition = [table.dataset == dataset, table.partition.between(first, last)]
    known = condition if as_of is None else [*condition, table.knowledge_time <= as_of]
    newest = sa.select(table.partition, sa.func.max(table.version).label("version")).where(*known).group_by(table.partition).subquery()
    is_newest = (newest.c.partition == table.partition) & (newest.c.version == table.version)
    query = sa.select(partition_versions).join(newest, is_newest).where(*condition).order_by(table.partition)
    with reading() as connection:
        return [_version(row) for row in connection.execute(query)]


def known_versions(
    dataset: str, *, as_of: dt.datetime, first: Partition, last: Partition, said_at: dt.datetime | None = None
) -> list[PartitionVersion]:
    """Look up every version of some partitions that was known at a time, superseded ones included.

    :param dataset: name of the dataset
    :param as_of: the time (UTC), inclusive
    :param first: the first partition, inclusive
    :param last: the last partition, inclusive
    :param said_at: when it was said what was known: later corrections of knowledge times do not count; None: they all do
    :returns: the versions by partition, older ones first
    """
    table = partition_versions.c
    with reading() as connection:
        if said_at is None:
            return all_versions(connection, dataset, first, last, table.knowledge_time <= as_of)
        before = known_before_corrections(connection, dataset, first, last, said_at)
        versions = all_versions(connection, dataset, first, last)
    as_said = [replace(version, **before.get((version.partition, version.version), {})) for version in versions]
    return [version for version in as_said if version.knowledge_time <= as_of]


def newest_known(dataset: str, *, as_of: dt.datetime, first: Partition, last: Partition) -> PartitionVersion | None:
    """Look up the newest partition of some that was known at a time: the newest version of it that was known by then.

    :param dataset: name of the dataset
    :param as_of: the time (UTC), inclusive
    :param first: the first partition, inclusive
    :param last: the last partition, inclusive
    :returns: the version; None when none was known
    """
    table = partition_versions.c
    known = (table.dataset == dataset, table.partition.between(first, last), table.knowledge_time <= as_of)
    newest = partition_versions.select().where(*known).order_by(table.partition.desc(), table.version.desc()).limit(1)
    with reading() as connection:
        row = connection.execute(newest).first()
    return _version(row) if row else None


def all_versions(
    connection: sa.Connection, dataset: str, first: Partition, last: Partition, *conditions: sa.ColumnElement[bool]
) -> list[PartitionVersion]:
    """Look up the versions of some partitions that meet all conditions.

    :param connection: any that reads
    :param dataset: name of the dataset
    :param first: the first partition, inclusive
    :param last: the last partition, inclusive
    :param *conditions: on columns of ``partition_versions``; none: every version
    :returns: the versions by partition, older ones first
    """
    table = partition_versions.c
    query = partition_versions.select().where(table.dataset == dataset, table.partition.between(first, last), *conditions)
    return [_version(row) for row in connection.execute(query.order_by(table.partition, table.version))]


def read_partition(version: PartitionVersion, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read the accepted rows of one version. Raises `DataError` when retention removed its files, or they are gone or damaged.

    :param version: of a partition
    :param columns: the names of those to read, and nothing else of the file; None for all
    :returns: the rows in the order of the dataset's keys
    """
    _refuse_removed(version)
    return storage.read_frame(version.path, columns)


def read_partition_in_batches(version: PartitionVersion, rows: int) -> Iterator[pd.DataFrame]:
    """Read what `read_partition` does, in as much memory as a batch takes. Raises what it raises.

    :param version: of a partition
    :param rows: how many of them a batch has at most
    :yields: the next rows in the order of the dataset's keys, numbered from 0
    """
    _refuse_removed(version)
    for batch in read_stored_batches(version.path, most_rows=rows):
        yield batch.to_pandas()


def _refuse_removed(version: PartitionVersion) -> None:
    if version.removed_at is not None:
        raise DataError(
            f"{version.dataset} {version.partition}: version {version.version}, which was known at that time, was removed by retention "
            f"on {version.removed_at:%Y-%m-%d}. Read as of a later date, or keep versions longer: retention.superseded_days."
        )


def newest_version(connection: sa.Connection, dataset: str, partition: Partition) -> PartitionVersion | None:
    """Look up the current version of a partition, within the caller's transaction.

    :param connection: any that reads
    :param dataset: name of the dataset
    :param partition: the partition's date
    :returns: the version; None when the partition was never published
    """
    query = (
        partition_versions.select()
        .where(partition_versions.c.dataset == dataset, partition_versions.c.partition == partition)
        .order_by(partition_versions.c.version.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return _version(row) if row else None


def change_version(connection: sa.Connection, version: PartitionVersion | sa.Row[Any], *, because: str, **values: Any) -> None:
    """Change what is recorded of a version, with a new entry in the ledger, in the caller's writing transaction.

    :param connection: of that transaction
    :param version: which
    :param because: why, for the ledger
    :param **values: by the names of the columns of ``partition_versions``
    """
    connection.execute(partition_versions.update().filter_by(**_key(version)).values(**values))
    ledger.bind(connection, partition_versions, _key(version), kind=LEDGER_KIND, evidence={"because": because})


def refuse_changed_versions(connection: sa.Connection, versions: Iterable[PartitionVersion]) -> None:
    """Refuse versions, as they were read, of which the ledger says otherwise.

    :param connection: any that reads
    :param versions: those that something is made of
    :raises DataError: when one differs from its entry, or has none
    """
    rows = [version.__dict__ for version in versions]
    if problem := next(ledger.differences(connection, partition_versions, rows), ""):
        raise DataError(
            f"{problem}. Nothing is made of it. `evergreen verify-ledger` says what else was changed: find out by whom, and ingest the "
            f"partition again, or restore the database from a backup."
        )


def differing_versions(connection: sa.Connection) -> Iterator[str]:
    """Compare which versions count as current with the order in which they were published.

    :param connection: any that reads
    :yields: one sentence for each that counts as current although there is a later one, or as superseded although there is none
    """
    own, later = partition_versions.c, partition_versions.alias("later")
    has_later = sa.select(later.c.id).where(
        later.c.dataset == own.dataset, later.c.partition == own.partition, later.c.version > own.version
    ).exists()  # fmt: skip
    query = sa.select(own.dataset, own.partition, own.version, own.superseded_at)
    for row in connection.execute(query.where(own.superseded_at.is_(None) == has_later)):
        said = "superseded by no other" if row.superseded_at else "made current again"
        yield f"partition_versions (dataset {row.dataset}, partition {row.partition}, version {row.version}): it was {said}"


def _key(version: PartitionVersion | sa.Row[Any]) -> dict[str, Any]:
    return {name: getattr(version, name) for name in ("dataset", "partition", "version")}


def _version(row: sa.Row[Any]) -> PartitionVersion:
    return as_record(PartitionVersion, row)
