"""Ingestion in three steps that can each be repeated: fetch, validate, publish.

Every file that a step writes is named by its content, so a step that is killed and run again writes the same file, and
nothing is current before `publish` commits it.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from include.evergreen import clock, storage
from include.evergreen.config import DatasetConfig
from include.evergreen.partitions import PartitionVersion, publish_partition
from include.evergreen.partitions.digest import frame_digest
from include.evergreen.sources import source_of
from include.evergreen.validation import record_validation, validate
from include.evergreen.validation.validate import stop_error

if TYPE_CHECKING:
    import pandas as pd

Origin = Literal["live", "backfill"]
log = logging.getLogger(__name__)


class Fetched(TypedDict):
    """Where a partition's raw rows lie."""

    path: str
    digest: str
    rows: int


class Validated(TypedDict):
    """Where a partition's accepted and quarantined rows lie, and how many there are."""

    digest: str
    path: str
    rows: int
    quarantine_digest: str
    quarantine_path: str
    quarantined: int
    source_rows: int


def fetch(dataset: DatasetConfig, partition: dt.date) -> Fetched:
    """Read the partition at its source and keep its rows, typed but unjudged."""
    raw = source_of(dataset).read(partition)
    digest = frame_digest(raw)
    path = f"raw/{dataset.name}/{partition}/{digest[:16]}.parquet"
    storage.write_frame(path, raw)
    log.info("%s %s: fetched %d rows with %d columns", dataset.name, partition, len(raw), raw.shape[1])
    return {"path": path, "digest": digest, "rows": len(raw)}


def validate_partition(dataset: DatasetConfig, partition: dt.date, fetched: Fetched) -> Validated:
    """Judge the fetched rows, record the result, and keep accepted and quarantined rows apart.

    Raises `DataError` when the partition is stopped; what was published before stays current.
    """
    validation = validate(dataset, storage.read_frame(fetched["path"]))
    record_validation(dataset.name, partition, fetched["digest"], validation.summary())
    for check in validation.checks:
        if not check.passed:
            log.warning("%s %s: on_fail %s: %s", dataset.name, partition, check.on_fail, check.words)
    log.info(
        "%s %s: %s; %d rows accepted, %d quarantined; %s",
        dataset.name, partition, validation.verdict, len(validation.accepted), len(validation.quarantined), validation.reason,
    )  # fmt: skip
    if validation.verdict == "stopped":
        raise stop_error(dataset, partition, validation)
    digest = frame_digest(validation.accepted, dataset.keys)
    quarantine_digest = frame_digest(validation.quarantined, list(validation.quarantined.columns))
    result: Validated = {
        "digest": digest,
        "path": f"datasets/{dataset.name}/{partition}/{digest[:16]}.parquet",
        "rows": len(validation.accepted),
        "quarantine_digest": quarantine_digest,
        "quarantine_path": f"quarantine/{dataset.name}/{partition}/{quarantine_digest[:16]}.parquet",
        "quarantined": len(validation.quarantined),
        "source_rows": fetched["rows"],
    }
    storage.write_frame(result["path"], _in_order(validation.accepted, dataset.keys))
    storage.write_frame(result["quarantine_path"], validation.quarantined)
    return result


def publish(dataset: DatasetConfig, partition: dt.date, validated: Validated, origin: Origin) -> tuple[PartitionVersion, bool]:
    """Make the validated rows the partition's current version; also say whether its content is new."""
    known = clock.moment(partition) + dt.timedelta(hours=dataset.knowledge.hours_after_partition)
    content: dict[str, Any] = dict(validated)
    version, is_new = publish_partition(dataset=dataset.name, partition=partition, content=content, knowledge_time=known, origin=origin)
    log.info(
        "%s %s: version %d %s, digest %s", dataset.name, partition, version.version,
        "published" if is_new else "stands already, its content unchanged", version.digest[:12],
    )  # fmt: skip
    return version, is_new


def ingest(dataset: DatasetConfig, partition: dt.date, origin: Origin) -> tuple[PartitionVersion, bool]:
    """Fetch, validate and publish in this process."""
    return publish(dataset, partition, validate_partition(dataset, partition, fetch(dataset, partition)), origin)


def _in_order(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The order that the digest is blind to: were it kept, the same digest could give other sums, to the last bit."""
    return rows.sort_values(list(keys), kind="stable", ignore_index=True) if keys else rows
