"""Report failed Airflow tasks, with the error and the path of the log."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.rest import AirflowApi


@dataclass(frozen=True)
class TaskFailure:
    """A failed task, with the last error in its log."""

    dag_id: str
    task_id: str
    run_id: str
    partition: str
    why: str
    log: Path

    def __str__(self) -> str:
        about = f" for {self.partition}" if self.partition else ""
        return f"{self.dag_id}, task {self.task_id}{about}, failed:\n  {self.why}\n  log: {self.log}"


def failures_since(api: AirflowApi, logs: Path, started_at: str, *, of: Container[str] | None = None) -> list[TaskFailure]:
    """Return the failed tasks of runs that ended after ``started_at`` (ISO timestamp); with ``of``, of these DAGs only."""
    runs = [run for run in api.runs("~", state="failed", end_date_gte=started_at) if of is None or run["dag_id"] in of]
    failures = []
    for run in runs:
        for task in api.task_instances(run["dag_id"], run["dag_run_id"], state="failed"):
            failures.append(_failure(run, task, logs))
    return failures


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
    """Return the newest exception in a task's log (JSON lines), as ``Type: message``."""
    if not log.exists():
        return "no log was written: the process was killed or never started"
    last = "no error was logged: the process was killed"
    for line in log.read_text(errors="replace", encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        for error in entry.get("error_detail") or []:
            last = f"{error.get('exc_type')}: {error.get('exc_value')}"
    return last
