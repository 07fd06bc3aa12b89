"""Schedules: when runs start, and which partition each is for."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, WithJsonSchema, field_validator, model_validator

from include.evergreen.config.base import Strict, problem_at
from include.evergreen.config.calendar import Calendar, calendar_of, times_of
from include.evergreen.config.wording import did_you_mean
from include.evergreen.foundation.grain import LATEST, Grain, Partition
from include.evergreen.foundation.numbering import HOURS, IN_UTC, SHORTEST, UNITS, WEEKDAYS, is_cron, times_of_day
from include.evergreen.foundation.span import MINUTES, Span

CRON_PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly")
_CRON_HELP = f"give minute, hour, day of month, month and day of week, such as '0 6 * * 1', or {', '.join(CRON_PRESETS)}"
A_YEAR = 366  # days, in which every cron expression that comes round has come round
_GRAIN_HELP = f"allowed: {', '.join(UNITS)}, or a cron expression of five fields, from each of whose times a partition lasts to the next"


def _sound_cron(cron: str) -> str:
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


def _sound_unit(unit: str) -> str:
    if unit in UNITS:
        return unit
    if not is_cron(unit):
        raise ValueError(f"{unit!r} is not allowed; {did_you_mean(unit, UNITS)}{_GRAIN_HELP}")
    return " ".join(_sound_cron(unit).split())


GrainUnit = Annotated[
    str,
    AfterValidator(_sound_unit),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "enum": list(UNITS)}, {"type": "string", "format": "cron", "pattern": r"^\S+( +\S+){4}$"}]}
    ),
]


class Schedule(Strict):
    """When runs start, and which partition each is for."""

    cron: str = Field(description="Cron expression that starts a run; read in the time zone of the partitions.")
    run_offset: int = Field(default=0, description="Cron intervals from the run to its partition: -1 means yesterday's partition.")
    start: dt.date = Field(description="First partition: the first that begins on this day, or the one that it is in.")
    end: dt.date | None = Field(
        default=None, description="Last partition: the last that begins on this day, or the one that it is in; none: it goes on."
    )

    @field_validator("cron")
    @classmethod
    def _cron_comes_round(cls, cron: str) -> str:
        return _sound_cron(cron)

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Schedule:
        if self.end is not None and self.end < self.start:
            raise problem_at("end", f"{self.end} is before start, {self.start}; no partition would ever be made")
        return self


class PartitionSchedule(Schedule):
    """When a dataset's partitions come, and how long they are."""

    grain: GrainUnit = Field(
        default="day",
        description="How long a partition is; a cron expression: from each of its times to the next. Its key is its first day, or, if it "
        "does not begin at midnight, its time.",
    )
    timezone: str = Field(default="UTC", description="IANA zone by whose clock cron comes round and partitions begin.")

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
        return LATEST if self.end is None else self.partition_grain.of_dates(self.end, self.end)[1]

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
        return _run_of(self, self.partition_grain, partition)

    @model_validator(mode="after")
    def _makes_partitions_of_its_grain(self) -> PartitionSchedule:
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise problem_at("timezone", f"{self.timezone!r} is no IANA zone; write one such as UTC or America/New_York") from None
        if self.grain in IN_UTC and self.timezone != "UTC":
            raise problem_at(
                "timezone",
                f"a partition of {self.grain} has its key in UTC, so that the hour that happens twice has two; remove timezone, or use "
                f"grain: 2 hours or longer",
            )
        if is_cron(self.grain) and (text := _grain_problem(self.partition_grain)):
            raise problem_at("grain", text)
        if problem := cron_problem(self.cron, self.partition_grain):
            raise problem_at(*problem)
        return self


def last_run(schedule: Schedule, grain: Grain) -> dt.datetime | None:
    """Tell when the last run of a schedule starts.

    :param schedule: a sound schedule
    :param grain: that of the partitions
    :returns: the moment, aware and in UTC, of the run for the last partition that is made; None: the schedule goes on
    """
    if schedule.end is None:
        return None
    _, last = grain.of_dates(schedule.end, schedule.end)
    made = calendar_of(grain, schedule.cron).minus(grain.shift(last, 1), Span(1, "partition"))
    return _run_of(schedule, grain, made)


def _run_of(schedule: Schedule, grain: Grain, partition: Partition) -> dt.datetime:
    """When the run for a partition that is made starts."""
    from croniter import croniter  # 40 ms that only who asks need pay

    before = grain.start(partition) - dt.timedelta(seconds=1)
    times = croniter(schedule.cron, before.astimezone(ZoneInfo(grain.timezone)))
    moment: dt.datetime = times.get_next(dt.datetime)  # its own time, from which the run is run_offset times away
    for _ in range(abs(schedule.run_offset)):
        moment = times.get_next(dt.datetime) if schedule.run_offset < 0 else times.get_prev(dt.datetime)
    return moment.astimezone(dt.UTC)


