"""Releases quarantined rows on a person's request: now, and whenever the partition is ingested again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import sqlalchemy as sa

from include.evergreen.config import DatasetConfig
from include.evergreen.data import ingestion
from include.evergreen.data.conditions import Conditions
from include.evergreen.data.erased.stale_reads import refuse_stale_reads
from include.evergreen.data.partitions import PartitionVersion
from include.evergreen.data.partitions.files import arrow_schema, read_batches
from include.evergreen.data.quarantine import counted_reasons, lacking_a_unique_key, quarantined_rows, released_rows, row_digests
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.reasons import checked_reason
from include.evergreen.state import ledger, storage
from include.evergreen.state.database.tables import quarantine_releases

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)
LEDGER_KIND = "quarantine-release"


@dataclass(frozen=True)
class Released:
    """How many rows were let through, in which new version, and how many are still quarantined."""

    rows: int
    remaining: int
    version: PartitionVersion


def release(dataset: DatasetConfig, partition: Partition, chosen: Conditions | None, *, actor: str, reason: str) -> Released:
    """Publish the partition with the chosen quarantined rows among its accepted ones, as a person decided.

    The version is the one that ingesting the same rows again makes, so that makes no other. Raises `ConfigError` for a reason that
    `checked_reason` refuses; `DataError` when no row is chosen, when one lacks its key or shares it (accepted rows have unique keys), and
    when the rows can no longer be put together as ingestion would; `TransientError` when the partition was published anew, or an erasure
    was running, in the meantime.

    :param dataset: as it is declared now; its columns must be those of the partition's current version
    :param partition: the partition's date
    :param chosen: which of the quarantined rows; None for all of them
    :param actor: who releases them, for the ledger
    :param reason: why, for the ledger; see `checked_reason`
    :returns: the new version, and how many rows were released and are left
    """
    reason = checked_reason(f"{dataset.name} {partition}", reason)
    began = clock.now()
    current, rows = quarantined_rows(dataset.name, partition)
    _refuse_other_columns(dataset, current, rows)
    mask = _chosen(dataset, current, rows, chosen)
    released = rows.filter(mask)
    remaining = rows.filter([not is_chosen for is_chosen in mask])
    _refuse_shared_keys(dataset, current, rows, released)
    accepted = ingestion.keep_accepted(dataset, partition, partial(_accepted, dataset, current, released, remaining))
    kept = {**accepted, **ingestion.keep_quarantined(dataset, partition, remaining)}
    facts = {
        "source_rows": current.source_rows,
        "raw_digest": current.raw_digest,
        "raw_path": current.raw_path,
        "arrived": clock.now().isoformat(),
    }
    validated = cast(ingestion.Validated, {**kept, **facts})

    def record(connection: sa.Connection, newest: PartitionVersion | None) -> None:
        refuse_stale_reads(connection, [dataset.name], began, is_derived=True)
        if newest != current:
            raise TransientError(
                f"{dataset.name} {partition} was published anew in the meantime. Look at its quarantine, and release again."
            )
        values = {"actor": actor, "reason": reason, "recorded_at": clock.now(), "rows": released_rows(row_digests(released))}
        row = quarantine_releases.insert().values(dataset=dataset.name, partition=partition, **values).returning(quarantine_releases.c.id)
        evidence = {
            "version": current.version + 1,
            "released": released.num_rows,
            "remaining": remaining.num_rows,
            "reasons": counted_reasons(released),
        }
        number = connection.execute(row).scalar_one()
        ledger.bind(connection, quarantine_releases, {"id": number}, kind=LEDGER_KIND, evidence=evidence)

    version, _ = ingestion.publish(dataset, partition, validated, "live", also=record)
    log.info("%s %s: %d quarantined rows released by %s: %s", dataset.name, partition, released.num_rows, actor, reason)
    return Released(released.num_rows, remaining.num_rows, version)


def _refuse_other_columns(dataset: DatasetConfig, current: PartitionVersion, rows: pa.Table) -> None:
    if not rows.select(rows.column_names[:-1]).schema.equals(arrow_schema(dataset)):
        raise DataError(
            f"{dataset.name} {current.partition}: version {current.version} was ingested under other columns or types than dataset.yaml "
            f"has now. Ingest the partition again, and then release."
        )


def _chosen(dataset: DatasetConfig, current: PartitionVersion, rows: pa.Table, chosen: Conditions | None) -> list[bool]:
    mask = [True] * rows.num_rows if chosen is None else cast("list[bool]", chosen.matches(rows).to_pylist())
    if not any(mask):
        raise DataError(
            f"{dataset.name} {current.partition}: none of the {rows.num_rows} quarantined rows of version {current.version} meets all "
            f"conditions. See them with: quarantine show {dataset.name} {current.partition}"
        )
    return mask


def _refuse_shared_keys(dataset: DatasetConfig, current: PartitionVersion, quarantined: pa.Table, released: pa.Table) -> None:
    if not dataset.keys:
        return
    keys = list(dataset.keys)

    def everywhere() -> Iterator[pa.RecordBatch]:
        yield from quarantined.select(keys).to_batches()
        with storage.local_file(current.path) as file:
            yield from read_batches(file, keys)

    if refused := int(lacking_a_unique_key(released, everywhere(), keys).sum()):
        raise DataError(
            f"{dataset.name} {current.partition}: {refused} of the {released.num_rows} chosen rows lack their key ({', '.join(keys)}) or "
            f"share it with another row, and accepted rows have unique keys. Nothing was released. Choose others with --where, and have "
            f"these fixed at the source."
        )


def _accepted(
    dataset: DatasetConfig, current: PartitionVersion, released: pa.Table, remaining: pa.Table, columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    """What ingestion would accept. Keys order it; without keys the order is that of the raw rows."""
    if dataset.keys:
        with storage.local_file(current.path) as file:
            yield from read_batches(file, columns)
        yield from released.select(list(columns or dataset.column_names)).to_batches()
        return
    if not current.raw_path:
        raise DataError(
            f"{dataset.name} {current.partition}: its raw rows are no longer kept, and without keys nothing else says in which order the "
            f"rows were. Ingest it again, and then release."
        )
    held_back = set(row_digests(remaining))
    with storage.local_file(current.raw_path) as file:
        for batch in read_batches(file):
            yield _left_over(batch, remaining, held_back)


def _left_over(batch: pa.RecordBatch, remaining: pa.Table, digests: set[str]) -> pa.RecordBatch:
    """The rows that are not in ``remaining``. Equal rows are: no check tells them apart.

    Column by column first, so that few rows are left to compare as a whole.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    possible = np.full(batch.num_rows, bool(remaining.num_rows))
    for name in batch.schema.names:
        possible &= pc.is_in(batch.column(name), remaining.column(name).combine_chunks()).to_numpy(zero_copy_only=False)
    positions = np.flatnonzero(possible)
    kept = np.ones(batch.num_rows, dtype=bool)
    if len(positions):
        possible_rows = pa.Table.from_batches([batch.take(pa.array(positions))])
        kept[positions[[digest in digests for digest in row_digests(possible_rows)]]] = False
    return batch.filter(pa.array(kept))
