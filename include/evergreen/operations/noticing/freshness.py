"""Freshness: partitions that are past their deadline and have not come, by what is declared and by our own clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass

import sqlalchemy as sa

from include.evergreen.config import DatasetConfig
from include.evergreen.config.datasets import Freshness
from include.evergreen.config.moments import AfterPartition
from include.evergreen.config.schedule import PartitionSchedule
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import Partition
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
    days: tuple[Partition, ...]
    deadline: str
    readers: tuple[str, ...]
    is_critical: bool

    @property
    def finding(self) -> Finding:
        """The alert that says so."""
        days = [str(day) for day in self.days]
        waiting = f"Waiting for it: {some(self.readers, 20)}." if self.readers else "No model reads it."
        message = (
            f"{self.dataset} is late: {some(days)} should have come at the latest {self.deadline} and "
            f"{'has' if len(days) == 1 else 'have'} not. {waiting}"
        )
        places = (Place(dag_id=f"{self.dataset}.ingest", dataset=self.dataset, partition=days[-1]), *map(_model, self.readers))
        evidence = {"days": days, "models": list(self.readers), "deadline": self.deadline}
        return Finding(f"freshness/{self.dataset}", "critical" if self.is_critical else "warning", message, evidence,
                       dataset=self.dataset, places=places)  # fmt: skip


class Deadlines:
    """Which partitions are late. It remembers what has come and when the next deadline is, so that a look costs almost nothing."""

    def __init__(self) -> None:
        self._come: dict[str, set[Partition]] = {}
        self._oldest: dict[str, Partition] = {}
        self._due: dict[tuple[PartitionSchedule, Freshness], tuple[list[Partition], dt.datetime]] = {}

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
            freshness, grain = dataset.freshness, dataset.grain
            due = self._due_days(dataset.schedule, freshness, now)
            come = self._come.setdefault(dataset.name, set())
            if not come.issuperset(due):
                self._look(dataset, due)
            missing = [day for day in due if day not in come]
            if missing and (oldest := self._oldest.get(dataset.name)):
                missing = [day for day in missing if day > oldest]
            elif missing:
                began = first_run(dag_id)
                missing = [day for day in missing if began is not None and freshness.moment(grain, day) > began]
            if missing:
                readers = declared.readers(dataset.name)
                late.append(Late(dataset.name, tuple(missing), freshness.text(grain), readers, bool(declared.serving & set(readers))))
        return late

    def _due_days(self, schedule: PartitionSchedule, freshness: Freshness, now: dt.datetime) -> list[Partition]:
        due, valid_until = self._due.get((schedule, freshness), ([], now))
        if now >= valid_until:
            due = due_partitions(schedule, freshness, now)
            coming = [freshness.moment(schedule.partition_grain, day) for day in due_partitions(schedule, freshness, now + _DAY)]
            self._due[schedule, freshness] = due, min([*(deadline for deadline in coming if deadline > now), now + _DAY])
        return due

    def _look(self, dataset: DatasetConfig, due: list[Partition]) -> None:
        table = partition_versions.c
        recent = sa.select(table.partition).where(table.dataset == dataset.name, table.partition >= due[0]).distinct()
        with reading() as connection:
            self._come[dataset.name].update(connection.execute(recent).scalars())
            if dataset.name not in self._oldest:
                oldest = connection.execute(sa.select(sa.func.min(table.partition)).where(table.dataset == dataset.name)).scalar()
                if oldest is not None:
                    self._oldest[dataset.name] = oldest


def due_partitions(schedule: PartitionSchedule, deadline: AfterPartition, now: dt.datetime) -> list[Partition]:
    """List the partitions whose deadline is past, for not longer than `LOOK_BACK`.

    :param schedule: which partitions there are: one for each in which the cron expression has a time, from its start to its end
    :param deadline: of a partition
    :param now: the time, in UTC
    :returns: their keys, the oldest first
    """
    grain = schedule.partition_grain
    now_in = grain.at(now)
    grace = deadline.moment(grain, now_in) - grain.start(now_in)
    first = max(schedule.first, grain.at(now - LOOK_BACK - grace))
    last = min(schedule.last, grain.shift(grain.at(now - grace), 1))
    if last < first:
        return []
    return [partition for partition in schedule.partitions(first, last) if deadline.moment(grain, partition) <= now]


def _model(name: str) -> Place:
    return Place(model=name)
