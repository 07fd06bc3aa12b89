"""Partitions: what was ingested, in which versions, and when each became known."""

from include.evergreen.data.partitions.store import (
    Also,
    OlderDeliveryError,
    current_partition,
    current_partitions,
    known_partitions,
    known_versions,
    newest_known,
    publish_partition,
    read_partition,
)
from include.evergreen.data.partitions.version import PartitionVersion

__all__ = [
    "Also",
    "OlderDeliveryError",
    "PartitionVersion",
    "current_partition",
    "current_partitions",
    "known_partitions",
    "known_versions",
    "newest_known",
    "publish_partition",
    "read_partition",
]
