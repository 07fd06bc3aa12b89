"""Partitions: what was ingested, in which versions, and what of it was known when."""

from include.evergreen.data.partitions.store import (
    Also,
    PartitionVersion,
    current_partition,
    current_partitions,
    known_partitions,
    known_versions,
    publish_partition,
    read_partition,
)

__all__ = [
    "Also",
    "PartitionVersion",
    "current_partition",
    "current_partitions",
    "known_partitions",
    "known_versions",
    "publish_partition",
    "read_partition",
]
