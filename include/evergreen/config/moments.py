"""Moments that are told from a partition: when its rows are known, when they are scored."""

from __future__ import annotations

import datetime as dt

from pydantic import Field, model_validator

from include.evergreen.config.base import Strict
from include.evergreen.config.calendar import Calendar
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.span import Span


class AfterPartition(Strict):
    """A moment, told from the beginning of a partition, or from its end."""

    hours_after_partition: float | None = Field(
        default=None, description="Hours from the partition's beginning, its midnight where it is a day; negative means before."
    )
    hours_after_end: float | None = Field(
        default=None,
        description="Instead: hours from the partition's end, for partitions that are not all of one length, such as months, or days of a "
        "time zone with summer time.",
    )

    @model_validator(mode="after")
    def _is_told_once(self) -> AfterPartition:
        if (self.hours_after_partition is None) == (self.hours_after_end is None):
            raise ValueError("give exactly one of hours_after_partition and hours_after_end")
        return self

    def moment(self, grain: Grain, partition: Partition) -> dt.datetime:
        """Tell when the moment of a partition is.

        :param grain: that of the partition
        :param partition: its key
        :returns: the moment, aware and in UTC
        """
        if self.hours_after_end is not None:
            return grain.end(partition) + dt.timedelta(hours=self.hours_after_end)
        assert self.hours_after_partition is not None
        return grain.start(partition) + dt.timedelta(hours=self.hours_after_partition)

    def text(self, grain: Grain, whose: str = "its") -> str:
        """Say when the moment is, for a message.

        :param grain: that of the partitions
        :param whose: ``its``, or ``their``
        :returns: such as ``24 hours after its day begins``, or ``when its day begins``
        """
        hours, then = self.hours_after_partition, f"{whose} {grain.noun} begins"
        if hours is None:
            hours, then = self.hours_after_end, f"{whose} {grain.noun} ends"
        return f"{hours:g} hours after {then}" if hours else f"when {then}"


class ScoringMoment(AfterPartition):
    """When a partition is scored, and as of when each of its rows: of that moment, or of the row's own time."""

    column: str | None = Field(
        default=None,
        min_length=1,
        description="A timestamp column of the rows, which is each row's own time: its features see what was known then. The hours then "
        "say when the rows of a partition are there, which is after its end.",
    )

    def moments(self, rows: Grain, partition: Partition) -> tuple[dt.datetime, dt.datetime]:
        """Tell as of when the rows of a partition are scored.

        :param rows: the grain of the rows
        :param partition: a key of it
        :returns: the first and the last moment: the scoring moment for both, or, where rows have their own times, the partition's first
            microsecond and its last
        """
        if self.column is None:
            moment = self.moment(rows, partition)
            return moment, moment
        return rows.start(partition), rows.end(partition) - dt.timedelta.resolution

    def newest_reads(self, rows: Grain, partition: Partition, calendar: Calendar, lag: Span) -> list[Partition]:
        """List the partitions of an input that are the newest to be read for the rows of a partition.

        :param rows: the grain of the rows
        :param partition: a key of it, which is scored
        :param calendar: of the input
        :param lag: of the input
        :returns: keys of the input, oldest first: one, that in which the scored partition begins, less the lag; where rows have their own
            times, those in which any of them may be, less the lag, as far as the input's schedule makes them
        """
        grain = calendar.grain
        if self.column is None:
            return [calendar.minus(grain.at(rows.start(partition)), lag)]
        first, last = self.moments(rows, partition)
        newest = list(dict.fromkeys(calendar.minus(each, lag) for each in grain.between(grain.at(first), grain.at(last))))
        return [each for each in newest if calendar.cron is None or calendar.made(each, each)] or newest[-1:]

    def scored_by(self, rows: Grain, calendar: Calendar, published: Partition, lag: Span) -> list[Partition]:
        """List the partitions of rows for which a partition of an input is among `newest_reads`.

        :param rows: the grain of the rows
        :param calendar: of the input
        :param published: a key of the input
        :param lag: of the input
        :returns: keys of the rows' grain, oldest first
        """
        if self.column is None:
            return calendar.read_by(rows, published, lag)
        grain = calendar.grain
        first, last = calendar.plus(published, lag), calendar.plus(published, lag)
        if calendar.cron is not None and lag.unit == "partition" and lag:  # also those between two that are made
            first = grain.shift(calendar.plus(published, Span(lag.amount - 1, "partition")), 1)
        found = rows.between(rows.at(grain.start(first)), rows.at(grain.end(last) - dt.timedelta.resolution))
        return [each for each in found if published in self.newest_reads(rows, each, calendar, lag)]


WHEN_IT_BEGINS = ScoringMoment(hours_after_partition=0)
