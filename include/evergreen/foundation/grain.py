"""Grain: which interval of time a partition stands for, and the arithmetic of partition keys."""

from __future__ import annotations

import datetime as dt
import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import NewType
from zoneinfo import ZoneInfo

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.numbering import IN_UTC, Numbering, numbering_of
from include.evergreen.foundation.span import Span

Partition = NewType("Partition", str)
"""A partition's key: a date where partitions are days or longer, a time where they are shorter. Keys of one grain are in the order of
their text, so databases, storages and Airflow hold the key itself. Only its `Grain` says when the interval begins and ends."""

YEARS = (1900, 2199)  # so that windows around a partition are partitions too
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")  # strptime alone would take 2013-1-1, and Arabic digits
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{4}")  # of another zone than UTC, which Z stands for


@dataclass(frozen=True)
class Grain:
    """How long a dataset's partitions are, and in whose time.

    Partitions of a grain are numbered without a gap: each method is arithmetic on these numbers.

    :param unit: the length of a partition, one of `UNITS`; or a cron expression, from each of whose times one lasts until the next
    :param timezone: IANA zone by whose clock they begin, days and longer ones at its midnight. A partition that begins at a time which
        the clock shows twice begins at the first. Partitions of an hour and shorter begin by UTC, so that each of them has a key of its
        own when clocks are set back
    """

    unit: str = "day"
    timezone: str = "UTC"

    @property
    def noun(self) -> str:
        """What people call a partition, for messages."""
        return self._numbering.noun

    @property
    def a_partition(self) -> str:
        """What people call one partition, with its article."""
        return f"an {self.noun}" if self.noun.startswith(("hour", "8")) else f"a {self.noun}"

    @property
    def is_of_days(self) -> bool:
        """Whether partitions are days or longer, so that their keys are dates."""
        return self._numbering.is_of_days

    @property
    def is_by_utc(self) -> bool:
        """Whether partitions begin by UTC."""
        return self.timezone == "UTC" or self.unit in IN_UTC

    @property
    def key_format(self) -> str:
        """The ``strftime`` format that writes a partition's key from a time, in ``timezone``: of hours, months and years from any in it."""
        return self._numbering.key_format + self._suffix

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
        begins = _begins(text, self.is_of_days, self._suffix)
        if begins is None:
            written = ("a date", "YYYY-MM-DD")
            if not self.is_of_days:
                written = ("a time in UTC", "YYYY-MM-DDTHHMMZ") if self.is_by_utc else (f"a time of {self.timezone}", "YYYY-MM-DDTHHMM")
            raise ConfigError(f"{subject} {str(text)[:80]!r} is not {written[0]}. Write it as {written[1]}, such as {self.example}.")
        if not YEARS[0] <= begins.year <= YEARS[1]:
            raise ConfigError(f"{subject} {text} is out of range. Give a date in the years {YEARS[0]} to {YEARS[1]}.")
        key = self.numbered(self._numbering.number(begins))
        if key != text:
            raise ConfigError(f"{subject} {text} is not the beginning of {self.a_partition}. Write {key}, which it is in.")
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
        :returns: a date in the grain's time zone; of partitions whose keys are times, a time in UTC
        """
        return _begins_at(self, partition).date() if self.is_of_days else self.start(partition)

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
        time = moment.astimezone(self._zone)
        number = self._numbering.number(time.replace(tzinfo=None))
        while time.fold and _moment(self, number + 1) <= moment:  # the clock shows this time again, after the next one has begun
            number += 1
        return self.numbered(number)

    def on(self, date: dt.date) -> Partition:
        """Name the partition of a date.

        :param date: a date in the grain's time zone
        :returns: the key of the first that begins on it, or, where none does, of the one that it is in
        """
        midnight = dt.datetime.combine(date, dt.time())
        number = self._numbering.number(midnight)
        following = self._numbering.begins(number + 1)
        is_first = self._numbering.begins(number) < midnight and following.date() == date
        return self.numbered(number + 1 if is_first else number)

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
        return self.numbered(self.number(partition) + by)

    def between(self, first: Partition, last: Partition) -> list[Partition]:
        """List the partitions of a range.

        :param first: the first, included
        :param last: the last, included
        :returns: every partition, oldest first; empty when ``last`` is before ``first``
        """
        return [self.numbered(number) for number in range(self.number(first), self.number(last) + 1)]

    def partitions_in(self, span: Span) -> int:
        """Count the partitions that a span stands for, such as a window of 60 days.

        :param span: the span
        :returns: the number of partitions; where it is no whole number (see `is_whole`), those that are begun: eight days are two weeks,
            and a month is taken for 31 days, a quarter for 92, a year for 366; of a cron expression's, as many as there are on average
        """
        return span.amount if span.unit == "partition" else self._numbering.counted(span)[0]

    def is_whole(self, span: Span) -> bool:
        """Whether a span is a whole number of partitions, wherever it begins.

        :param span: the span
        :returns: so by the clock of the time zone of 2 weeks in days, of a year in quarters, of 12 hours in periods of 6; but not of a
            month in days, nor of hours in days, of which a time zone may have 23 or 25
        """
        return span.unit == "partition" or not span or self._numbering.counted(span)[1]

    def span_of(self, partitions: int) -> Span:
        """Say how long so many partitions are, in the unit that people would use.

        :param partitions: number of partitions
        :returns: a span which is a whole number of partitions: just these
        """
        return self._numbering.span(partitions)

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
        return self._numbering.number(_begins_at(self, partition))

    def numbered(self, number: int) -> Partition:
        """Name the partition of a number, as `number` gives it.

        :param number: of the partition
        :returns: its key
        """
        begins = self._numbering.begins(number)
        if self.is_of_days:
            return Partition(begins.date().isoformat())
        return Partition(begins.isoformat(timespec="minutes").replace(":", "") + self._suffix)

    @property
    def _numbering(self) -> Numbering:
        return numbering_of(self.unit)

    @property
    def _zone(self) -> dt.tzinfo:
        return dt.UTC if self.is_by_utc else ZoneInfo(self.timezone)

    @property
    def _suffix(self) -> str:
        """Of keys that are times: those of UTC say so."""
        return "Z" if self.is_by_utc and not self.is_of_days else ""


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
    for is_of_days, suffix in ((True, ""), (False, "Z"), (False, "")):
        begins = _begins(text, is_of_days, suffix)
        if begins is not None and YEARS[0] <= begins.year <= YEARS[1]:
            return Partition(str(text))
    return DAILY.parse(text, subject=subject)  # which says what is wrong


DAILY = Grain()
EARLIEST, LATEST = Partition("0001-01-01"), Partition("9999-12-31")  # before and after every key of every grain


def _begins(text: object, is_of_days: bool, suffix: str) -> dt.datetime | None:
    """The time that a key says, by the clock of its zone; None: it is no key."""
    if not isinstance(text, str) or not text.endswith(suffix):
        return None
    time = text.removesuffix(suffix)
    if not (_DATE if is_of_days else _TIME).fullmatch(time):
        return None
    try:
        return dt.datetime.fromisoformat(time)
    except ValueError:
        return None


@lru_cache(maxsize=65_536)  # a training asks of each partition again for all the partitions that it reads beside it
def _begins_at(grain: Grain, partition: Partition) -> dt.datetime:
    """By the clock of its zone."""
    if partition in (EARLIEST, LATEST):  # of no grain
        return dt.datetime.fromisoformat(partition)
    begins = _begins(partition, grain.is_of_days, grain._suffix)
    if begins is not None and grain.numbered(grain._numbering.number(begins)) == partition:
        return begins
    raise ConfigError(
        f"The partition {partition!r} is not {grain.a_partition}, such as {grain.example}. Give the key of one; or, if it was recorded "
        f"under another grain, declare that again under schedule in dataset.yaml, and the other one in a dataset of its own."
    )


@lru_cache(maxsize=65_536)
def _start(grain: Grain, partition: Partition) -> dt.datetime:
    return _at_clock(_begins_at(grain, partition), grain._zone)


def _moment(grain: Grain, number: int) -> dt.datetime:
    return _at_clock(grain._numbering.begins(number), grain._zone)


def _at_clock(time: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """The first moment at which a clock shows a time; if it is put forward over it, the one at which it is, in UTC."""
    moment = time.replace(tzinfo=zone).astimezone(dt.UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == time:
        return moment
    early = time.replace(tzinfo=zone, fold=1)  # by PEP 495: with the offset that holds once it was put forward
    before, after = early.astimezone(dt.UTC), early.utcoffset()
    seconds = range(round((moment - before).total_seconds()) + 1)
    return before + dt.timedelta(seconds=bisect_left(seconds, True, key=lambda second: _is_past(before, second, zone, after)))


def _is_past(before: dt.datetime, second: int, zone: dt.tzinfo, after: dt.timedelta | None) -> bool:
    return (before + dt.timedelta(seconds=second)).astimezone(zone).utcoffset() == after
