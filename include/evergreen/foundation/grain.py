"""Grain: which interval of time a partition stands for, and the arithmetic of partition keys."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NewType, get_args
from zoneinfo import ZoneInfo

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.span import MINUTES, MONTHS, Span, SpanUnit

Partition = NewType("Partition", str)
"""A partition's key: a date where partitions are days or longer, a time in UTC where they are shorter. Keys of one grain are in the
order of their text, so databases, storages and Airflow hold the key itself. Only its `Grain` says when the interval begins and ends."""

Unit = Literal["15min", "30min", "hour", "day", "week", "month", "quarter", "year"]
UNITS: tuple[Unit, ...] = get_args(Unit)
YEARS = (1900, 2199)  # so that windows around a partition are partitions too
DATE_FORMAT, TIME_FORMAT = "%Y-%m-%d", "%Y-%m-%dT%H%MZ"
_KEY_FORMATS: dict[Unit, str] = {"hour": "%Y-%m-%dT%H00Z", "month": "%Y-%m-01", "year": "%Y-01-01"}
_MINUTES: dict[Unit, int] = {"15min": 15, "30min": 30, "hour": 60}
_DAYS: dict[Unit, int] = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}
_MONTHS: dict[Unit, int] = {"month": 1, "quarter": 3, "year": 12}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")  # strptime alone would take 2013-1-1, and Arabic digits
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{4}Z")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EPOCH_WEEK = dt.date(1970, 1, 5).toordinal()  # a Monday


@dataclass(frozen=True)
class Grain:
    """How long a dataset's partitions are, and in whose time.

    Partitions of a grain are numbered without a gap: each method is arithmetic on these numbers.

    :param unit: the length of a partition
    :param timezone: IANA zone at whose midnights days and longer partitions begin. Shorter ones have keys in UTC, so that each of them
        has one of its own when clocks are set back
    """

    unit: Unit = "day"
    timezone: str = "UTC"

    @property
    def is_of_days(self) -> bool:
        """Whether partitions are days or longer, so that their keys are dates."""
        return self.unit not in _MINUTES

    @property
    def key_format(self) -> str:
        """The ``strftime`` format that writes a partition's key from a time, in ``timezone``: of hours, months and years from any in it."""
        return _KEY_FORMATS.get(self.unit, DATE_FORMAT if self.is_of_days else TIME_FORMAT)

    @property
    def example(self) -> str:
        """The key of a partition, for messages."""
        return self.at(dt.datetime(2013, 2, 9, 12, tzinfo=dt.UTC))

    def parse(self, text: object, *, subject: str = "partition key") -> Partition:
        """Read a partition key, or an as_of, as somebody wrote it.

        :param text: what was written; anything but text is refused, too
        :param subject: what to blame in an error, such as ``The parameter as_of``
        :returns: the key
        :raises ConfigError: it is not the key of a partition of this grain, or not in `YEARS`
        """
        begins = _begins(text, self.is_of_days)
        if begins is None:
            written = ("a date", "YYYY-MM-DD") if self.is_of_days else ("a time in UTC", "YYYY-MM-DDTHHMMZ")
            raise ConfigError(f"{subject} {str(text)[:80]!r} is not {written[0]}. Write it as {written[1]}, such as {self.example}.")
        if not YEARS[0] <= begins.year <= YEARS[1]:
            raise ConfigError(f"{subject} {text} is out of range. Give a date in the years {YEARS[0]} to {YEARS[1]}.")
        key = self._key(self._number(begins))
        if key != text:
            raise ConfigError(f"{subject} {text} is not the beginning of {_a(self.unit)}. Write {key}, which it is in.")
        return key

    def start(self, partition: Partition) -> dt.datetime:
        """Tell when a partition begins: a run with that as_of reads what was known by then.

        :param partition: a key of this grain
        :returns: the moment, aware and in UTC
        """
        return _start(self, partition)

    def begins(self, partition: Partition) -> dt.date:
        """Read what a key says of when its partition begins.

        :param partition: a key of this grain
        :returns: a date in the grain's time zone; of partitions shorter than a day, a time in UTC
        """
        return _recorded(self, partition)

    def end(self, partition: Partition) -> dt.datetime:
        """Tell when a partition ends, which is when the next one begins.

        :param partition: a key of this grain
        :returns: the moment, aware and in UTC
        """
        return self.start(self.shift(partition, 1))

    def at(self, moment: dt.datetime) -> Partition:
        """Name the partition that a moment is in.

        :param moment: aware
        :returns: its key
        """
        return self._key(self._number(moment.astimezone(ZoneInfo(self.timezone)).date() if self.is_of_days else moment.astimezone(dt.UTC)))

    def on(self, date: dt.date) -> Partition:
        """Name the partition in which a date begins.

        :param date: a date in the grain's time zone
        :returns: its key
        """
        return self._key(self._number(date if self.is_of_days else dt.datetime.combine(date, dt.time(), tzinfo=dt.UTC)))

    def of_dates(self, first: dt.date, last: dt.date) -> tuple[Partition, Partition]:
        """Name the range of partitions that a range of dates stands for.

        :param first: the first date, in the grain's time zone
        :param last: the last date, itself included
        :returns: the first and the last partition, both included: those that begin on these dates, or, of longer ones, that they are in
        """
        return self.on(first), max(self.on(last), self.shift(self.on(last + dt.timedelta(days=1)), -1))

    def shift(self, partition: Partition, by: int) -> Partition:
        """Name the partition that is so many later, or, below zero, earlier.

        :param partition: a key of this grain
        :param by: number of partitions
        :returns: its key
        """
        return self._key(self.number(partition) + by)

    def between(self, first: Partition, last: Partition) -> list[Partition]:
        """List the partitions of a range.

        :param first: the first, included
        :param last: the last, included
        :returns: every partition, oldest first; empty when ``last`` is before ``first``
        """
        return [self._key(number) for number in range(self.number(first), self.number(last) + 1)]

    def partitions_in(self, span: Span) -> int:
        """Count the partitions that a span stands for, such as a window of 60 days.

        :param span: the span
        :returns: the number of partitions; where it is no whole number (see `is_whole`), those that are begun: eight days are two weeks,
            and a month is taken for 31 days, a quarter for 92, a year for 366
        """
        if span.unit == "partition":
            return span.amount
        if self.unit in _MONTHS and span.unit in MONTHS:
            return -(-span.amount * MONTHS[span.unit] // _MONTHS[self.unit])
        length = _MINUTES[self.unit] if self.unit in _MINUTES else _DAYS[self.unit] * MINUTES["day"]
        return -(-span.amount * MINUTES[span.unit] // length)

    def is_whole(self, span: Span) -> bool:
        """Whether a span is a whole number of partitions, wherever it begins.

        :param span: the span
        :returns: so of 2 weeks in days, of a year in quarters; but not of a month in days, nor of hours in days, of which a time zone may
            have 23 or 25
        """
        if span.unit == "partition" or not span:
            return True
        if self.unit in _MONTHS or span.unit in MONTHS:
            return self.unit in _MONTHS and span.unit in MONTHS and span.amount * MONTHS[span.unit] % _MONTHS[self.unit] == 0
        if self.unit in _MINUTES:
            return span.amount * MINUTES[span.unit] % _MINUTES[self.unit] == 0
        return span.unit in ("day", "week") and span.amount * MINUTES[span.unit] % (_DAYS[self.unit] * MINUTES["day"]) == 0

    def span_of(self, partitions: int) -> Span:
        """Say how long so many partitions are, in the unit that people would use.

        :param partitions: number of partitions
        :returns: a span which is a whole number of partitions: just these
        """
        if self.unit not in _MINUTES:
            return Span(partitions, self.unit)  # type: ignore[arg-type]
        minutes = partitions * _MINUTES[self.unit]
        units: tuple[SpanUnit, ...] = ("day", "hour", "minute")
        unit = next(unit for unit in units if minutes % MINUTES[unit] == 0 and (minutes or unit == "hour"))
        return Span(minutes // MINUTES[unit], unit)

    def plus(self, partition: Partition, span: Span) -> Partition:
        """Name the partition that is a span later.

        :param partition: a key of this grain
        :param span: counted in partitions as `partitions_in` does
        :returns: its key
        """
        return self.shift(partition, self.partitions_in(span))

    def minus(self, partition: Partition, span: Span) -> Partition:
        """Name the partition that is a span earlier.

        :param partition: a key of this grain
        :param span: counted in partitions as `partitions_in` does
        :returns: its key
        """
        return self.shift(partition, -self.partitions_in(span))

    def number(self, partition: Partition) -> int:
        """Number a partition: the one after it has the next number.

        :param partition: a key of this grain
        :returns: its number; where partitions are days, that of its day in the calendar (`datetime.date.toordinal`)
        """
        return self._number(_recorded(self, partition))

    def numbered(self, number: int) -> Partition:
        """Name the partition of a number, as `number` gives it.

        :param number: of the partition
        :returns: its key
        """
        return self._key(number)

    def _number(self, moment: dt.date) -> int:
        """Of the partition that a date, or, of shorter partitions, a time in UTC is in."""
        if self.unit in _MINUTES:
            assert isinstance(moment, dt.datetime)
            return (moment - _EPOCH) // dt.timedelta(minutes=_MINUTES[self.unit])
        if self.unit in _MONTHS:
            return (moment.year * 12 + moment.month - 1) // _MONTHS[self.unit]
        return moment.toordinal() if self.unit == "day" else (moment.toordinal() - _EPOCH_WEEK) // 7

    def _key(self, number: int) -> Partition:
        if self.unit in _MINUTES:
            return Partition((_EPOCH + number * dt.timedelta(minutes=_MINUTES[self.unit])).strftime(TIME_FORMAT))
        if self.unit in _MONTHS:
            year, month = divmod(number * _MONTHS[self.unit], 12)
            return Partition(dt.date(year, month + 1, 1).isoformat())
        return Partition(dt.date.fromordinal(number if self.unit == "day" else number * 7 + _EPOCH_WEEK).isoformat())


def starting_within(grain: Grain, other: Grain, partition: Partition) -> list[Partition]:
    """List the partitions of one grain that begin within a partition of another.

    :param grain: that of those that are listed
    :param other: the other grain
    :param partition: a key of the other grain
    :returns: the keys, oldest first; none, where no partition begins within it
    """
    if grain == other:
        return [partition]
    begins, ends = other.start(partition), other.end(partition)
    found = grain.between(grain.at(begins), grain.at(ends - dt.timedelta.resolution))
    return [key for key in found if begins <= grain.start(key)]


def parse_any(text: object, *, subject: str = "partition key") -> Partition:
    """Read a partition key of whatever grain, where nothing says which. Passes on `ConfigError` when it is of none.

    :param text: what was written
    :param subject: what to blame in an error
    :returns: the key
    """
    return (_SHORTEST if isinstance(text, str) and _TIME.fullmatch(text) else DAILY).parse(text, subject=subject)


DAILY, _SHORTEST = Grain(), Grain("15min")
EARLIEST, LATEST = Partition("0001-01-01"), Partition("9999-12-31")  # before and after every key of every grain


def _a(unit: Unit) -> str:
    return f"an {unit}" if unit == "hour" else f"a {unit}"


def _begins(text: object, is_of_days: bool) -> dt.date | None:
    """The date, or the time in UTC, that a key says; None: it is no key."""
    if not isinstance(text, str) or not (_DATE if is_of_days else _TIME).fullmatch(text):
        return None
    try:
        return dt.date.fromisoformat(text) if is_of_days else dt.datetime.fromisoformat(text)
    except ValueError:
        return None


@lru_cache(maxsize=65_536)  # a training asks of each partition again for all the partitions that it reads beside it
def _recorded(grain: Grain, partition: Partition) -> dt.date:
    if partition in (EARLIEST, LATEST):  # of no grain
        date = dt.date.fromisoformat(partition)
        return date if grain.is_of_days else dt.datetime.combine(date, dt.time(), tzinfo=dt.UTC)
    begins = _begins(partition, grain.is_of_days)
    if begins is not None and grain._key(grain._number(begins)) == partition:
        return begins
    raise ConfigError(
        f"The partition {partition!r} is not {_a(grain.unit)}, such as {grain.example}. Give the key of one; or, if it was recorded under "
        f"another grain, declare that again under schedule in dataset.yaml, and the other one in a dataset of its own."
    )


@lru_cache(maxsize=65_536)
def _start(grain: Grain, partition: Partition) -> dt.datetime:
    begins = _recorded(grain, partition)
    if isinstance(begins, dt.datetime):
        return begins.astimezone(dt.UTC)
    return dt.datetime.combine(begins, dt.time(), tzinfo=ZoneInfo(grain.timezone)).astimezone(dt.UTC)
