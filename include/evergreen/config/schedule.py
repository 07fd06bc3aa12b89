"""Schedules: when runs start, and which partition each is for."""

from __future__ import annotations

import datetime as dt
import re

from pydantic import Field, field_validator, model_validator

from include.evergreen.config.base import Strict, problem_at

LONGEST_WINDOW_DAYS = 3660  # ten years: a slip must not leave the calendar
CRON_PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly")
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
