"""Numberings: the partitions of a grain by the clock of its zone, counted without a gap. Only `Grain` asks them."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any, Protocol

from include.evergreen.foundation.span import MINUTES, MONTHS, Span, SpanUnit

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOURS = (2, 3, 4, 6, 8, 12)  # by which a day can be divided
_EPOCH = dt.datetime(1970, 1, 1)
_EPOCH_WEEK = dt.date(1970, 1, 5).toordinal()  # a Monday
_DAY = MINUTES["day"]
_CYCLE = 400  # years after which the calendar is the same, weekdays included
_CYCLE_DAYS = 146_097
_TRIED = (dt.date(2000, 1, 1).toordinal(), dt.date(2028, 1, 1).toordinal())  # 28 years: each weekday of each date


class Numbering(Protocol):
    """How the partitions of one unit follow each other. Times are those that the clock shows, without a zone.

    ``noun`` is what people call a partition. If it ``is_of_days``, all begin at midnight and have dates as keys. ``key_format`` is for
    ``strftime``; it writes a key from any time that differs from the partition's beginning in what it leaves out alone.
    """

    @property
    def noun(self) -> str:
        """A word for a partition."""

    @property
    def is_of_days(self) -> bool:
        """Whether keys are dates."""

    @property
    def key_format(self) -> str:
        """Of a key, without its zone."""

    def number(self, time: dt.datetime) -> int:
        """Number the partition that a time is in.

        :param time: by the clock
        :returns: its number
        """

    def begins(self, number: int) -> dt.datetime:
        """Say when a partition begins.

        :param number: of the partition
        :returns: the time, by the clock
        """

    def counted(self, span: Span) -> tuple[int, bool]:
        """Count the partitions that a span stands for.

        :param span: of time
        :returns: how many are begun in it, and whether it is a whole number of them, wherever it begins
        """

    def span(self, partitions: int) -> Span:
        """Say how long so many partitions are.

        :param partitions: number of partitions
        :returns: a span which is a whole number of them: just these
        """


@dataclass(frozen=True)
class _Minutes:
    """Partitions of so many minutes, by which a day can be divided."""

    length: int
    is_of_days = False

    @property
    def noun(self) -> str:
        hours = self.length // 60
        return "hour" if hours == 1 else f"{hours}-hour period" if hours else f"{self.length}-minute period"

    @property
    def key_format(self) -> str:
        return "%Y-%m-%dT%H%M" if self.length < 60 else "%Y-%m-%dT%H00"

    def number(self, time: dt.datetime) -> int:
        return (time - _EPOCH) // dt.timedelta(minutes=self.length)

    def begins(self, number: int) -> dt.datetime:
        return _EPOCH + number * dt.timedelta(minutes=self.length)

    def counted(self, span: Span) -> tuple[int, bool]:
        minutes = span.amount * MINUTES[span.unit]
        return -(-minutes // self.length), span.unit not in MONTHS and minutes % self.length == 0

    def span(self, partitions: int) -> Span:
        minutes = partitions * self.length
        units: tuple[SpanUnit, ...] = ("day", "hour", "minute")
        unit = next(unit for unit in units if minutes % MINUTES[unit] == 0 and (minutes or unit == "hour"))
        return Span(minutes // MINUTES[unit], unit)


@dataclass(frozen=True)
class _Days:
    """Days, or weeks; ``first`` is the ordinal of the first day of one."""

    noun: SpanUnit
    first: int
    is_of_days, key_format = True, "%Y-%m-%d"

    @property
    def length(self) -> int:
        return MINUTES[self.noun] // _DAY

    def number(self, time: dt.datetime) -> int:
        return (time.toordinal() - self.first) // self.length

    def begins(self, number: int) -> dt.datetime:
        return _midnight(number * self.length + self.first)

    def counted(self, span: Span) -> tuple[int, bool]:
        minutes, length = span.amount * MINUTES[span.unit], self.length * _DAY
        return -(-minutes // length), span.unit in ("day", "week") and minutes % length == 0

    def span(self, partitions: int) -> Span:
        return Span(partitions, self.noun)


@dataclass(frozen=True)
class _Months:
    """Months, quarters and years."""

    noun: SpanUnit
    key_format: str
    is_of_days = True

    @property
    def months(self) -> int:
        return MONTHS[self.noun]

    def number(self, time: dt.datetime) -> int:
        return (time.year * 12 + time.month - 1) // self.months

    def begins(self, number: int) -> dt.datetime:
        year, month = divmod(number * self.months, 12)
        return dt.datetime(year, month + 1, 1)

    def counted(self, span: Span) -> tuple[int, bool]:
        if span.unit in MONTHS:
            months = span.amount * MONTHS[span.unit]
            return -(-months // self.months), months % self.months == 0
        return -(-span.amount * MINUTES[span.unit] // MINUTES[self.noun]), False

    def span(self, partitions: int) -> Span:
        return Span(partitions, self.noun)


@dataclass(frozen=True)
class _CronTimes:
    """Partitions of which each lasts from one time of a cron expression to the next: the same times on each day that it names."""

    cron: str
    noun = "period"

    @cached_property
    def times(self) -> list[int]:
        """List the times of each named day.

        :returns: minutes from midnight, ascending
        """
        minutes, hours = (range(most) if field == ["*"] else field for field, most in zip(self._fields, (60, 24), strict=False))
        return sorted(60 * hour + minute for hour in hours for minute in minutes)

    @property
    def is_of_days(self) -> bool:
        return self.times == [0]

    @property
    def key_format(self) -> str:
        if self.is_of_days:
            return "%Y-%m-%d"
        minutes = {time % 60 for time in self.times}
        return f"%Y-%m-%dT%H{minutes.pop():02}" if len(minutes) == 1 else "%Y-%m-%dT%H%M"

    @property
    def is_of_each_day(self) -> bool:
        """Whether no day is left out."""
        return self._fields[2:] == [["*"], ["*"], ["*"]]

    def number(self, time: dt.datetime) -> int:
        place, is_named = self._place(time.toordinal())
        times = bisect_right(self.times, 60 * time.hour + time.minute) if is_named else 0
        return place * len(self.times) + times - 1

    def begins(self, number: int) -> dt.datetime:
        place, time = divmod(number, len(self.times))
        before, of_years = self._calendar
        cycle, place = divmod(place, before[-1])
        year = bisect_right(before, place) - 1
        day = of_years[year][place - before[year]]
        return _midnight(dt.date(cycle * _CYCLE + year + 1, 1, 1).toordinal() + day) + dt.timedelta(minutes=self.times[time])

    def counted(self, span: Span) -> tuple[int, bool]:
        if (whole := _whole(self, span)) is not None:
            return whole, True
        of_cycle = self._calendar[0][-1] * len(self.times)
        if span.unit in MONTHS:
            return -(-span.amount * MONTHS[span.unit] * of_cycle // (_CYCLE * 12)), False
        return -(-span.amount * MINUTES[span.unit] * of_cycle // (_CYCLE_DAYS * _DAY)), False

    def span(self, partitions: int) -> Span:
        return Span(partitions, "partition")

    def whole(self, span: Span) -> int | None:
        """Count the partitions that are as long as a span wherever it begins.

        :param span: of time
        :returns: their number; None: not always as many, or not just as long
        """
        if span.unit in MONTHS:
            of_days = self._moved({day: _months_later(day, span.amount * MONTHS[span.unit]) for day in self._days_tried})
            return None if of_days is None else of_days * len(self.times)
        days, minutes = divmod(span.amount * MINUTES[span.unit], _DAY)
        of_days = self._moved({day: day + days for day in self._days_tried})
        if of_days is None or (minutes and not self.is_of_each_day):
            return None
        later = [*self.times, *(time + _DAY for time in self.times)]
        further = {later.index(time + minutes) - place if time + minutes in later else None for place, time in enumerate(self.times)}
        same = further.pop() if len(further) == 1 else None
        return None if same is None else of_days * len(self.times) + same

    def _moved(self, later: dict[int, int | None]) -> int | None:
        """How many named days later those days are to which named ones are moved; None: not always as many, or not named."""
        counts = set()
        for day, moved in later.items():
            place, is_named = (0, False) if moved is None else self._place(moved)
            if not is_named:
                return None
            counts.add(place - self._place(day)[0])
        return counts.pop() if len(counts) == 1 else None

    @cached_property
    def _expanded(self) -> tuple[list[list[Any]], dict[int, set[Any]]]:
        """The five fields, and of weekdays which of a month's are meant; croniter reads both."""
        from croniter import croniter  # 40 ms that only who asks need pay

        return croniter.expand(self.cron)  # type: ignore[no-any-return]

    @property
    def _fields(self) -> list[list[Any]]:
        return self._expanded[0]

    @cached_property
    def _days_tried(self) -> list[int]:
        return [day for day in range(*_TRIED) if self._place(day)[1]]

    def _place(self, day: int) -> tuple[int, bool]:
        """How many named days there are before a day, and whether it is one."""
        before, of_years = self._calendar
        cycle, rest = divmod(day - 1, _CYCLE_DAYS)
        begun = dt.date.fromordinal(rest + 1).year - 1
        within, named = rest + 1 - dt.date(begun + 1, 1, 1).toordinal(), of_years[begun]
        place = bisect_left(named, within)
        return cycle * before[-1] + before[begun] + place, place < len(named) and named[place] == within

    @cached_property
    def _calendar(self) -> tuple[list[int], list[Sequence[int]]]:
        """For the years 1 to 400: the named days before each of them and before the next, and of each its named days, from 0."""
        kinds: dict[tuple[int, int], Sequence[int]] = {}
        of_years = []
        for year in range(1, _CYCLE + 1):
            first, following = dt.date(year, 1, 1), dt.date(year + 1, 1, 1)
            kind = (first.weekday(), (following - first).days)
            if kind not in kinds:
                days = range(kind[1])
                kinds[kind] = days if self.is_of_each_day else [day for day in days if self._names(first + dt.timedelta(days=day))]
            of_years.append(kinds[kind])
        return list(accumulate(map(len, of_years), initial=0)), of_years

    def _names(self, date: dt.date) -> bool:
        """As croniter does: by its day of month or by its weekday, where both are given."""
        _, _, days, months, weekdays = self._fields
        if months != ["*"] and date.month not in months:
            return False
        is_last = (date + dt.timedelta(days=1)).day == 1
        by_day = date.day in days or ("l" in days and is_last)
        if days == ["*"]:
            return weekdays == ["*"] or self._names_weekday(date)
        return by_day or (weekdays != ["*"] and self._names_weekday(date))

    def _names_weekday(self, date: dt.date) -> bool:
        weekday, nth = date.isoweekday() % 7, self._expanded[1]
        if weekday not in nth:
            return weekday in self._fields[4]
        is_last = (date + dt.timedelta(days=7)).month != date.month
        return (date.day + 6) // 7 in nth[weekday] or ("l" in nth[weekday] and is_last)


