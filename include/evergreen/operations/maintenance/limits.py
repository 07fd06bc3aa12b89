"""Limits of maintenance: default retention periods, and how much is verified each night."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial

from include.evergreen.foundation.settings import read_number

LARGEST = 36_500  # a hundred years of days, or four of hours: so that no date is out of range
_number = partial(read_number, most=LARGEST)


@dataclass(frozen=True)
class Limits:
    """Each of them overridable by one environment variable; an empty one counts as unset.

    :param grace_hours: hours since a file was last written in which it is never removed as an orphan: a task may be about to
        record it (``EVERGREEN_ORPHAN_GRACE_HOURS``)
    :param unregistered_days: days that the training frame and the reference sample of a candidate are kept that was neither
        blessed nor registered (``EVERGREEN_UNREGISTERED_DAYS``)
    :param report_days: days that a drift report is kept once it is drawn (``EVERGREEN_REPORT_DAYS``)
    :param history_days: days that a figure is kept after its partition was observed anew (``EVERGREEN_HISTORY_DAYS``)
    :param sample: partition versions and prediction sets that are read again and verified a night (``EVERGREEN_VERIFY_SAMPLE``)
    """

    grace_hours: float = 24.0
    unregistered_days: float = 30.0
    report_days: float = 90.0
    history_days: float = 730.0
    sample: int = 50

    @classmethod
    def from_environment(cls, *, grace_hours: float | None = None, sample: int | None = None) -> Limits:
        """Read the limits from the environment. Passes on `ConfigError` for what is no number or out of range.

        :param grace_hours: hours, which go before the variable and are checked likewise; None: the environment's, or the default
        :param sample: how many are verified, likewise; 0: none
        :returns: the limits
        """
        default = cls()
        return cls(
            grace_hours=_number("EVERGREEN_ORPHAN_GRACE_HOURS", default.grace_hours, "hours", given=grace_hours),
            unregistered_days=_number("EVERGREEN_UNREGISTERED_DAYS", default.unregistered_days, "days"),
            report_days=_number("EVERGREEN_REPORT_DAYS", default.report_days, "days"),
            history_days=_number("EVERGREEN_HISTORY_DAYS", default.history_days, "days"),
            sample=int(_number("EVERGREEN_VERIFY_SAMPLE", default.sample, "things to verify", given=sample)),
        )

    @property
    def grace(self) -> dt.timedelta:
        """`grace_hours` as a difference of times."""
        return dt.timedelta(hours=self.grace_hours)
