"""What Airflow's own database says of tasks, runs and components. Only the API server may ask; every query goes by an index.

The newest failures are found by the time of their last heartbeat, which is indexed, and not by their state: of failed task
instances there are more each year. What never ran has no heartbeat, and is found when its run has ended.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from airflow.models.asset import AssetEvent, association_table
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskinstancehistory import TaskInstanceHistory
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from sqlalchemy.orm import Session

from include.evergreen.foundation import clock
from include.evergreen.foundation.settings import Settings
from include.evergreen.operations.noticing import Attempt, Instance, Run, Standing
from include.evergreen.operations.noticing.stuck import PAST

PAGE = 1000
CHUNK = 200
RECENT_RUNS = 20_000  # looked through once, when a watcher begins
MOST_RUNNING = 10_000
COMPARED_RUNS = 150  # of a DAG: some of them failed, or are of a backfill
LONGEST_CHAIN = 4  # of runs, from a backfill to what reads what it made: ingest, score, monitor
FAILED, RETRYING, RUNNING, QUEUED = "failed", "up_for_retry", "running", "queued"
_TI = TaskInstance


def failed_attempts(since: dt.datetime) -> Iterator[list[sa.Row[Any]]]:
    """List attempts that failed, whose worker was last heard of after a time.

    :param since: a time, in UTC
    :yields: rows as `attempts_of` takes them, up to `PAGE` at once
    """
    state = sa.func.coalesce(_TI.state, "")  # not by its index
    after: tuple[dt.datetime, Any] | None = None
    while True:
        query = _attempts().where(_TI.last_heartbeat_at >= (after[0] if after else since), state.in_((FAILED, RETRYING)))
        if after:
            query = query.where((_TI.last_heartbeat_at > after[0]) | (_TI.id > after[1]))
        with create_session() as session:
            rows = list(session.execute(query.order_by(_TI.last_heartbeat_at, _TI.id).limit(PAGE)))
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        after = rows[-1].last_heartbeat_at, rows[-1].id


def running_tasks() -> list[sa.Row[Any]]:
    """List the task instances that run, up to `MOST_RUNNING`.

    :returns: rows as `attempts_of` takes them
    """
    with create_session() as session:
        return list(session.execute(_attempts().where(_TI.state == RUNNING).limit(MOST_RUNNING)))


def queued_tasks(before: dt.datetime) -> list[sa.Row[Any]]:
    """List the task instances that have waited for a worker since a time, up to `MOST_RUNNING`.

    :param before: a time, in UTC
    :returns: rows of ``dag_id``, ``task_id`` and ``queued_dttm``, the longest waiting first
    """
    waits = (_TI.state == QUEUED, _TI.queued_dttm < before)
    query = sa.select(_TI.dag_id, _TI.task_id, _TI.queued_dttm).where(*waits).order_by(_TI.queued_dttm).limit(MOST_RUNNING)
    with create_session() as session:
        return list(session.execute(query))


def unheard_triggers(before: dt.datetime) -> int:
    """Count the triggers that have waited since a time for a triggerer with room for them.

    :param before: a time, in UTC
    :returns: how many; each is a task that is deferred, such as a sensor of retraining
    """
    waits = (Trigger.triggerer_id.is_(None), Trigger.created_date < before)
    with create_session() as session:
        return int(session.execute(sa.select(sa.func.count()).select_from(Trigger).where(*waits)).scalar_one())


def has_begun(since: dt.datetime) -> bool:
    """Say whether any task has begun since a time.

    :param since: a time, in UTC
    :returns: True for one that has ended meanwhile, too
    """
    query = sa.select(_TI.id).where(_TI.last_heartbeat_at >= since, _TI.start_date >= since).limit(1)
    with create_session() as session:
        return session.execute(query).first() is not None


def failures_of_runs(run_ids: Collection[int]) -> list[sa.Row[Any]]:
    """List the task instances that failed in runs.

    :param run_ids: the runs' ``id``
    :returns: rows as `attempts_of` takes them
    """
    rows: list[sa.Row[Any]] = []
    for chunk in _chunks(sorted(run_ids)):
        with create_session() as session:
            rows += session.execute(_attempts().where(DagRun.id.in_(chunk), sa.func.coalesce(_TI.state, "") == FAILED))
    return rows


def attempts_of(rows: Collection[sa.Row[Any]], state: str = "") -> list[Attempt]:
    """Make attempts of rows, with the backfill that each comes of.

    :param rows: of task instances and their runs
    :param state: ``silent``; by default what Airflow says
    :returns: one for each row
    """
    with create_session() as session:
        backfills = _backfills(session, {row.run: (row.backfill_id, row.run_type) for row in rows})
    return [
        Attempt(
            instance=Instance(row.dag_id, row.task_id, row.run_id, row.map_index),
            try_number=row.try_number,
            state=state or ("retrying" if row.state == RETRYING else "failed"),  # type: ignore[arg-type]
            partition=row.partition_key or "",
            backfill=backfills.get(row.run, ""),
            started_at=row.start_date,
            ended_at=row.end_date,
        )
        for row in rows
    ]


def active_runs() -> set[int]:
    """List the runs that are queued or running.

    :returns: their ``id``
    """
    table = DagRun.__table__
    with create_session() as session:
        found: set[int] = set()
        for state in ("running", "queued"):  # literal, as the partial indexes have it
            found |= set(session.execute(sa.select(table.c.id).where(sa.text(f"dag_run.state='{state}'"))).scalars())
        return found


def newest_run() -> int:
    """Say which run was made last.

    :returns: its ``id``; 0 when there is none
    """
    with create_session() as session:
        return int(session.execute(sa.select(sa.func.max(DagRun.id))).scalar() or 0)


def failed_runs(*, among: Collection[int] = (), newer_than: int | None = None, since: dt.datetime | None = None) -> list[sa.Row[Any]]:
    """List runs that ended as failed.

    :param among: the ``id`` of runs to look at
    :param newer_than: look at all with a higher ``id``, too
    :param since: leave out what ended before; None: nothing
    :returns: ``id``, DAG, run and when it ended
    """
    columns = (DagRun.id.label("run"), DagRun.dag_id, DagRun.run_id, DagRun.partition_key, DagRun.backfill_id, DagRun.run_type,
               DagRun.clear_number, DagRun.start_date, DagRun.end_date)  # fmt: skip
    state = sa.func.coalesce(DagRun.__table__.c.state, "")
    query = sa.select(*columns).where(state == FAILED, *([] if since is None else [DagRun.end_date >= since]))
    rows: list[sa.Row[Any]] = []
    with create_session() as session:
        for chunk in _chunks(sorted(among)):
            rows += session.execute(query.where(DagRun.id.in_(chunk)))
        if newer_than is not None:
            rows += session.execute(query.where(DagRun.id > newer_than))
    return rows


def run_attempts(rows: Collection[sa.Row[Any]]) -> list[Attempt]:
    """Make attempts of failed runs themselves.

    :param rows: of `failed_runs`
    :returns: one for each, without a task
    """
    with create_session() as session:
        backfills = _backfills(session, {row.run: (row.backfill_id, row.run_type) for row in rows})
    return [
        Attempt(Instance(row.dag_id, "", row.run_id), row.clear_number + 1, "failed", row.partition_key or "", backfills.get(row.run, ""),
                row.start_date, row.end_date)
        for row in rows
    ]  # fmt: skip


def standings(instances: Collection[Instance], silent_after: dt.timedelta) -> dict[Instance, Standing]:
    """Look where task instances, and runs, stand.

    :param instances: any number
    :param silent_after: of a running one whose worker was heard of within it, that is said
    :returns: those that are there
    """
    found: dict[Instance, Standing] = {}
    heard_since = clock.now() - silent_after
    tasks = sorted(instance for instance in instances if instance.task_id)
    runs = sorted((instance.dag_id, instance.run_id) for instance in instances if not instance.task_id)
    with create_session() as session:
        for chunk in _chunks(tasks):
            columns = (_TI.dag_id, _TI.task_id, _TI.run_id, _TI.map_index, _TI.state, _TI.try_number, _TI.last_heartbeat_at)
            key = (_TI.dag_id, _TI.task_id, _TI.run_id, _TI.map_index)
            query = sa.select(*columns).where(_any_of(key, chunk))
            for row in session.execute(query):
                is_heard = row.state == RUNNING and row.last_heartbeat_at is not None and row.last_heartbeat_at >= heard_since
                instance = Instance(row.dag_id, row.task_id, row.run_id, row.map_index)
                found[instance] = Standing(str(row.state or ""), row.try_number, is_heard)
        state = DagRun.__table__.c.state
        for pairs in _chunks(runs):
            of_runs = sa.select(DagRun.dag_id, DagRun.run_id, state, DagRun.clear_number)
            for row in session.execute(of_runs.where(_any_of((DagRun.dag_id, DagRun.run_id), pairs))):
                found[Instance(row.dag_id, "", row.run_id)] = Standing(str(row.state or ""), row.clear_number + 1)
    return found


def past_durations(dag_id: str, task_id: str) -> list[float]:
    """Say how long the newest successes of a task took.

    :param dag_id: the DAG's
    :param task_id: the task's
    :returns: seconds, of up to `PAST` runs
    """
    table = TaskInstance.__table__.c
    mine = (table.dag_id == dag_id, table.task_id == task_id, table.state == "success", table.duration.is_not(None))
    with create_session() as session:
        query = sa.select(table.duration).where(*mine).order_by(table.start_date.desc()).limit(PAST)
        return [float(seconds) for seconds in session.execute(query).scalars()]


def newest_runs(dag_id: str) -> list[Run]:
    """List the newest runs of a DAG that have ended, and say which of them succeeded with more than one attempt.

    :param dag_id: the DAG's
    :returns: of the newest `COMPARED_RUNS` those of live data in which nothing failed for good, the newest first
    """
    table, state = DagRun.__table__.c, sa.func.coalesce(DagRun.__table__.c.state, "")
    columns = (table.id, table.run_id, table.run_type, table.backfill_id, table.end_date, state.label("ended"))
    query = sa.select(*columns).where(table.dag_id == dag_id, state.in_((FAILED, "success")), table.end_date.is_not(None))
    earlier = TaskInstanceHistory.__table__.c
    for_good = (earlier.try_number > earlier.max_tries).label("for_good")  # and a person cleared it
    attempts = sa.select(earlier.run_id, for_good).where(earlier.dag_id == dag_id, earlier.state == FAILED).distinct()
    with create_session() as session:
        rows = session.execute(query.order_by(table.id.desc()).limit(COMPARED_RUNS)).all()
        backfills = _backfills(session, {row.id: (row.backfill_id, row.run_type) for row in rows})
        failed = {
            (row.run_id, bool(row.for_good))
            for chunk in _chunks([row.run_id for row in rows])
            for row in session.execute(attempts.where(earlier.run_id.in_(chunk)))
        }
    return [
        Run(row.run_id, row.end_date, (row.run_id, False) in failed)
        for row in rows
        if row.ended == "success" and (row.run_id, True) not in failed and row.id not in backfills
    ]


def import_errors() -> list[tuple[str, str]]:
    """List the files that do not parse.

    :returns: file and stack trace of each
    """
    with create_session() as session:
        rows = session.execute(sa.select(ParseImportError.filename, ParseImportError.stacktrace).order_by(ParseImportError.filename))
        return [(row.filename or "", row.stacktrace or "") for row in rows.all()]


def ingest_dags() -> frozenset[str]:
    """List the DAGs ``<dataset>.ingest`` that are switched on.

    :returns: their ids
    """
    query = sa.select(DagModel.dag_id).where(DagModel.dag_id.like("%.ingest"), DagModel.is_paused.is_(False), DagModel.is_stale.is_(False))
    with create_session() as session:
        return frozenset(session.execute(query).scalars())


def overdue_dags(before: dt.datetime) -> list[tuple[str, dt.datetime]]:
    """List the DAGs whose next run the scheduler should have made before a time, and has not.

    A DAG that is switched off, that does not parse, or that has as many runs as it may have at once is none of them.

    :param before: a time, in UTC
    :returns: each one's id and when its run was due, the longest overdue first
    """
    due = DagModel.next_dagrun_create_after
    is_on = (DagModel.is_paused, DagModel.is_stale, DagModel.has_import_errors, DagModel.exceeds_max_non_backfill)
    query = sa.select(DagModel.dag_id, due).where(due < before, *(flag.is_(False) for flag in is_on)).order_by(due, DagModel.dag_id)
    with create_session() as session:
        return [(row.dag_id, row.next_dagrun_create_after) for row in session.execute(query)]


def first_run(dag_id: str) -> dt.datetime | None:
    """Say when a DAG's first run was due.

    :param dag_id: the DAG's
    :returns: a time; None when it never ran
    """
    runs = DagRun.__table__.c
    with create_session() as session:
        return session.execute(sa.select(runs.run_after).where(runs.dag_id == dag_id).order_by(runs.id).limit(1)).scalar()


def folders() -> list[Path]:
    """List where this deployment writes on this machine: our home, our storage if it is a folder, and Airflow's logs.

    :returns: folders, which need not be there
    """
    from airflow.configuration import conf

    settings = Settings.from_environment()
    storage = [] if "://" in str(settings.storage) else [Path(str(settings.storage))]
    return [settings.home, *storage, Path(conf.get("logging", "base_log_folder"))]


def component_health() -> dict[str, tuple[bool, str]]:
    """Say which components of Airflow answer.

    :returns: whether each is well, and when it last said so; one that this deployment never had is left out
    """
    from airflow.api.common.airflow_health import get_airflow_health

    health = get_airflow_health()
    return {
        name: (health[name]["status"] == "healthy", str(health[name].get(f"latest_{name}_heartbeat") or "never"))
        for name in ("scheduler", "triggerer", "dag_processor")
        if health[name]["status"] is not None and health[name].get(f"latest_{name}_heartbeat") is not None
    }


def _attempts() -> Any:
    return sa.select(
        _TI.id, _TI.dag_id, _TI.task_id, _TI.run_id, _TI.map_index, _TI.try_number, _TI.state, _TI.start_date, _TI.end_date,
        _TI.last_heartbeat_at, DagRun.id.label("run"), DagRun.partition_key, DagRun.backfill_id, DagRun.run_type,
    ).join(DagRun, (DagRun.dag_id == _TI.dag_id) & (DagRun.run_id == _TI.run_id))  # fmt: skip


def _backfills(session: Session, runs: dict[int, tuple[int | None, str]]) -> dict[int, str]:
    """The backfill of each run that is of one: it was made by it, or by events of nothing but what it made."""
    own = {run: str(backfill_id) for run, (backfill_id, _) in runs.items() if backfill_id is not None}
    unknown = {run: {run} for run, (backfill_id, kind) in runs.items() if backfill_id is None and kind == "asset_triggered"}
    for _ in range(LONGEST_CHAIN):
        events = _events(session, {source for sources in unknown.values() for source in sources})
        following: dict[int, set[int]] = {}
        for run, sources in unknown.items():
            read = [event for source in sources for event in events.get(source, ())]
            if not read or any(event.origin != "backfill" for event in read):
                continue  # what is new to it is live, at least in part
            if known := sorted({str(event.backfill_id) for event in read if event.backfill_id is not None}, key=int):
                own[run] = known[-1]
            elif of := {event.source for event in read if event.source is not None}:
                following[run] = of
            else:
                own[run] = read[0].dag_id or "unknown"
        unknown = following
        if not unknown:
            break
    return own


class _Event:
    def __init__(self, row: Any) -> None:
        self.origin = (row.extra or {}).get("origin")
        self.source, self.backfill_id, self.dag_id = row.source, row.backfill_id, row.source_dag_id


def _events(session: Session, run_ids: Collection[int]) -> dict[int, list[_Event]]:
    found: dict[int, list[_Event]] = defaultdict(list)
    source = DagRun.__table__.alias("source")
    for chunk in _chunks(sorted(run_ids)):
        query = (
            sa.select(association_table.c.dag_run_id, AssetEvent.extra, AssetEvent.source_dag_id, source.c.id.label("source"),
                      source.c.backfill_id)
            .join(AssetEvent, AssetEvent.id == association_table.c.event_id)
            .outerjoin(source, (source.c.dag_id == AssetEvent.source_dag_id) & (source.c.run_id == AssetEvent.source_run_id))
            .where(association_table.c.dag_run_id.in_(chunk))
        )  # fmt: skip
        for row in session.execute(query):
            found[row.dag_run_id].append(_Event(row))
    return found


def _any_of(key: Sequence[Any], wanted: Sequence[Sequence[Any]]) -> sa.ColumnElement[bool]:
    """Rows with one of these keys: by the index of the key on SQLite, too, which reads a table from end to end for ``(a, b) IN``."""
    return sa.or_(*(sa.and_(*(column == value for column, value in zip(key, values, strict=True))) for values in wanted))


def _chunks(items: list[Any]) -> Iterator[list[Any]]:
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
