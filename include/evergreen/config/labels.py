"""Where labels stand: which partitions of the target's dataset may hold those of a partition's rows, and which of them must be there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from include.evergreen.config.calendar import DAYS, Calendar
from include.evergreen.config.schedule import PartitionSchedule
from include.evergreen.foundation.grain import DAILY, Grain, Partition
from include.evergreen.foundation.span import NO_SPAN, Span


@dataclass(frozen=True)
class LabelSource:
    """The dataset of a model's labels, and how long after a row's own partition its label may still come.

    ``calendar`` is that of this dataset, ``rows_grain`` that of the rows.

    Whatever asks which partitions hold the labels of a partition, or of which partitions a label may speak, asks here.
    """

    dataset: str
    within: Span = NO_SPAN
    rows_grain: Grain = DAILY
    calendar: Calendar = DAYS

    @property
    def grain(self) -> Grain:
        """That of this dataset."""
        return self.calendar.grain

    @property
    def is_spread(self) -> bool:
        """Whether the labels of one partition's rows may stand in several partitions."""
        return bool(self.within) or self.grain != self.rows_grain

    def partitions(self, partition: Partition) -> tuple[Partition, Partition]:
        """Say where the labels of a partition's rows may stand.

        :param partition: the partition of the rows
        :returns: the first and the last partition of the dataset, both included
        """
        if self.grain == self.rows_grain:
            return partition, self.calendar.plus(partition, self.within)
        within = self.grain.at(self.rows_grain.end(partition) - dt.timedelta.resolution)
        return self.grain.at(self.rows_grain.start(partition)), self.calendar.plus(within, self.within)

    def rows(self, published: Partition) -> tuple[Partition, Partition]:
        """Say of whose rows a partition of the dataset may hold labels: the reverse of `partitions`.

        :param published: the partition of the dataset
        :returns: the first and the last partition of rows, both included
        """
        earliest = self.calendar.minus(published, self.within)
        if self.grain == self.rows_grain:
            return earliest, published
        return self.rows_grain.at(self.grain.start(earliest)), self.rows_grain.at(self.grain.end(published) - dt.timedelta.resolution)

    def missing(self, partition: Partition, there: Collection[Partition], schedule: PartitionSchedule | None) -> list[Partition]:
        """List what must still come before the labels of a partition's rows are mature.

        Days on which the dataset never has a partition are not waited for. One that should be there and is not is waited for, however
        long that takes: nobody knows what stands in it.

        :param partition: the partition of the rows
        :param there: the partitions of the dataset that are there
        :param schedule: the dataset's; None: not asked for, as labels stand in the row's own partition
        :returns: partitions of the dataset, oldest first; empty when all are there. Never empty when none is
        """
        first, last = self.partitions(partition)
        if not self.is_spread:
            return [] if first in there else [first]
        assert schedule is not None
        wanted = [day for day in schedule.partitions(first, last) if day not in there]
        return wanted if wanted or any(first <= day <= last for day in there) else [last]
