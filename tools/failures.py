"""What failed in Airflow, why, and where its log lies: for a person who did not watch."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.rest import AirflowApi


@dataclass(frozen=True)
class TaskFailure:
    """One failed task, with the last error that it logged."""

    dag_id: str
    task_id: str
    run_id: str
    partition: str
    why: str
    log: Path

    def __str__(self) -> str:
        about = f" for {self.partition}" if self.partition else ""
        return f"{self.dag_id}, task {self.task_id}{about}, failed:\n  {self.why}\n  its log: {self.log}"


def failures_since(api: AirflowApi, logs: Path, started_at: str, *, of: Container[str] | None = None) -> list[TaskFailure]:
    """The failed tasks of runs that ended after ``started_at`` (ISO moment); ``of``: of these DAGs alone."""
    runs = [run for run in api.runs("~", state="failed", end_date_gte=started_at) if of is None or run["dag_id"] in of]
    found = []
    for run in runs:
        for task in api.task_instances(run["dag_id"], run["dag_run_id"], state="failed"):
            found.append(_failure(run, task, logs))
    return found


def _failure(run: dict[str, Any], task: dict[str, Any], logs: Path) -> TaskFailure:
    log = (
        logs
        / f"dag_id={run['dag_id']}"
        / f"run_id={run['dag_run_id']}"
        / f"task_id={task['task_id']}"
        / f"attempt={task['try_number']}.log"
    )
    return TaskFailure(run["dag_id"], task["task_id"], run["dag_run_id"], run["partition_key"] or "", _last_error(log), log)


def _last_error(log: Path) -> str:
    """The newest exception in a task's log (JSON lines), as ``Type: message``."""
    if not log.exists():
        return "it wrote no log: its process was ended from outside, or never started"
    last = "no error was logged: its process was ended from outside"
    for line in log.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        for error in entry.get("error_detail") or []:
            last = f"{error.get('exc_type')}: {error.get('exc_value')}"
    return last
