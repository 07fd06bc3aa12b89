"""One version of one partition, as it is recorded."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from include.evergreen.foundation.grain import Partition


@dataclass(frozen=True)
class PartitionVersion:
    """One validated content of one partition, as ``partition_versions`` records it; the columns are explained there."""

    dataset: str
    partition: Partition
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
    arrived_at: dt.datetime | None = None
    knowledge: dict[str, Any] | None = field(default=None, compare=False)
    delivered_at: dt.datetime | None = field(default=None, compare=False)  # moves on with each delivery of the same content
    entry: int | None = field(default=None, compare=False)
