"""Nights of one model through an Airflow of their own."""

from __future__ import annotations

import datetime as dt
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.outcome import DATASETS, MODEL, decided, ingested_in
from include.evergreen.data.partitions import current_partition
from include.evergreen.foundation.errors import EvergreenError, TransientError
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.monitoring import list_observations
from tools.embedded import EmbeddedAirflow, free_port
from tools.failures import failures_since
from tools.rest import AirflowApi

DAGS = (*(f"{name}.ingest" for name in DATASETS), *(f"{MODEL}.{stage}" for stage in ("train", "score", "monitor", "retrain")))
FIRST_PORT = 8200
PORTS = 600  # spread by process id, so that two benchmarks at once do not reach for the same one
TIMEOUT_SECONDS = 240
POLL_SECONDS = 0.1
TRIGGER_ATTEMPTS = 5
SETTLE_SECONDS = 0.5
SETTLED_AFTER_LOOKS = 4  # an asset event may be a scheduler loop away from the run that it makes


class NightError(EvergreenError):
    """A night did not come to its end."""


@dataclass(frozen=True)
class Task:
    """One task of a night. Moments are seconds after the night's first trigger; ``ready`` is when it could have started."""

    name: str
    ready: float
    start: float
    end: float


@dataclass(frozen=True)
class Night:
    """One night: its tasks, first to start first."""

    tasks: list[Task]

    @property
    def seconds(self) -> float:
        """From the first trigger to the end of the last task."""
        return max(task.end for task in self.tasks)

    @property
    def seconds_without_a_task(self) -> float:
        """For how long no task ran at all: what the scheduler takes between tasks."""
        busy, last = 0.0, 0.0
        for task in self.tasks:
            busy += max(0.0, task.end - max(task.start, last))
            last = max(last, task.end)
        return self.seconds - busy


@contextmanager
def airflow_for_nights(home: Path, environment: Mapping[str, str] | None = None) -> Iterator[EmbeddedAirflow]:
    """An Airflow on ``home`` that has parsed every DAG that ships; one model and its datasets are on, its sensor waiting for a trigger."""
    port = free_port(FIRST_PORT + os.getpid() % PORTS)
    with EmbeddedAirflow(home, port=port, environment=dict(environment or {})) as airflow:
        api, waiter = airflow.api(), _Waiter(airflow)
        waiter.until("the first parse", lambda: set(DAGS) <= api.dag_ids())
        for dag_id in DAGS:
            api.pause(dag_id, paused=False)
        waiter.until("arming the sensor", lambda: bool(api.task_instances(f"{MODEL}.retrain", state="deferred")))
        waiter.until_settled()
        yield airflow


def run_night(airflow: EmbeddedAirflow, night: Partition) -> Night:
    """Trigger what a night brings, and wait until nothing more comes of it."""
    api, yesterday = airflow.api(), DAILY.shift(night, -1)
    api.dag_ids()  # log in before the clock starts
    waiter = _Waiter(airflow)
    for dataset, day in ingested_in(night):
        _trigger(api, f"{dataset}.ingest", day)
    # Our own database is asked, and not Airflow's API: answering would take processor time from what is measured.
    waiter.until("ingestion", lambda: all(current_partition(*each) for each in ingested_in(night)))
    _trigger(api, f"{MODEL}.train", night)
    waiter.until("monitoring", lambda: _is_observed("drift.share", night) and _is_observed("performance.auc", yesterday))
    waiter.until("training", lambda: decided(night) is not None)
    waiter.until_settled()
    return Night(_tasks_since(api, waiter.started_at))


def anatomy(nights: Sequence[Night]) -> dict[str, Any]:
    """Medians over nights, and where their time goes."""
    tasks = [task for night in nights for task in night.tasks]
    return {
        "scheduler_s": statistics.median(night.seconds for night in nights),
        "scheduler_nights_s": [night.seconds for night in nights],
        "tasks_a_night": statistics.median(len(night.tasks) for night in nights),
        "task_seconds_a_night": statistics.median(sum(task.end - task.start for task in night.tasks) for night in nights),
        "seconds_without_a_task": statistics.median(night.seconds_without_a_task for night in nights),
        "task_waits_s": statistics.median(task.start - task.ready for task in tasks),
        "task_runs_s": {
            name: statistics.median(task.end - task.start for task in tasks if task.name == name)
            for name in sorted({task.name for task in tasks})
        },
    }


def _trigger(api: AirflowApi, dag_id: str, day: Partition) -> None:
    """Start a run under a name of its own. Airflow's SQLite is locked now and then, and its API answers that with 500."""
    for attempts_left in reversed(range(TRIGGER_ATTEMPTS)):
        try:
            api.trigger(dag_id, partition_key=str(day), run_id=f"night__{day}")
            return
        except TransientError:
            if not attempts_left:
                raise
            time.sleep(POLL_SECONDS)


class _Waiter:
    """Waits for a night's steps, and fails as soon as one of Airflow's processes has, or time is up."""

    def __init__(self, airflow: EmbeddedAirflow) -> None:
        self.airflow = airflow
        self.started_at = dt.datetime.now(dt.UTC)
        self._deadline = time.monotonic() + TIMEOUT_SECONDS

    def until(self, what: str, is_reached: Callable[[], bool], poll_seconds: float = POLL_SECONDS) -> None:
        while not is_reached():
            if time.monotonic() > self._deadline:
                raise NightError(f"{what} did not end in {TIMEOUT_SECONDS} s. {self._failures() or f'Logs: {self.airflow.logs}'}")
            if dead := self.airflow.dead_component():
                raise NightError(f"Airflow's {dead} has ended by itself. Its log: {self.airflow.logs / f'{dead}.log'}")
            time.sleep(poll_seconds)

    def until_settled(self) -> None:
        """Until nothing but the waiting sensor runs or is queued. No clock waits for this: tasks tell when they ended."""
        api, quiet = self.airflow.api(), 0

        def is_quiet() -> bool:
            nonlocal quiet
            active = [run for run in api.runs("~", state=["queued", "running"]) if not run["dag_id"].endswith(".retrain")]
            quiet = 0 if active else quiet + 1
            return quiet >= SETTLED_AFTER_LOOKS

        self.until("the last run", is_quiet, SETTLE_SECONDS)
        if failures := self._failures():
            raise NightError(failures)

    def _failures(self) -> str:
        logs = self.airflow.home / "airflow" / "logs"
        return "\n".join(str(each) for each in failures_since(self.airflow.api(), logs, self.started_at.isoformat()))


def _is_observed(metric: str, day: Partition) -> bool:
    return bool(list_observations(MODEL, metric, day, day))


def _tasks_since(api: AirflowApi, moment: dt.datetime) -> list[Task]:
    """The tasks that ran since then, the standing sensor's aside. One that was skipped unrun has no start of its own."""

    def seconds(text: str) -> float:
        return (dt.datetime.fromisoformat(text) - moment).total_seconds()

    tasks = []
    for found in api.task_instances("~", "~", start_date_gte=moment.isoformat()):
        if found["scheduled_when"] and not found["dag_id"].endswith(".retrain"):
            moments = (seconds(found[each]) for each in ("scheduled_when", "start_date", "end_date"))
            tasks.append(Task(f"{found['dag_id']}/{found['task_id']}", *moments))
    return sorted(tasks, key=lambda task: task.start)
