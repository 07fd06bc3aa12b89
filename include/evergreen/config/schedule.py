"""Schedules: when runs start, and which partition each is for."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from itertools import pairwise
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from include.evergreen.config.base import Strict, problem_at
from include.evergreen.config.calendar import Calendar, calendar_of, times_of
from include.evergreen.foundation.grain import LATEST, UNITS, Grain, Partition, Unit

CRON_PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly")
_CRON_HELP = f"give minute, hour, day of month, month and day of week, such as '0 6 * * 1', or {', '.join(CRON_PRESETS)}"


class Schedule(Strict):
    """When runs start, and which partition each is for."""

    cron: str = Field(description="Cron expression that starts a run; read in the time zone of the partitions.")
    run_offset: int = Field(default=0, description="Cron intervals from the run to its partition: -1 means yesterday's partition.")
    start: dt.date = Field(description="First partition: the one in which this day begins.")
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
    def _ends_after_it_starts(self) -> Schedule:
        if self.end is not None and self.end < self.start:
            raise problem_at("end", f"{self.end} is before start, {self.start}; no partition would ever be made")
        return self


class PartitionSchedule(Schedule):
    """When a dataset's partitions come, and how long they are."""

    grain: Unit = Field(default="day", description="How long a partition is. Its key is its first day, or, within a day, its time in UTC.")
    timezone: str = Field(
        default="UTC", description="IANA zone in which cron is read, and at whose midnights days and longer partitions begin."
    )

    @property
    def partition_grain(self) -> Grain:
        """How long the partitions are, and in whose time."""
        return Grain(self.grain, self.timezone)

    @property
    def calendar(self) -> Calendar:
        """Which partitions the cron expression makes."""
        return calendar_of(self.partition_grain, self.cron)

    @property
    def first(self) -> Partition:
        """The first partition."""
        return self.partition_grain.on(self.start)

    @property
    def last(self) -> Partition:
        """The last partition; later than any, when the schedule goes on."""
        return LATEST if self.end is None else self.partition_grain.on(self.end)

    def partitions(self, first: Partition, last: Partition) -> list[Partition]:
        """List the partitions that the cron expression makes, whatever ``start`` and ``end`` say: those in which it has a time.

        Runs and partitions are times of the same expression, `run_offset` apart, so its times name the partitions.

        :param first: the first one, included
        :param last: the last one, included
        :returns: the partitions, oldest first
        """
        return self.calendar.made(first, last)

    def run_at(self, partition: Partition) -> dt.datetime | None:
        """Tell when the scheduled run for a partition starts.

        :param partition: its key
        :returns: the moment, aware and in UTC; None when no run is scheduled for it
        """
        if not self.first <= partition <= self.last or not self.partitions(partition, partition):
            return None
        from croniter import croniter  # 40 ms that only who asks need pay

        before = self.partition_grain.start(partition) - dt.timedelta(seconds=1)
        times = croniter(self.cron, before.astimezone(ZoneInfo(self.timezone)))
        moment: dt.datetime = times.get_next(dt.datetime)  # its own time, from which the run is run_offset times away
        for _ in range(abs(self.run_offset)):
            moment = times.get_next(dt.datetime) if self.run_offset < 0 else times.get_prev(dt.datetime)
        return moment.astimezone(dt.UTC)

    @model_validator(mode="after")
    def _makes_partitions_of_its_grain(self) -> PartitionSchedule:
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise problem_at("timezone", f"{self.timezone!r} is no IANA zone; write one such as UTC or America/New_York") from None
        if not self.partition_grain.is_of_days and self.timezone != "UTC":
            raise problem_at(
                "timezone", f"a partition of {self.grain} has its key in UTC, so that the hour that happens twice has two; remove timezone"
            )
        if problem := cron_problem(self.cron, self.partition_grain):
            raise problem_at(*problem)
        return self


def cron_problem(cron: str, grain: Grain) -> tuple[str, str] | None:
    """Say why a cron expression cannot make partitions of a grain: Airflow writes a run's key from one of its times.

    :param cron: a sound expression
    :param grain: that of the partitions
    :returns: the key of the schedule that is wrong, and what is; None when nothing is
    """
    times = times_of(cron, grain.timezone)
    for moment, following in pairwise(times):
        if grain.at(moment) == grain.at(following):
            shorter = next((unit for unit in reversed(UNITS[: UNITS.index(grain.unit)]) if _is_apart(unit, times)), UNITS[0])
            return "grain", (
                f"{cron!r} comes round more than once in the partition {grain.at(moment)} ({moment:%a %H:%M} and {following:%a %H:%M}); "
                f"use grain: {shorter}, or another cron expression"
            )
        if (written := moment.strftime(grain.key_format)) != grain.at(moment):
            return "cron", (
                f"{cron!r} comes round at {written}, within the {grain.unit} {grain.at(moment)}; let it come round when one begins, "
                f"such as {_BEGINNINGS[grain.unit]!r}, with run_offset: -1 for the one that has ended"
            )
    return None


def skipped_time(schedule: PartitionSchedule) -> dt.datetime | None:
    """Find a time of the cron expression that its zone does not have, since clocks are put forward over it.

    A run that is ``run_offset`` times before takes its own time for the one before (Airflow 3.3.2), so a partition gets no run.

    :param schedule: a sound schedule
    :returns: the first such time in the year that begins with the schedule, by the zone's clock; None when none is, or does harm
    """
    if schedule.run_offset >= 0 or schedule.timezone == "UTC":
        return None
    from croniter import croniter  # 40 ms that only who asks need pay

    zone, first = ZoneInfo(schedule.timezone), dt.datetime.combine(schedule.start, dt.time())
    times = croniter(schedule.cron, first)
    while (moment := times.get_next(dt.datetime)) < first + dt.timedelta(days=366):
        if moment.replace(tzinfo=zone).astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None) != moment:
            return moment  # type: ignore[no-any-return]
    return None


_BEGINNINGS = {"15min": "*/15 * * * *", "30min": "*/30 * * * *", "week": "0 6 * * 1", "quarter": "0 6 1 1,4,7,10 *"}


def _is_apart(unit: Unit, times: Sequence[dt.datetime]) -> bool:
    """Whether no two of these times are in one partition of this length."""
    grain = Grain(unit)
    return all(grain.at(one) != grain.at(other) for one, other in pairwise(times))