def cron_problem(cron: str, grain: Grain) -> tuple[str, str] | None:
    """Say why a cron expression cannot make partitions of a grain: Airflow writes a run's key from one of its times.

    :param cron: a sound expression
    :param grain: that of the partitions
    :returns: the key of the schedule that is wrong, and what is; None when nothing is
    """
    times = times_of(cron, grain.timezone)
    for moment, following in pairwise(times):
        if grain.at(moment) == grain.at(following):
            shorter = next((unit for unit in reversed(_LENGTHS) if unit != grain.unit and _is_apart(unit, times)), UNITS[0])
            return "grain", (
                f"{cron!r} comes round more than once in the partition {grain.at(moment)} ({moment:%a %H:%M} and {following:%a %H:%M}); "
                f"use grain: {shorter}, or another cron expression"
            )
        if (written := moment.strftime(grain.key_format)) != grain.at(moment):
            return "cron", (
                f"{cron!r} comes round at {written}, within the {grain.noun} {grain.at(moment)}; let it come round when one begins, "
                f"such as {_BEGINNINGS.get(grain.unit, grain.unit)!r}, with run_offset: -1 for the one that has ended"
            )
    return None


def clock_problem(schedule: Schedule, grain: Grain) -> str:
    """Say why clocks that are put forward or set back leave a partition without a run of its own.

    Airflow 3.3.2 moves a time that the zone does not have to a later one. The key of the run then names that one, if keys are times; and a
    run that is ``run_offset`` times before takes its own time for the one before.

    :param schedule: a sound schedule
    :param grain: that of the partitions, in whose time zone cron is read
    :returns: what is wrong in the year that begins with the schedule; empty when nothing is
    """
    if grain.timezone == "UTC" or (grain.is_of_days and schedule.run_offset >= 0):
        return ""
    from croniter import croniter  # 40 ms that only who asks need pay

    comes_each_hour = not grain.is_of_days and croniter.expand(schedule.cron)[0][1] == ["*"]
    lost = "with a run_offset below 0 the partition before it would get no run"
    if schedule.run_offset >= 0:
        lost = "its run would get another key"
    zone = ZoneInfo(grain.timezone)
    for moment in _times_of_changes(schedule, zone):
        early, late = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        where = f"{schedule.cron!r} comes round at {moment:%H:%M}, which {moment:%Y-%m-%d}"
        if early.astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None) != moment:
            return f"{where} does not have in {grain.timezone}: {lost}. Choose an hour over which no clock is put forward"
        if comes_each_hour and early.utcoffset() != late.utcoffset():
            return f"{where} has twice in {grain.timezone}: both runs would have one key. Use timezone: UTC, or hours that happen once"
    return ""


def _times_of_changes(schedule: Schedule, zone: ZoneInfo) -> Iterator[dt.datetime]:
    """The times by the clock at which an expression comes round on days of a year in which the clock is put forward or set back."""
    from croniter import croniter  # 40 ms that only who asks need pay

    days = [dt.datetime.combine(schedule.start, dt.time()) + dt.timedelta(days=number) for number in range(A_YEAR + 1)]
    for day, following in pairwise(days):
        if zone.utcoffset(day) != zone.utcoffset(following):
            times = croniter(schedule.cron, day - dt.timedelta(seconds=1))
            yield from takewhile(following.__gt__, iter(lambda: times.get_next(dt.datetime), None))  # noqa: B023  used up at once


_LENGTHS = tuple(unit for unit in UNITS if " from " not in unit)
_BEGINNINGS = {  # of a grain's partitions, where not every time in them writes the key
    "15min": "*/15 * * * *",
    "30min": "*/30 * * * *",
    **{f"{hours} hours": f"0 */{hours} * * *" for hours in HOURS},
    "week": "0 6 * * 1",
    **{f"week from {name}": f"0 6 * * {number}" for number, name in enumerate(WEEKDAYS, 1)},
    "quarter": "0 6 1 1,4,7,10 *",
}
_SOME = 64  # partitions


def _grain_problem(grain: Grain) -> str:
    """What is wrong with a grain of a cron expression; empty: nothing."""
    times = times_of_day(grain.unit)
    if (shortest := min(later - earlier for earlier, later in pairwise([*times, times[0] + MINUTES["day"]]))) < SHORTEST:
        return f"{grain.unit!r} comes round after {shortest} minutes; partitions last {SHORTEST} minutes or longer"
    same = (other for unit in UNITS if _are_same(grain, other := Grain(unit, grain.timezone)))
    named = next(same, None)
    return f"{grain.unit!r} comes round when each {named.noun} begins; write {named.unit}" if named else ""


def _are_same(grain: Grain, other: Grain) -> bool:
    """Whether partitions of two grains begin at the same times: the next ones, and as many in two centuries."""
    if grain.is_of_days != other.is_of_days or grain.is_by_utc != other.is_by_utc:
        return False
    first, last = (dt.date(year, 1, 1) for year in (2001, 2197))
    numbered = [(each.number(each.on(first)), each.number(each.on(last))) for each in (grain, other)]
    if len({end - begin for begin, end in numbered}) > 1:
        return False
    (one, _), (two, _) = numbered
    return all(grain.numbered(one + number) == other.numbered(two + number) for number in range(_SOME))


def _is_apart(unit: str, times: Sequence[dt.datetime]) -> bool:
    """Whether no two of these times are in one partition of this length."""
    grain = Grain(unit)
    return all(grain.at(one) != grain.at(other) for one, other in pairwise(times))
