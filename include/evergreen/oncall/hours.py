"""The hours at which people are told, and those at which warnings are kept from them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from include.evergreen.config.oncall import WEEKDAYS

if TYPE_CHECKING:
    from include.evergreen.config.oncall import Hours

_MOST_MOVES = 100  # hours that never meet leave a message waiting, and not this loop


def is_within(hours: Hours, at: dt.datetime) -> bool:
    """Tell whether a time is within some hours.

    :param hours: as they are declared
    :param at: the time, aware
    :returns: true from their beginning until before their end
    """
    return any(begin <= at < end for begin, end in _spans(hours, at))


def next_allowed(at: dt.datetime, only: Hours | None, quiet: Hours | None) -> dt.datetime:
    """Find the next time at which somebody may be told.

    :param at: the time at which they would be, aware
    :param only: the hours at which alone they are told; None: at any
    :param quiet: the hours at which they are not told; None: none
    :returns: ``at`` itself when it is allowed
    """
    for _ in range(_MOST_MOVES):
        if quiet is not None and (ends := [end for begin, end in _spans(quiet, at) if begin <= at < end]):
            at = max(ends)
        elif only is not None and not is_within(only, at):
            at = min(begin for begin, end in _spans(only, at) if begin > at and end > begin)
        else:
            break
    return at


def _spans(hours: Hours, at: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """The spans that may hold a time, and those of the week after it."""
    zone = ZoneInfo(hours.zone)
    begin, end = dt.time.fromisoformat(hours.start), dt.time.fromisoformat(hours.until)
    today = at.astimezone(zone).date()
    for offset in range(-1, 9):
        day = today + dt.timedelta(days=offset)
        if WEEKDAYS[day.weekday()] in hours.days:
            last = day + dt.timedelta(days=1) if end < begin else day
            first, until = (dt.datetime.combine(date, time, tzinfo=zone).astimezone(dt.UTC) for date, time in ((day, begin), (last, end)))
            yield first, until
