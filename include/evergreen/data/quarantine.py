"""Quarantined rows, with every reason: which were released, by whom, and which are still held."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from include.evergreen.config import DatasetConfig
from include.evergreen.data.partitions import PartitionVersion, current_partition, current_partitions
from include.evergreen.data.partitions.files import read_batches, read_schema
from include.evergreen.data.validation import Validation
from include.evergreen.data.validation.checks import PERSONAL, judge, split_reasons
from include.evergreen.foundation.digest import canonical_json
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import partition_versions, quarantine_releases

if TYPE_CHECKING:
    import pyarrow as pa

REASON_COLUMN = "quarantine_reason"


@dataclass(frozen=True)
class WaitingRows:
    """The quarantined rows of one partition's current version; ``since`` is when a version of it began to have some."""

    dataset: str
    partition: Partition
    version: int
    rows: int
    source_rows: int
    reasons: dict[str, int]
    since: dt.datetime


def without_released(dataset: DatasetConfig, released: set[str], raw: Path, validation: Validation) -> Validation:
    """Take the rows that a person has released out of a validation's failures, and judge what is left.

    Rows that share their key with another, or lack it, stay: accepted rows have unique keys. ``quarantine.max_share``
    counts the rows that are left.

    :param dataset: whose partition was validated
    :param released: the digests of the rows that were released, as `released_digests` gives them
    :param raw: the local Parquet file with the raw rows
    :param validation: of these rows
    :returns: the validation without the released rows, and with a verdict of its own
    """
    if not released or not len(validation.failing):
        return validation
    rows = rows_at(raw, validation.failing)
    let_through = np.array([digest in released for digest in row_digests(rows)], dtype=bool)
    if dataset.keys and let_through.any():
        keys = list(dataset.keys)
        let_through &= ~lacking_a_unique_key(rows, read_batches(raw, keys), keys)
    if not let_through.any():
        return validation
    positions = validation.failing[let_through]
    failures = [replace(failure, positions=np.setdiff1d(failure.positions, positions)) for failure in validation.failures]
    failures = [failure for failure in failures if len(failure.positions)]
    judged = judge(dataset, validation.rows, validation.checks, failures, validation.usual)
    return replace(judged, reason=f"{judged.reason}; {len(positions)} of the failing rows were released by a person")


def released_digests(connection: sa.Connection, dataset: str, partition: Partition) -> set[str]:
    """Look up which rows of a partition a person has released.

    :param connection: any that reads
    :param dataset: name of the dataset
    :param partition: the partition's date
    :returns: the rows' digests, as `row_digests` gives them; empty when none was released
    :raises DataError: when the ledger says otherwise of a release
    """
    releases = connection.execute(quarantine_releases.select().filter_by(dataset=dataset, partition=partition)).mappings().all()
    if problem := next(ledger.differences(connection, quarantine_releases, releases), ""):
        raise DataError(f"{problem}, so no row is let through by it. `evergreen verify-ledger` says what else was changed.")
    return {digest for row in releases for digest in row["rows"]["digests"]}


def released_rows(digests: Iterable[str]) -> dict[str, Any]:
    """Say what is recorded of released rows, with a new salt: without it, a row is not told from the digest in the ledger.

    :param digests: as `row_digests` gives them
    :returns: for ``quarantine_releases.rows``: ``digests``, in order, and ``salt``
    """
    return {"digests": sorted(set(digests)), "salt": secrets.token_hex(16)}


def row_digests(rows: pa.Table) -> list[str]:
    """Digest each row by itself: a quarantined row has the digest of the same row as it was delivered.

    :param rows: whose names and values count, all but `REASON_COLUMN`
    :returns: SHA-256 for each row, as 64 hex digits, in the rows' order; equal rows have equal ones
    """
    names = [name for name in rows.column_names if name != REASON_COLUMN]
    return [hashlib.sha256(canonical_json(row).encode()).hexdigest() for row in rows.select(names).to_pylist()]


