"""The versions of every partition: published once for each content, read as of a moment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.evergreen.data.partitions.totals import count_change
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import DataError
from include.evergreen.state import storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import partition_versions

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PartitionVersion:
    """One validated content of one partition."""

    dataset: str
    partition: dt.date
    version: int
    digest: str
    path: str
    rows: int
    quarantine_digest: str
    quarantine_path: str
    quarantined: int
    source_rows: int
    raw_digest: str
    raw_path: str
    knowledge_time: dt.datetime
    knowledge_column: str | None
    origin: str
    recorded_at: dt.datetime
    removed_at: dt.datetime | None


KnownAt = Callable[[PartitionVersion | None], dt.datetime]
Also = Callable[[sa.Connection, PartitionVersion | None], None]


def publish_partition(
    *, dataset: str, partition: dt.date, content: dict[str, Any], known_at: KnownAt, origin: str, also: Also | None = None
) -> tuple[PartitionVersion, bool]:
    """Make ``content`` (digests, paths and counts) the current version; also say whether it is new.

    Content that equals the current version makes none. ``known_at`` gives the new version's knowledge time from the
    version that it supersedes, if there is one; ``also`` does what must stand or fall with the publication, or refuses it.
    """
    with writing() as connection:
        current = newest_version(connection, dataset, partition)
        if also:
            also(connection, current)
        same = current and (current.digest, current.quarantine_digest) == (content["digest"], content["quarantine_digest"])
        if current and same:
            return current, False
        moment = clock.now()
        connection.execute(
            partition_versions.insert().values(
                dataset=dataset,
                partition=partition,
                version=current.version + 1 if current else 1,
                knowledge_time=known_at(current),
                origin=origin,
                recorded_at=moment,
                **content,
            )
        )
        published = newest_version(connection, dataset, partition)
        assert published is not None
        if current:
            connection.execute(partition_versions.update().where(*_is(current)).values(superseded_at=moment))
        count_change(connection, current, published)
        return published, True


def current_partition(dataset: str, partition: dt.date) -> PartitionVersion | None:
    with reading() as connection:
        return newest_version(connection, dataset, partition)


def current_partitions(dataset: str, first: dt.date = dt.date.min, last: dt.date = dt.date.max) -> list[PartitionVersion]:
    """The current version of each partition from ``first`` to ``last``, oldest partition first."""
    return known_partitions(dataset, as_of=None, first=first, last=last)


def known_partitions(dataset: str, *, as_of: dt.datetime | None, first: dt.date, last: dt.date) -> list[PartitionVersion]:
    """For each partition from ``first`` to ``last``, the newest version with a knowledge time <= ``as_of``."""
    table = partition_versions.c
    condition = [table.dataset == dataset, table.partition.between(first, last)]
    known = condition if as_of is None else [*condition, table.knowledge_time <= as_of]
    newest = sa.select(table.partition, sa.func.max(table.version).label("version")).where(*known).group_by(table.partition).subquery()
    is_newest = (newest.c.partition == table.partition) & (newest.c.version == table.version)
    query = sa.select(partition_versions).join(newest, is_newest).where(*condition).order_by(table.partition)
    with reading() as connection:
        return [_version(row) for row in connection.execute(query)]


def known_versions(dataset: str, *, as_of: dt.datetime, first: dt.date, last: dt.date) -> list[PartitionVersion]:
    """Every version of the partitions from ``first`` to ``last`` with a knowledge time <= ``as_of``, superseded ones included.

    By partition, older versions first.
    """
    table = partition_versions.c
    query = (
        partition_versions.select()
        .where(table.dataset == dataset, table.partition.between(first, last), table.knowledge_time <= as_of)
        .order_by(table.partition, table.version)
    )
    with reading() as connection:
        return [_version(row) for row in connection.execute(query)]


def read_partition(version: PartitionVersion, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The accepted rows of one version: all columns, or some and nothing else of its file.

    Raises `DataError` when retention has removed them.
    """
    if version.removed_at is not None:
        raise DataError(
            f"{version.dataset} {version.partition}: version {version.version}, which was known at that time, was removed by retention "
            f"on {version.removed_at:%Y-%m-%d}. Read as of a later moment, or keep versions longer: retention.superseded_days."
        )
    return storage.read_frame(version.path, columns)


def newest_version(connection: sa.Connection, dataset: str, partition: dt.date) -> PartitionVersion | None:
    """As `current_partition`, within the caller's transaction."""
    query = (
        partition_versions.select()
        .where(partition_versions.c.dataset == dataset, partition_versions.c.partition == partition)
        .order_by(partition_versions.c.version.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return _version(row) if row else None


def _is(version: PartitionVersion) -> tuple[sa.ColumnElement[bool], ...]:
    table = partition_versions.c
    return table.dataset == version.dataset, table.partition == version.partition, table.version == version.version


def _version(row: sa.Row[Any]) -> PartitionVersion:
    return PartitionVersion(**{name: row._mapping[name] for name in PartitionVersion.__dataclass_fields__})
