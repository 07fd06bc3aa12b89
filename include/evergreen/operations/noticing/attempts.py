"""What is known of an attempt of a task that failed, and of where its task instance stands now."""

from __future__ import annotations

import datetime as dt
from typing import Literal, NamedTuple

AttemptState = Literal["failed", "retrying", "silent"]
WELL = frozenset({"success", "skipped", "removed"})


class Instance(NamedTuple):
    """A task instance; without a task, the run itself. ``map_index`` is -1 for a task that is not mapped."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1


class Attempt(NamedTuple):
    """An attempt that failed for good, that failed and is tried again, or whose worker is silent while it runs.

    Without a task it is a run that failed though none of its tasks did. ``backfill`` names the backfill that it comes of, directly or
    by what it reads: its number, or the DAG's name where that is unknown; empty: it is of live data.
    """

    instance: Instance
    try_number: int
    state: AttemptState
    partition: str = ""
    backfill: str = ""
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None


class Word(NamedTuple):
    """What an attempt said when it failed; without a class it said nothing, and ``error`` is what Airflow says of it, if anything."""

    error_class: str = ""
    error: str = ""

    @property
    def line(self) -> str:
        """The error in one line."""
        return next(iter(self.error.strip().splitlines()), "")


class Standing(NamedTuple):
    """Where a task instance, or a run, stands now. ``is_heard`` says that it runs and its worker was heard of just now."""

    state: str
    try_number: int
    is_heard: bool = False

    def is_well(self, try_number: int) -> bool:
        """Tell whether what was wrong with an attempt is made good.

        :param try_number: the attempt's
        :returns: whether the instance succeeded since, or the worker that was silent is heard of again
        """
        return self.state in WELL or (self.is_heard and self.try_number == try_number)