@lru_cache(maxsize=1024)
def _whole(numbering: _CronTimes, span: Span) -> int | None:
    return numbering.whole(span)


def _midnight(ordinal: int) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromordinal(ordinal), dt.time())


def _months_later(ordinal: int, months: int) -> int | None:
    """The same day of a later month; None: it has none."""
    date = dt.date.fromordinal(ordinal)
    year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
    try:
        return date.replace(year=year, month=month + 1).toordinal()
    except ValueError:
        return None


_OF_UNIT: dict[str, Numbering] = {
    "15min": _Minutes(15),
    "30min": _Minutes(30),
    "hour": _Minutes(60),
    **{f"{hours} hours": _Minutes(60 * hours) for hours in HOURS},
    "day": _Days("day", 0),
    "week": _Days("week", _EPOCH_WEEK),
    **{f"week from {name}": _Days("week", _EPOCH_WEEK + number) for number, name in enumerate(WEEKDAYS) if number},
    "month": _Months("month", "%Y-%m-01"),
    "quarter": _Months("quarter", "%Y-%m-%d"),
    "year": _Months("year", "%Y-01-01"),
}
UNITS: tuple[str, ...] = tuple(_OF_UNIT)
IN_UTC = ("15min", "30min", "hour")  # so short that, by a clock that is set back, one of them would begin twice


SHORTEST = 15  # minutes: of a partition


def is_cron(unit: str) -> bool:
    """Whether a grain's unit is a cron expression.

    :param unit: one of `UNITS`, or an expression of five fields
    :returns: whether it has five fields
    """
    return len(unit.split()) == 5


@lru_cache(maxsize=256)
def numbering_of(unit: str) -> Numbering:
    """Look up how the partitions of a unit follow each other.

    :param unit: one of `UNITS`, or a sound cron expression
    :returns: their numbering
    """
    return _OF_UNIT[unit] if unit in _OF_UNIT else _CronTimes(unit)


def times_of_day(cron: str) -> list[int]:
    """List the times of each day on which a cron expression comes round.

    :param cron: a sound expression of five fields
    :returns: minutes from midnight, ascending
    """
    return _CronTimes(cron).times
