"""Freshness: partitions that are past their deadline and have not come, by what is declared and by our own clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass

import sqlalchemy as sa

from include.evergreen.config import DatasetConfig
from include.evergreen.config.schedule import PartitionSchedule
from include.evergreen.foundation import clock
from include.evergreen.operations.noticing.causes import some
from include.evergreen.operations.noticing.declared import Declared
from include.evergreen.state.alerts import Finding, Place
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import partition_versions

LOOK_BACK = dt.timedelta(days=14)  # at deadlines that are past; a day that is missing for longer is a gap that people know of
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Late:
    """The partitions of a dataset that have not come, the oldest first, and the models that read it."""

    dataset: str
    days: tuple[dt.date, ...]
    hours: float
    readers: tuple[str, ...]
    is_critical: bool

    @property
    def finding(self) -> Finding:
        """The alert that says so."""
        days = [str(day) for day in self.days]
        waiting = f"Waiting for it: {some(self.readers, 20)}." if self.readers else "No model reads it."
        message = (
            f"{self.dataset} is late: {some(days)} should have come within {self.hours:g} hours of the partition's midnight (UTC) and "
            f"{'has' if len(days) == 1 else 'have'} not. {waiting}"
        )
        places = (Place(dag_id=f"{self.dataset}.ingest", dataset=self.dataset, partition=days[-1]), *map(_model, self.readers))
        evidence = {"days": days, "models": list(self.readers), "hours_after_partition": self.hours}
        return Finding(f"freshness/{self.dataset}", "critical" if self.is_critical else "warning", message, evidence,
                       dataset=self.dataset, places=places)  # fmt: skip


class Deadlines:
    """Which partitions are late. It remembers what has come and when the next deadline is, so that a look costs almost nothing."""

    def __init__(self) -> None:
        self._come: dict[str, set[dt.date]] = {}
        self._oldest: dict[str, dt.date] = {}
        self._due: dict[tuple[PartitionSchedule, float], tuple[list[dt.date], dt.datetime]] = {}

    def late(
        self,
        declared: Declared,
        switched_on: Collection[str],
        first_run: Callable[[str], dt.datetime | None],
        now: dt.datetime | None = None,
    ) -> list[Late]:
        """Find the datasets with partitions past their deadline: later than the oldest that ever came, or than the DAG's first run.

        :param declared: what is declared
        :param switched_on: the DAGs that are
        :param first_run: says when the first run of a DAG was due; None: it never ran. Asked where nothing ever came
        :param now: the time, in UTC; by default the clock's
        :returns: those that are late
        """
        now = now or clock.now()
        late = []
        for dataset in declared.datasets():
            dag_id = f"{dataset.name}.ingest"
            if dataset.freshness is None or dag_id not in switched_on:
                continue
            hours = dataset.freshness.hours_after_partition
            due = self._due_days(dataset.schedule, hours, now)
            come = self._come.setdefault(dataset.name, set())
            if not come.issuperset(due):
                self._look(dataset, due)
            missing = [day for day in due if day not in come]
            if missing and (oldest := self._oldest.get(dataset.name)):
                missing = [day for day in missing if day > oldest]
            elif missing:
                began, grace = first_run(dag_id), dt.timedelta(hours=hours)
                missing = [day for day in missing if began is not None and clock.day_start(day) + grace > began]
            if missing:
                readers = declared.readers(dataset.name)
                late.append(Late(dataset.name, tuple(missing), hours, readers, bool(declared.serving & set(readers))))
        return late

    def _due_days(self, schedule: PartitionSchedule, hours: float, now: dt.datetime) -> list[dt.date]:
        due, valid_until = self._due.get((schedule, hours), ([], now))
        if now >= valid_until:
            due = due_partitions(schedule, hours, now)
            grace = dt.timedelta(hours=hours)
            coming = [clock.day_start(day) + grace for day in due_partitions(schedule, hours, now + _DAY)]
            self._due[schedule, hours] = due, min([*(deadline for deadline in coming if deadline > now), now + _DAY])
        return due

    def _look(self, dataset: DatasetConfig, due: list[dt.date]) -> None:
        table = partition_versions.c
        recent = sa.select(table.partition).where(table.dataset == dataset.name, table.partition >= due[0]).distinct()
        with reading() as connection:
            self._come[dataset.name].update(connection.execute(recent).scalars())
            if dataset.name not in self._oldest:
                oldest = connection.execute(sa.select(sa.func.min(table.partition)).where(table.dataset == dataset.name)).scalar()
                if oldest is not None:
                    self._oldest[dataset.name] = oldest


def due_partitions(schedule: PartitionSchedule, hours: float, now: dt.datetime) -> list[dt.date]:
    """List the partitions whose deadline is past, for not longer than `LOOK_BACK`.

    :param schedule: which partitions there are: one for each day that the cron expression names, from its start to its end
    :param hours: from a partition's midnight (UTC) to its deadline
    :param now: the time, in UTC
    :returns: the days, the oldest first
    """
    grace = dt.timedelta(hours=hours)
    first = max(schedule.start, (now - LOOK_BACK - grace).date())
    last = min(schedule.end or dt.date.max, (now - grace).date())
    if last < first:
        return []
    return [day for day in schedule.partitions(first, last) if clock.day_start(day) + grace <= now]


def _model(name: str) -> Place:
    return Place(model=name)
