"""Quarantined rows, with every reason: which were released, by whom, and which are still held."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from include.evergreen.config import DatasetConfig
from include.evergreen.data.partitions import PartitionVersion, current_partition, current_partitions
from include.evergreen.data.partitions.files import read_batches
from include.evergreen.data.validation import Failure, Validation
from include.evergreen.data.validation.checks import PERSONAL, judge
from include.evergreen.foundation.digest import canonical_json
from include.evergreen.foundation.errors import DataError
from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import partition_versions, quarantine_releases

if TYPE_CHECKING:
    import pyarrow as pa

REASON_COLUMN = "quarantine_reason"
REASONS_JOINED_BY = "; "


@dataclass(frozen=True)
class WaitingRows:
    """The quarantined rows of one partition's current version; ``since`` is when a version of it began to have some."""

    dataset: str
    partition: dt.date
    version: int
    rows: int
    source_rows: int
    reasons: dict[str, int]
    since: dt.datetime


def without_released(dataset: DatasetConfig, partition: dt.date, raw: Path, validation: Validation) -> Validation:
    """``validation`` with the rows that a person has released taken out of its failures.

    Rows that share their key with another, or lack it, stay: accepted rows have unique keys. ``quarantine.max_share``
    counts the rows that are left.
    """
    released = _released_digests(dataset.name, partition) if len(validation.failing) else set()
    if not released:
        return validation
    rows = _rows_at(raw, validation.failing)
    let_through = np.array([digest in released for digest in row_digests(rows)], dtype=bool)
    if dataset.keys and let_through.any():
        keys = list(dataset.keys)
        let_through &= ~lacking_a_unique_key(rows, read_batches(raw, keys), keys)
    if not let_through.any():
        return validation
    positions = validation.failing[let_through]
    failures = [replace(failure, positions=np.setdiff1d(failure.positions, positions)) for failure in validation.failures]
    remaining: list[Failure] = [failure for failure in failures if len(failure.positions)]
    judged = judge(dataset, validation.rows, validation.checks, remaining, validation.usual)
    return replace(judged, reason=f"{judged.reason}; {len(positions)} of the failing rows were released by a person")


def row_digests(rows: pa.Table) -> list[str]:
    """SHA-256, in hex, of each row's names and values; a quarantined row has that of the same row as it was delivered."""
    names = [name for name in rows.column_names if name != REASON_COLUMN]
    return [hashlib.sha256(canonical_json(row).encode()).hexdigest() for row in rows.select(names).to_pylist()]


def lacking_a_unique_key(rows: pa.Table, batches: Iterable[pa.RecordBatch], keys: Sequence[str]) -> np.ndarray:
    """Which of ``rows``, all of them in ``batches`` too, lack a value in ``keys`` or share their key with another row there."""
    import pyarrow as pa

    wanted = rows.select(list(keys))
    distinct = wanted.group_by(list(keys)).aggregate([])
    found: Counter[tuple[Any, ...]] = Counter()
    for batch in batches:
        same = pa.Table.from_batches([batch]).select(list(keys)).join(distinct, list(keys), join_type="inner")
        found.update(tuple(row[key] for key in keys) for row in same.to_pylist())
    return np.array([found[tuple(row[key] for key in keys)] != 1 or None in row.values() for row in wanted.to_pylist()], dtype=bool)


def waiting(dataset: str) -> list[WaitingRows]:
    """The partitions of ``dataset`` with quarantined rows in their current version, oldest first."""
    return [
        WaitingRows(
            dataset=dataset,
            partition=partition.partition,
            version=partition.version,
            rows=partition.quarantined,
            source_rows=partition.source_rows,
            reasons=_counted_reasons(partition),
            since=_since(partition),
        )
        for partition in current_partitions(dataset)
        if partition.quarantined
    ]


def quarantined_rows(dataset: str, partition: dt.date) -> tuple[PartitionVersion, pa.Table]:
    """The current version of a partition, and its quarantined rows with `REASON_COLUMN`. Raises `DataError`."""
    version = current_partition(dataset, partition)
    if version is None:
        raise DataError(f"{dataset} {partition} was never published, so it has no quarantine. Ingest it first.")
    if not version.quarantined:
        raise DataError(f"{dataset} {partition}: no row of version {version.version}, the current one, is quarantined.")
    return version, storage.read_table(version.quarantine_path)


def masked(dataset: DatasetConfig, rows: pa.Table) -> list[dict[str, Any]]:
    """The rows for people to see: what is in personal columns is left out, but whether it is missing is not."""
    personal = dataset.personal_columns
    return [
        {name: PERSONAL if name in personal and value is not None else value for name, value in row.items()} for row in rows.to_pylist()
    ]


def _released_digests(dataset: str, partition: dt.date) -> set[str]:
    table = quarantine_releases.c
    query = sa.select(table.row_digest).where(table.dataset == dataset, table.partition == partition)
    with reading() as connection:
        return set(connection.execute(query).scalars())


def _rows_at(file: Path, positions: np.ndarray) -> pa.Table:
    """The rows of a local Parquet file at ``positions``, which are sorted."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first, found = 0, []
    for batch in read_batches(file):
        here = positions[slice(*np.searchsorted(positions, [first, first + batch.num_rows]))]
        if len(here):
            found.append(batch.take(pa.array(here - first)))
        first += batch.num_rows
    return pa.Table.from_batches(found, pq.read_schema(file))


def _counted_reasons(version: PartitionVersion) -> dict[str, int]:
    """How many rows each reason holds back; a row with several counts for each of them."""
    column = storage.read_table(version.quarantine_path, [REASON_COLUMN]).column(REASON_COLUMN)
    counted: Counter[str] = Counter()
    for each in column.value_counts().to_pylist():
        counted.update(dict.fromkeys(each["values"].split(REASONS_JOINED_BY), each["counts"]))
    return dict(counted.most_common())


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
