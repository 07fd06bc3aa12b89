"""Calendars: which partitions a schedule makes, and what lies a span before or after one of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, pairwise
from zoneinfo import ZoneInfo

from include.evergreen.foundation.grain import DAILY, Grain, Partition, starting_within
from include.evergreen.foundation.numbering import IN_UTC, is_cron, times_of_day
from include.evergreen.foundation.span import Span

_TIMES = 64  # of a cron expression that are looked at: more than two days of half-hours, two months of days, years of the rest
_ANY_DAY = ("*", "*", "*")  # day of month, month and day of week
_LOT = 64  # partitions of a grain that are looked through together for those that are made


@dataclass(frozen=True)
class Calendar:
    """The partitions of a grain in which a cron expression has a time; without one, all of them.

    Time is counted in partitions of the grain, whether or not they are made; ``4 partitions`` are four that are made.

    :param grain: how long the partitions are, and in whose time
    :param cron: the expression, in the time zone of the grain; None: one for each partition of the grain
    """

    grain: Grain = DAILY
    cron: str | None = None

    def made(self, first: Partition, last: Partition) -> list[Partition]:
        """List the partitions of a range that are made.

        :param first: the first one, included
        :param last: the last one, included
        :returns: the partitions, oldest first
        """
        partitions = self.grain.between(first, last)
        return partitions if self.cron is None else [partition for partition in partitions if _makes(self.cron, self.grain, partition)]

    def minus(self, partition: Partition, span: Span) -> Partition:
        """Name the partition that is a span earlier.

        :param partition: a key of the grain
        :param span: how much earlier; of partitions, as many that are made
        :returns: its key
        """
        return _moved(self, partition, span, -1)

    def plus(self, partition: Partition, span: Span) -> Partition:
        """Name the partition that is a span later.

        :param partition: a key of the grain
        :param span: how much later; of partitions, as many that are made
        :returns: its key
        """
        return _moved(self, partition, span, 1)

    def first_of(self, last: Partition, span: Span) -> Partition:
        """Name the first partition of a window.

        :param last: the last partition of the window, included
        :param span: how long the window is
        :returns: the key of its first
        """
        return self.minus(self.grain.shift(last, 1), span)

    def before(self, end: Partition, span: Span) -> list[Partition]:
        """List the partitions of a window that ends before a partition.

        :param end: the partition before which the window ends
        :param span: how long the window is
        :returns: those that are made, oldest first
        """
        return self.made(self.minus(end, span), self.grain.shift(end, -1))

    def count_before(self, end: Partition, span: Span) -> int:
        """Count the partitions that are made in a window which ends before a partition.

        :param end: the partition before which the window ends
        :param span: how long the window is
        :returns: the number of partitions that `before` lists
        """
        return self.count(span) if self.cron is None or span.unit == "partition" else len(self.before(end, span))

    def count(self, span: Span) -> int:
        """Count the partitions of a span, wherever it is: of time, those that there are at most.

        :param span: how long it is
        :returns: the number of partitions of the grain, or of those that are made
        """
        return self.grain.partitions_in(span)

    def read_by(self, rows: Grain, published: Partition, lag: Span) -> list[Partition]:
        """List the partitions of rows whose newest partition of this calendar is a given one.

        :param rows: the grain of the rows
        :param published: a key of this calendar's grain
        :param lag: how much earlier than the one in which the rows begin is the one that is read
        :returns: keys of the rows' grain, oldest first
        """
        last = self.plus(published, lag)
        first = last
        if self.cron is not None and lag.unit == "partition" and lag:  # also those between two that are made
            first = self.grain.shift(self.plus(published, Span(lag.amount - 1, "partition")), 1)
        return [partition for own in self.grain.between(first, last) for partition in starting_within(rows, self.grain, own)]


DAYS = Calendar()


def calendar_of(grain: Grain, cron: str) -> Calendar:
    """Make the calendar of a schedule.

    :param grain: that of the partitions
    :param cron: a sound expression
    :returns: the calendar, without an expression where it makes a partition of each of the grain
    """
    return Calendar(grain, None if _makes_all(cron, grain) else cron)


@lru_cache(maxsize=1024)
def times_of(cron: str, timezone: str) -> tuple[dt.datetime, ...]:
    """Compute the times of two days, and of each day on which an expression comes round for some years, as far as they are few.

    :param cron: a sound expression
    :param timezone: IANA zone in which it is read
    :returns: the times from 2013 on, in that zone
    """
    from croniter import croniter  # 40 ms that only who asks need pay

    found, times = [], croniter(cron, dt.datetime(2013, 1, 1, tzinfo=ZoneInfo(timezone)) - dt.timedelta(seconds=1))
    for _ in range(_TIMES):
        found.append(times.get_next(dt.datetime))
    return tuple(found)


@lru_cache(maxsize=1024)
def _makes_all(cron: str, grain: Grain) -> bool:
    fields = tuple(cron.split())
    if grain.unit == "day":
        return cron == "@daily" or fields[2:] == _ANY_DAY
    numbers = [grain.number(grain.at(moment)) for moment in times_of(cron, grain.timezone)]
    if any(later - earlier != 1 for earlier, later in pairwise(numbers)):
        return False
    if cron.startswith("@") or grain.unit in ("month", "quarter", "year"):  # the times are those of years
        return True
    if is_cron(grain.unit):
        return fields[2:] == tuple(grain.unit.split()[2:]) and len(times_of_day(cron)) == len(times_of_day(grain.unit))
    if grain.is_of_days:
        return set(fields[2:4]) == {"*"}
    return fields[2:] == _ANY_DAY and (grain.unit not in IN_UTC or fields[1] == "*")


@lru_cache(maxsize=4096)  # a training asks of each partition again for all those whose labels may stand in it
def _makes(cron: str, grain: Grain, partition: Partition) -> bool:
    from croniter import croniter  # 40 ms that only who asks need pay

    before = (grain.start(partition) - dt.timedelta(seconds=1)).astimezone(ZoneInfo(grain.timezone))
    moment: dt.datetime = croniter(cron, before).get_next(dt.datetime)
    return moment < grain.end(partition)


@lru_cache(maxsize=65_536)  # as above
def _moved(calendar: Calendar, partition: Partition, span: Span, direction: int) -> Partition:
    grain, left = calendar.grain, span.amount
    if span.unit != "partition" or calendar.cron is None or not left:
        return grain.shift(partition, direction * grain.partitions_in(span))
    for lot in count():
        begin, end = sorted((grain.shift(partition, direction * (1 + lot * _LOT)), grain.shift(partition, direction * (lot + 1) * _LOT)))
        made = calendar.made(begin, end)[::direction]
        if len(made) >= left:
            return made[left - 1]
        left -= len(made)
    raise AssertionError("unreachable: a sound expression comes round")