def lacking_a_unique_key(rows: pa.Table, batches: Iterable[pa.RecordBatch], keys: Sequence[str]) -> np.ndarray:
    """Say which rows may not be accepted, because they lack their key or share it.

    :param rows: those that are asked about
    :param batches: all rows of the partition, ``rows`` among them
    :param keys: the names of the key columns
    :returns: one boolean for each of ``rows``
    """
    import pyarrow as pa

    wanted = rows.select(list(keys))
    distinct = wanted.group_by(list(keys)).aggregate([])
    times: Counter[tuple[Any, ...]] = Counter()
    for batch in batches:
        same = pa.Table.from_batches([batch]).select(list(keys)).join(distinct, list(keys), join_type="inner")
        times.update(tuple(row[key] for key in keys) for row in same.to_pylist())
    return np.array([times[tuple(row[key] for key in keys)] != 1 or None in row.values() for row in wanted.to_pylist()], dtype=bool)


def rows_at(file: Path, positions: np.ndarray) -> pa.Table:
    """Read some rows of a local Parquet file.

    :param file: where it lies
    :param positions: of the rows, sorted and counted from 0
    :returns: these rows in their order, with all columns of the file
    """
    import pyarrow as pa

    first, rows = 0, []
    for batch in read_batches(file) if len(positions) else ():
        within = positions[slice(*np.searchsorted(positions, [first, first + batch.num_rows]))]
        if len(within):
            rows.append(batch.take(pa.array(within - first)))
        first += batch.num_rows
    return pa.Table.from_batches(rows, read_schema(file))


def counted_reasons(rows: pa.Table) -> dict[str, int]:
    """Count how many quarantined rows each reason holds back.

    :param rows: with their reasons in `REASON_COLUMN`
    :returns: the number of rows by reason, the most frequent first; a row counts for each of its reasons
    """
    counted: Counter[str] = Counter()
    for reasons in rows.column(REASON_COLUMN).value_counts().to_pylist():
        counted.update(dict.fromkeys(split_reasons(reasons["values"]), reasons["counts"]))
    return dict(counted.most_common())


def waiting(dataset: str) -> list[WaitingRows]:
    """List the partitions with quarantined rows in their current version.

    :param dataset: name of the dataset
    :returns: one for each such partition, oldest first
    """
    return [
        WaitingRows(
            dataset=dataset,
            partition=partition.partition,
            version=partition.version,
            rows=partition.quarantined,
            source_rows=partition.source_rows,
            reasons=counted_reasons(storage.read_table(partition.quarantine_path, [REASON_COLUMN])),
            since=_since(partition),
        )
        for partition in current_partitions(dataset)
        if partition.quarantined
    ]


def quarantined_rows(dataset: str, partition: Partition) -> tuple[PartitionVersion, pa.Table]:
    """Read the quarantined rows of a partition's current version.

    :param dataset: name of the dataset
    :param partition: the partition's date
    :returns: the version, and its quarantined rows with `REASON_COLUMN` as their last column
    :raises DataError: when the partition was never published, or when no row of its current version is quarantined
    """
    version = current_partition(dataset, partition)
    if version is None:
        raise DataError(f"{dataset} {partition} was never published, so it has no quarantine. Ingest it first.")
    if not version.quarantined:
        raise DataError(f"{dataset} {partition}: no row of version {version.version}, the current one, is quarantined.")
    return version, storage.read_table(version.quarantine_path)


def masked(dataset: DatasetConfig, rows: pa.Table) -> list[dict[str, Any]]:
    """Turn rows into dictionaries for people to see, without the values of personal columns.

    :param dataset: which declares what is personal
    :param rows: its rows; they may have more columns, which are shown
    :returns: one dictionary a row, by column; `PERSONAL` stands for a personal value that is there, None for one that is missing
    """
    personal = dataset.personal_columns
    return [
        {name: PERSONAL if name in personal and value is not None else value for name, value in row.items()} for row in rows.to_pylist()
    ]


def _since(version: PartitionVersion) -> dt.datetime:
    table = partition_versions.c
    same = (table.dataset == version.dataset, table.partition == version.partition, table.version <= version.version)
    query = sa.select(table.quarantined, table.recorded_at).where(*same).order_by(table.version.desc())
    since = version.recorded_at
    with reading() as connection:
        for quarantined, recorded_at in connection.execute(query):
            if not quarantined:
                break
            since = recorded_at
    return since
