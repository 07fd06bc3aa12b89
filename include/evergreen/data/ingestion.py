"""Ingestion in three steps that can each be repeated: fetch, validate, publish.

Every file that a step writes is named by its content, so a step that is killed and run again writes the same file, and
nothing is current before `publish` commits it. Of two deliveries the one whose source was read later counts, whoever publishes last.
Rows pass in batches: a partition may be larger than memory.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict, cast

import numpy as np

from include.evergreen.config import DatasetConfig
from include.evergreen.data.erased.stale_reads import refuse_stale_reads
from include.evergreen.data.erased.subjects import without_erased
from include.evergreen.data.knowledge import DeliveredVersion, as_recorded, correction_command, knowledge_time, why_other_than_declared
from include.evergreen.data.partitions import Also, PartitionVersion, publish_partition
from include.evergreen.data.partitions.files import Rows, RowWriter, arrow_schema, read_batches, write_in_order
from include.evergreen.data.quarantine import REASON_COLUMN, released_digests, rows_at, without_released
from include.evergreen.data.sources import make_source
from include.evergreen.data.validation import Delivered, RawRows, Validation, record_validation, stop_message, validate
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.errors import DataError, OvertakenError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.overtaken import until_not_overtaken
from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import partition_versions

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa

Origin = Literal["live", "backfill"]
log = logging.getLogger(__name__)
PROGRESS_EVERY_ROWS = 2_000_000


class Fetched(TypedDict):
    """Where a partition's raw rows lie, when they arrived, and which columns of the source were not kept.

    ``began`` is when the source began to be read, by which deliveries are ordered; runs of an earlier release do not say.
    """

    path: str
    digest: str
    rows: int
    began: NotRequired[str]
    arrived: str
    undeclared: list[str]


class Validated(TypedDict):
    """Where a partition's accepted and quarantined rows lie, and how many there are.

    ``known_first`` and ``known_last`` are the extremes of the dataset's knowledge column, if it has one; ``released`` is the digest
    of the releases that it took into account. Runs of an earlier release lack what is not required.
    """

    digest: str
    path: str
    rows: int
    quarantine_digest: str
    quarantine_path: str
    quarantined: int
    source_rows: int
    raw_digest: str
    raw_path: str
    began: NotRequired[str]
    arrived: str
    undeclared: NotRequired[list[str]]
    released: NotRequired[str]
    known_first: str | None
    known_last: str | None


def fetch(dataset: DatasetConfig, partition: Partition) -> Fetched:
    """Read a partition at its source and keep its rows, typed but unjudged.

    Raises `DataError`, `TransientError` or `ConfigError` as the source does, and as `refuse_stale_reads` does.

    :param dataset: whose source is read
    :param partition: the partition's date
    :returns: what `validate_partition` needs; the rows themselves lie in the storage
    """
    began = clock.now()
    dataset.grain.number(partition)  # refuses what is the key of no partition
    delivery = make_source(dataset).open(partition)
    with RowWriter(arrow_schema(dataset)) as raw:
        for batch in without_erased(dataset, delivery.batches):
            before = raw.rows // PROGRESS_EVERY_ROWS
            raw.write(batch)
            if raw.rows // PROGRESS_EVERY_ROWS > before:
                log.info("%s %s: %d rows so far", dataset.name, partition, raw.rows)
        digest, rows = raw.digest(), raw.rows
        path = f"raw/{dataset.name}/{partition}/{digest[:16]}.parquet"
        raw.keep(path)
    delivery.kept(path)
    arrived = clock.now()
    with reading() as connection:  # an erasure after this one is refused by `publish`
        refuse_stale_reads(connection, [dataset.name], began)
    log.info(
        "%s %s: fetched %d rows with %d columns from %s", dataset.name, partition, rows, len(dataset.columns), _places(delivery.places)
    )
    return {"path": path, "digest": digest, "rows": rows, "began": began.isoformat(), "arrived": arrived.isoformat(),
            "undeclared": delivery.undeclared}  # fmt: skip


def validate_partition(dataset: DatasetConfig, partition: Partition, fetched: Fetched, origin: Origin) -> Validated:
    """Judge the fetched rows, record the result, and keep accepted and quarantined rows apart.

    :param dataset: by whose contract the rows are judged
    :param partition: the partition's date
    :param fetched: what `fetch` returned
    :param origin: ``live`` or ``backfill``, which has no deadline
    :returns: what `publish` needs
    :raises DataError: when the partition is stopped (what was published before stays current), or when people were erased
        from the dataset since its rows were fetched
    """
    delivered = Delivered(
        partition=partition,
        live=origin == "live",
        arrived=dt.datetime.fromisoformat(fetched["arrived"]),
        undeclared=tuple(fetched["undeclared"]),
    )
    with reading() as connection:  # its result may quote rows
        refuse_stale_reads(connection, [dataset.name], delivered.arrived)
        released = released_digests(connection, dataset.name, partition)
    with storage.local_file(fetched["path"]) as file:
        validation = without_released(dataset, released, file, validate(dataset, RawRows(file), delivered))
        record_validation(dataset.name, partition, fetched["digest"], validation.summary(), delivered_at=_began(fetched))
        for line in validation.log_lines():
            log.log(logging.INFO if validation.verdict == "passed" else logging.WARNING, "%s %s: %s", dataset.name, partition, line)
        if validation.verdict == "stopped":
            raise DataError(stop_message(dataset, partition, validation))
        accepted = keep_accepted(dataset, partition, partial(_accepted, file, validation))
        kept = {**accepted, **keep_quarantined(dataset, partition, _quarantined(file, validation))}
    facts = {
        "source_rows": fetched["rows"],
        "raw_digest": fetched["digest"],
        "raw_path": fetched["path"],
        "began": _began(fetched).isoformat(),
        "arrived": fetched["arrived"],
        "undeclared": fetched["undeclared"],
        "released": document_digest(sorted(released)),
    }
    return cast(Validated, {**kept, **facts})


def publish(
    dataset: DatasetConfig,
    partition: Partition,
    validated: Validated,
    origin: Origin,
    *,
    known_at: dt.datetime | None = None,
    also: Also | None = None,
) -> tuple[PartitionVersion, bool]:
    """Make the validated rows the partition's current version, unless the current version has them already.

    Rows of which some were released since they were validated are validated again first. Passes on `DataError` when a file of
    ``validated`` is gone, when people were erased from the dataset since the rows arrived, and as `validate_partition` does; and
    `OlderDeliveryError` when the current version has other content, of a delivery that is newer than this one.

    :param dataset: whose partition it is
    :param partition: the partition's date
    :param validated: what `validate_partition` returned
    :param origin: ``live`` or ``backfill``
    :param known_at: when a new version's content was known (UTC); None: as ``dataset.knowledge`` says
    :param also: what is done in the same transaction, as `publish_partition` has it
    :returns: the current version, and whether it is new
    """
    given = [validated]

    def work() -> tuple[PartitionVersion, bool]:
        rows = given.pop() if given else validate_partition(dataset, partition, _fetched(validated), origin)
        return _publish(dataset, partition, rows, origin, known_at, also)

    return until_not_overtaken(work)


def _publish(
    dataset: DatasetConfig, partition: Partition, validated: Validated, origin: Origin, known_at: dt.datetime | None, also: Also | None
) -> tuple[PartitionVersion, bool]:
    content: dict[str, Any] = {name: value for name, value in validated.items() if name in partition_versions.c}
    arrived = dt.datetime.fromisoformat(validated["arrived"])
    content |= {
        "knowledge_column": dataset.knowledge.column,
        "knowledge": as_recorded(dataset.knowledge, known_at),
        "arrived_at": arrived,
    }
    for path in (validated["path"], validated["quarantine_path"]):
        if not storage.exists(path):
            raise DataError(
                f"{dataset.name} {partition}: {path} was validated and is gone: maintenance removes what waits too long to be published. "
                f"Run the ingestion again from its first task, fetch."
            )

    def within(connection: sa.Connection, current: PartitionVersion | None) -> None:
        refuse_stale_reads(connection, [dataset.name], arrived)
        released = document_digest(sorted(released_digests(connection, dataset.name, partition)))
        if validated.get("released", released) != released:
            raise OvertakenError(f"{dataset.name} {partition}: rows were released or erased since these were validated")
        if also:
            also(connection, current)

    version, is_new = publish_partition(
        dataset=dataset.name,
        partition=partition,
        content=content,
        known_at=lambda superseded: known_at or knowledge_time(dataset, _delivered(partition, validated, origin, superseded)),
        origin=origin,
        delivered_at=dt.datetime.fromisoformat(validated["began"]) if "began" in validated else None,
        also=within,
    )
    log.info(
        "%s %s: version %d %s, digest %s, known at %s UTC", dataset.name, partition, version.version,
        "published" if is_new else "is unchanged", version.digest[:12], f"{version.knowledge_time:%Y-%m-%d %H:%M}",
    )  # fmt: skip
    if not is_new:
        _warn_of_knowledge(dataset, version, known_at)
    return version, is_new


def _warn_of_knowledge(dataset: DatasetConfig, version: PartitionVersion, known_at: dt.datetime | None) -> None:
    """Unchanged content makes no version: say what of its knowledge is, or was asked, otherwise, and how to correct it."""
    name, known = f"{dataset.name} {version.partition}", f"{version.knowledge_time:%Y-%m-%d %H:%M} UTC"
    if known_at is not None and known_at != version.knowledge_time:
        log.warning(
            "%s: its content is unchanged, so the time that was given, %s UTC, does nothing: version %d stays known at %s. "
            "If that is wrong, correct it: %s", name, f"{known_at:%Y-%m-%d %H:%M}", version.version, known,
            correction_command(dataset.name, version.partition, version.partition, known_at),
        )  # fmt: skip
    elif why := why_other_than_declared(dataset, version):
        log.warning(
            "%s: version %d was recorded as known at %s: %s. Its content is unchanged, so that stays. If it was declared wrongly then, "
            "correct it: %s", name, version.version, known, why, correction_command(dataset.name, version.partition, version.partition),
        )  # fmt: skip


def ingest(
    dataset: DatasetConfig, partition: Partition, origin: Origin, *, known_at: dt.datetime | None = None
) -> tuple[PartitionVersion, bool]:
    """Fetch, validate and publish in this process; raises what the three do.

    :param dataset: as it is declared now
    :param partition: the partition's date
    :param origin: ``live`` or ``backfill``
    :param known_at: when a new version's content was known (UTC); None: as ``dataset.knowledge`` says
    :returns: the current version, and whether it is new
    """
    validated = validate_partition(dataset, partition, fetch(dataset, partition), origin)
    return publish(dataset, partition, validated, origin, known_at=known_at)


def _began(delivery: Fetched) -> dt.datetime:
    return dt.datetime.fromisoformat(delivery.get("began", delivery["arrived"]))


def _fetched(validated: Validated) -> Fetched:
    """What was validated, as it was fetched."""
    return {
        "path": validated["raw_path"],
        "digest": validated["raw_digest"],
        "rows": validated["source_rows"],
        "began": validated.get("began", validated["arrived"]),
        "arrived": validated["arrived"],
        "undeclared": validated.get("undeclared", []),
    }


def _delivered(partition: Partition, validated: Validated, origin: Origin, superseded: PartitionVersion | None) -> DeliveredVersion:
    first, last = (dt.datetime.fromisoformat(moment) if moment else None for moment in (validated["known_first"], validated["known_last"]))
    arrived = dt.datetime.fromisoformat(validated["arrived"])
    return DeliveredVersion(partition, origin, arrived, superseded is not None, first, last)


def keep_accepted(dataset: DatasetConfig, partition: Partition, rows: Rows) -> dict[str, Any]:
    """Write the accepted rows in the order of their keys.

    :param dataset: whose rows they are
    :param partition: the partition's date
    :param rows: gives the accepted rows as often as it is asked
    :returns: the part of `Validated` that is about them
    """
    known: list[pa.Scalar] = []
    with RowWriter(arrow_schema(dataset)) as accepted:
        write_in_order(accepted, partial(_noting, rows, dataset.knowledge.column, known), dataset.keys)
        digest, count = accepted.digest(), accepted.rows
        path = f"datasets/{dataset.name}/{partition}/{digest[:16]}.parquet"
        accepted.keep(path)
    moments = [scalar.as_py() for scalar in known]
    return {
        "digest": digest,
        "path": path,
        "rows": count,
        "known_first": min(moments).isoformat() if moments else None,
        "known_last": max(moments).isoformat() if moments else None,
    }


def _noting(rows: Rows, column: str | None, known: list[pa.Scalar], columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """The rows as they come; the extremes of the knowledge column are added to ``known`` as they pass."""
    import pyarrow.compute as pc

    for batch in rows(columns):
        if column in batch.schema.names and batch.num_rows:
            known += pc.min_max(batch.column(column)).values()
        yield batch


def _accepted(raw: Path, validation: Validation, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """The rows that fail nothing."""
    import pyarrow as pa

    first = 0
    for batch in read_batches(raw, columns):
        failing = validation.failing[slice(*np.searchsorted(validation.failing, [first, first + batch.num_rows]))] - first
        first += batch.num_rows
        if len(failing):
            kept = np.ones(batch.num_rows, dtype=bool)
            kept[failing] = False
            batch = batch.filter(pa.array(kept))  # noqa: PLW2901
        yield batch


def _quarantined(raw: Path, validation: Validation) -> pa.Table:
    """The rows that fail, with every reason."""
    import pyarrow as pa

    return rows_at(raw, validation.failing).append_column(REASON_COLUMN, pa.array(validation.reasons(), pa.string()))


def keep_quarantined(dataset: DatasetConfig, partition: Partition, table: pa.Table) -> dict[str, Any]:
    """Write quarantined rows in an order that depends on nothing but the rows.

    :param dataset: whose rows they are
    :param partition: the partition's date
    :param table: the rows with their reasons, in `REASON_COLUMN`
    :returns: the part of `Validated` that is about them
    """
    with RowWriter(table.schema) as quarantined:
        write_in_order(quarantined, lambda _: iter(table.to_batches()), table.column_names)
        digest = quarantined.digest()
        path = f"quarantine/{dataset.name}/{partition}/{digest[:16]}.parquet"
        quarantined.keep(path)
    return {"quarantine_digest": digest, "quarantine_path": path, "quarantined": table.num_rows}


def _places(places: list[str]) -> str:
    shown = ", ".join(places[:3])
    return f"{shown} and {len(places) - 3} more" if len(places) > 3 else shown
