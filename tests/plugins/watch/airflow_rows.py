"""Rows of Airflow's own tables, as its scheduler and its API server write them."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from airflow.models.asset import AssetEvent, association_table
from airflow.models.backfill import Backfill
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.taskinstance import TaskInstance, uuid7
from airflow.models.taskinstancehistory import TaskInstanceHistory
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session

from include.evergreen.foundation import clock

MINUTE = dt.timedelta(minutes=1)


def clear() -> None:
    """Remove what tests have written."""
    with create_session() as session:
        for table in (association_table, AssetEvent.__table__, TaskInstanceHistory.__table__, TaskInstance.__table__, DagRun.__table__,
                      Backfill.__table__, ParseImportError.__table__, Trigger.__table__):  # fmt: skip
            session.execute(sa.delete(table))
        session.execute(sa.update(DagModel.__table__).values(next_dagrun_create_after=None))


def run(dag_id: str, run_id: str, *, state: str = "running", kind: str = "manual", **more: Any) -> int:
    """Write a run down, and return its id."""
    now = clock.now()
    values = {"dag_id": dag_id, "run_id": run_id, "state": state, "run_type": kind, "run_after": now, "queued_at": now,
              "start_date": now - MINUTE, "end_date": now if state in {"failed", "success"} else None, "clear_number": 0,
              "span_status": "ended", **more}  # fmt: skip
    with create_session() as session:
        made = session.execute(sa.insert(DagRun.__table__).values(**values))
        return int(made.inserted_primary_key[0])  # type: ignore[index]


def task(dag_id: str, run_id: str, task_id: str, *, state: str = "failed", heard: dt.timedelta | None = MINUTE, **more: Any) -> UUID:
    """Write a task instance down whose worker was last heard of ``heard`` ago; None: it never ran."""
    now, number = clock.now(), uuid7()
    values = {"id": number, "dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": -1, "try_number": 1, "max_tries": 0,
              "state": state, "start_date": now - 2 * MINUTE, "end_date": now - MINUTE if state != "running" else None,
              "last_heartbeat_at": None if heard is None else now - heard, "pool": "default_pool", "pool_slots": 1, "queue": "default",
              "priority_weight": 1, "unixname": "root", "operator": "x", "executor_config": {}, "span_status": "ended", **more}  # fmt: skip
    with create_session() as session:
        session.execute(sa.insert(TaskInstance.__table__).values(**values))
    return number


def earlier_attempt(dag_id: str, run_id: str, task_id: str, try_number: int = 1, *, state: str = "failed", retries: int = 1) -> None:
    """Write down an attempt of a task instance that is there, after which it was tried again."""
    values = {"task_instance_id": uuid7(), "dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": -1,
              "try_number": try_number, "max_tries": retries, "state": state, "pool": "default_pool", "pool_slots": 1,
              "span_status": "ended"}  # fmt: skip
    with create_session() as session:
        session.execute(sa.insert(TaskInstanceHistory.__table__).values(**values))


def set_state(dag_id: str, run_id: str, task_id: str, **values: Any) -> None:
    """Change a task instance."""
    with create_session() as session:
        mine = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == task_id)
        session.execute(sa.update(TaskInstance.__table__).where(*mine).values(**values))


def set_run(number: int, **values: Any) -> None:
    """Change a run."""
    with create_session() as session:
        session.execute(sa.update(DagRun.__table__).where(DagRun.__table__.c.id == number).values(**values))


def backfill(dag_id: str) -> int:
    """Write a backfill down."""
    day = dt.datetime(2013, 2, 1, tzinfo=dt.UTC)
    values = {"dag_id": dag_id, "from_date": day, "to_date": day, "dag_run_conf": {}, "max_active_runs": 8, "reprocess_behavior": "none"}
    now = clock.now()
    with create_session() as session:
        made = session.execute(sa.insert(Backfill.__table__).values(**values, created_at=now, updated_at=now))
        return int(made.inserted_primary_key[0])  # type: ignore[index]


def event(reader: int, source: tuple[str, str], origin: str) -> None:
    """A run reads what another has made."""
    dag_id, run_id = source
    values = {"asset_id": 1, "extra": {"origin": origin}, "source_dag_id": dag_id, "source_run_id": run_id, "source_map_index": -1}
    with create_session() as session:
        made = session.execute(sa.insert(AssetEvent.__table__).values(**values, timestamp=clock.now()))
        number = made.inserted_primary_key[0]  # type: ignore[index]
        session.execute(sa.insert(association_table).values(dag_run_id=reader, event_id=number))


def import_error(file: str, trace: str) -> None:
    """A file does not parse."""
    with create_session() as session:
        session.execute(sa.insert(ParseImportError.__table__).values(filename=file, stacktrace=trace, timestamp=clock.now()))


def trigger(**values: Any) -> None:
    """A task is deferred."""
    with create_session() as session:
        session.execute(sa.insert(Trigger.__table__).values(classpath="x", kwargs="", **values))


def dag(dag_id: str, *, is_paused: bool = False, **more: Any) -> None:
    """Write a DAG down."""
    with create_session() as session:
        session.merge(DagBundleModel(name="ours"))
        session.flush()
        session.merge(
            DagModel(dag_id=dag_id, is_paused=is_paused, bundle_name="ours", fileloc="x", timetable_type="", **{"is_stale": False, **more})
        )
