"""Dates and times: partition time, which the data follows, and the wall clock, which people follow."""

from __future__ import annotations

import datetime as dt
import re

from include.evergreen.foundation.errors import ConfigError

PARTITION_FORMAT = "%Y-%m-%d"
YEARS = (1900, 2199)  # so that days and windows around a partition are dates too
_PARTITION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")  # strptime alone would take 2013-1-1, and Arabic digits


def now() -> dt.datetime:
    """Read the wall clock, which people follow; the data follows partition time.

    :returns: the time, aware and in UTC
    """
    return dt.datetime.now(dt.UTC)


def day_start(partition: dt.date) -> dt.datetime:
    """Tell when a partition's day begins: a run with that as_of reads what was known by then.

    :param partition: the partition's date
    :returns: its midnight, aware and in UTC
    """
    return dt.datetime.combine(partition, dt.time(), tzinfo=dt.UTC)


def parse_partition(text: object, *, subject: str = "partition key") -> dt.date:
    """The date that a partition key or an as_of names.

    :param text: what somebody wrote; anything but text is refused, too
    :param subject: what to blame in an error, such as ``The parameter as_of``
    :returns: the date, within `YEARS`
    :raises ConfigError: it is not a real date written ``YYYY-MM-DD``, or not in `YEARS`
    """
    if isinstance(text, str) and _PARTITION.fullmatch(text):
        try:
            date = dt.datetime.strptime(text, PARTITION_FORMAT).date()
        except ValueError:
            pass
        else:
            return _within_years(date, subject)
    raise ConfigError(f"{subject} {str(text)[:80]!r} is not a date. Write it as YYYY-MM-DD, such as 2013-02-09.")


def days(first: dt.date, last: dt.date) -> list[dt.date]:
    """List the days of a range.

    :param first: the first day, inclusive
    :param last: the last day, inclusive
    :returns: every day, oldest first; empty when ``last`` is before ``first``
    """
    return [first + dt.timedelta(days=offset) for offset in range((last - first).days + 1)]


def _within_years(date: dt.date, subject: str) -> dt.date:
    if YEARS[0] <= date.year <= YEARS[1]:
        return date
    raise ConfigError(f"{subject} {date} is out of range. Give a date in the years {YEARS[0]} to {YEARS[1]}.")
