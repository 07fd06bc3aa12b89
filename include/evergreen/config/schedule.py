"""Schedules: when runs start, and which partition each is for."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache

from pydantic import Field, field_validator, model_validator

from include.evergreen.config.base import Strict, problem_at
from include.evergreen.foundation import clock

LONGEST_WINDOW_DAYS = 3660  # ten years: a slip must not leave the calendar
CRON_PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly")
_ANY_DAY = ("*", "*", "*")  # day of month, month and day of week
_CRON_HELP = f"give minute, hour, day of month, month and day of week, such as '0 6 * * 1', or {', '.join(CRON_PRESETS)}"


class PartitionSchedule(Strict):
    """When runs start, and which day's partition each makes."""

    cron: str = Field(description="Cron expression, read in UTC, that starts a run.")
    run_offset: int = Field(default=0, description="Cron intervals from the run to its partition: -1 means yesterday's partition.")
    start: dt.date = Field(description="First partition.")
    end: dt.date | None = Field(default=None, description="Last partition; none means that it goes on.")

    @field_validator("cron")
    @classmethod
    def _cron_comes_round(cls, cron: str) -> str:
        # Imported here: 40 ms that only a file with a schedule need pay.
        from croniter import CroniterBadDateError, croniter

        if not cron.startswith("@") and (len(cron.split()) != 5 or re.search(r"(?i)(^|[\s,])r([\s,(/]|$)", cron)):
            raise ValueError(f"{cron!r} is not a cron expression of five fields; {_CRON_HELP}")
        if cron.startswith("@") and cron not in CRON_PRESETS:
            raise ValueError(f"unknown preset {cron!r}; {_CRON_HELP}")
        try:
            croniter(cron, dt.datetime(2000, 1, 1, tzinfo=dt.UTC)).get_next()
        except CroniterBadDateError:
            raise ValueError(f"{cron!r} names a date that never comes; {_CRON_HELP}") from None
        except (ValueError, KeyError) as error:
            raise ValueError(f"{cron!r} is not a cron expression ({error}); {_CRON_HELP}") from None
        return cron

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> PartitionSchedule:
        if self.end is not None and self.end < self.start:
            raise problem_at("end", f"{self.end} is before start, {self.start}; no partition would ever be made")
        return self

    def partitions(self, first: dt.date, last: dt.date) -> list[dt.date]:
        """List the partitions that the cron expression makes, whatever ``start`` and ``end`` say: one for each day that it names.

        Runs and partitions are times of the same expression, `run_offset` apart, so the days of its times name the partitions.

        :param first: the first day, included
        :param last: the last day, included
        :returns: the days, oldest first
        """
        days = clock.days(first, last)
        if self.cron in ("@hourly", "@daily") or tuple(self.cron.split()[2:]) == _ANY_DAY:
            return days
        return [day for day in days if _names(self.cron, day)]


@lru_cache(maxsize=4096)  # a training asks of each day again for all the days whose labels may stand in it
def _names(cron: str, day: dt.date) -> bool:
    from croniter import croniter  # 40 ms that only who asks need pay

    moment: dt.datetime = croniter(cron, clock.day_start(day) - dt.timedelta(seconds=1)).get_next(dt.datetime)
    return moment.date() == day
