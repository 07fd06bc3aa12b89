"""When a version of a partition was known: by what dataset.yaml declares, or by what a person gave."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

from include.evergreen.config import DatasetConfig
from include.evergreen.config.datasets import Knowledge
from include.evergreen.config.moments import AfterPartition
from include.evergreen.data.partitions import PartitionVersion
from include.evergreen.foundation.grain import Grain, Partition

GIVEN = "known_at"  # in a version's `knowledge`, beside the declaration: that a person gave the time


@dataclass(frozen=True)
class DeliveredVersion:
    """What decides, besides the declaration, when a version was known.

    ``first_row`` and ``last_row`` are the extremes of the knowledge column, if there is one; ``origin`` is ``live`` or ``backfill``.
    """

    partition: Partition
    origin: str
    arrived: dt.datetime
    is_correction: bool
    first_row: dt.datetime | None = None
    last_row: dt.datetime | None = None


def knowledge_time(dataset: DatasetConfig, version: DeliveredVersion) -> dt.datetime:
    """Tell when a version could first have been known.

    With a knowledge column a first version is known with its first row (reads leave later rows out), and a correction
    with its last: before that, what it corrects is what was known. A backfill from a source that has the table of now alone is known when
    it arrives.

    :param dataset: which declares its knowledge
    :param version: what is known of it
    :returns: the time in UTC
    """
    declared, rule = dataset.knowledge, dataset.known_from(version.partition)
    if declared.column is not None:
        return (version.last_row if version.is_correction else version.first_row) or rule
    by = declared.corrections if version.is_correction else declared.first
    if by == "rule" or (version.origin == "backfill" and not dataset.has_no_past):
        return rule
    return max(rule, version.arrived)


def as_recorded(declared: Knowledge, known_at: dt.datetime | None) -> dict[str, Any]:
    """Say by what a version's knowledge time is computed, as the version keeps it.

    :param declared: ``knowledge`` of its dataset.yaml
    :param known_at: the time (UTC) that a person gave; None when none was given
    :returns: a JSON document: the declaration, and with `GIVEN` that time, if there is one
    """
    kept = declared.model_dump(mode="json")
    unsaid = {name for name in AfterPartition.model_fields if kept[name] is None}
    return {**{name: value for name, value in kept.items() if name not in unsaid}, **({GIVEN: known_at.isoformat()} if known_at else {})}


def why_other_than_declared(dataset: DatasetConfig, version: PartitionVersion) -> str:
    """Say how a version's knowledge is recorded otherwise than dataset.yaml declares it now.

    :param dataset: as it is declared now
    :param version: one of its partitions'
    :returns: the difference, for a message; empty when there is none, or when a person gave the time of all its rows
    """
    declared = dataset.knowledge
    if version.knowledge_column != declared.column:
        return f"by the column {version.knowledge_column}, and dataset.yaml declares {declared.column or 'no column'}"
    if version.knowledge is not None:
        recorded = {name: value for name, value in version.knowledge.items() if name != GIVEN}
        now = as_recorded(declared, None)
        differ = [name for name in {**recorded, **now} if recorded.get(name) != now.get(name)]
        if not differ or (GIVEN in version.knowledge and declared.column is None):
            return ""
        return ", ".join(f"by {name} {recorded.get(name)}, and dataset.yaml declares {now.get(name)}" for name in differ)
    if declared.column or _is_possible(declared, dataset.grain, version):
        return ""
    return f"at {version.knowledge_time:%Y-%m-%d %H:%M} UTC, and not by the rule that dataset.yaml declares"


def correction_command(dataset: str, first: Partition, last: Partition, known_at: dt.datetime | None = None) -> str:
    """Write the command that corrects when partitions were known, for a message.

    :param dataset: name of the dataset
    :param first: the first partition, inclusive
    :param last: the last partition, inclusive
    :param known_at: since when (UTC) the current version of the one partition was known; None: as dataset.yaml declares
    :returns: the command, to be given a reason
    """
    given = ""
    if known_at:
        is_midnight = known_at.time() == dt.time()
        given = f" --known-at {known_at.date() if is_midnight else known_at.isoformat()}"
    return f'evergreen correct-knowledge {dataset} --from {first} --to {last}{given} --reason "..."'


def _is_possible(declared: Knowledge, grain: Grain, version: PartitionVersion) -> bool:
    """Whether a version of an earlier release, which kept no declaration, may have been recorded under this one."""
    rule = declared.moment(grain, version.partition)
    by: Literal["rule", "arrival"] = declared.corrections if version.version > 1 else declared.first
    if version.origin == "backfill" or by == "rule":
        return version.knowledge_time == rule
    return version.knowledge_time == rule or rule <= version.knowledge_time <= version.recorded_at
