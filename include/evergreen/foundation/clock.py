"""The wall clock, which people follow."""

from __future__ import annotations

import datetime as dt


def now() -> dt.datetime:
    """Read the wall clock, which people follow; the data follows partition time.

    :returns: the time, aware and in UTC
    """
    return dt.datetime.now(dt.UTC)
