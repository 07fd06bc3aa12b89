"""The volume check: a partition's row count against that of earlier partitions."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import sqlalchemy as sa

from include.evergreen.config.calendar import Calendar
from include.evergreen.config.datasets import Volume
from include.evergreen.data.validation.checks import CheckResult, Usual
from include.evergreen.foundation.grain import Partition
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import partition_versions

COMPARED_PARTITIONS = 30


@dataclass(frozen=True)
class Neighbour:
    """The current version of an earlier partition, in numbers of rows."""

    partition: Partition
    delivered: int
    quarantined: int


def earlier_partitions(dataset: str, before: Partition, limit: int) -> list[Neighbour]:
    """Count the rows of the newest partitions before a day.

    :param dataset: name of the dataset
    :param before: the day, exclusive
    :param limit: the most partitions
    :returns: the numbers of each partition's current version, newest partition first
    """
    table = partition_versions
    newest = (
        sa.select(table.c.partition, sa.func.max(table.c.version).label("version"))
        .where(table.c.dataset == dataset, table.c.partition < before)
        .group_by(table.c.partition)
        .order_by(table.c.partition.desc())
        .limit(limit)
        .subquery()
    )
    query = (
        sa.select(table.c.partition, table.c.source_rows, table.c.quarantined)
        .join(newest, (newest.c.partition == table.c.partition) & (newest.c.version == table.c.version))
        .where(table.c.dataset == dataset)
        .order_by(table.c.partition.desc())
    )
    with reading() as connection:
        return [Neighbour(*row) for row in connection.execute(query)]


def usual_rows(earlier: list[Neighbour]) -> Usual | None:
    """Take the medians of the newest `COMPARED_PARTITIONS`.

    :param earlier: newest partition first
    :returns: the medians; None when there is nothing to compare with
    """
    compared = earlier[:COMPARED_PARTITIONS]
    if not compared:
        return None
    return Usual(len(compared), median(day.delivered for day in compared), median(day.quarantined for day in compared))


def volume_check(volume: Volume, rows: int, earlier: list[Neighbour], calendar: Calendar, partition: Partition) -> CheckResult:
    """Check the number of delivered rows against the median of the partitions before.

    :param volume: how many partitions it is compared with, and how far the number may be from their median
    :param rows: how many were delivered, those that fail other checks included
    :param earlier: newest partition first
    :param calendar: that of the dataset
    :param partition: the one that was delivered
    :returns: the result; not evaluated with fewer than ``min_history``
    """
    first, wanted = calendar.minus(partition, volume.window), calendar.count_before(partition, volume.min_history)
    window = [one for one in earlier if one.partition >= first]
    arguments = {"at_least": volume.at_least, "at_most": volume.at_most, "window": str(volume.window)}
    if len(window) < wanted:
        message = f"{len(window)} earlier partitions are there to compare with, and min_history is {volume.min_history}"
        return CheckResult("volume", arguments, volume.on_fail, "not_evaluated", observed=message)
    usual = median(day.delivered for day in window)
    share = f", {rows / usual:.2f} times it" if usual else ""
    sound = volume.at_least * usual <= rows <= volume.at_most * usual
    message = f"{rows} rows; the median of the {len(window)} partitions before is {usual:g}{share}"
    return CheckResult("volume", arguments, volume.on_fail, "passed" if sound else "failed", observed=message)
