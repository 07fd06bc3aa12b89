"""What Airflow's own tables say becomes alerts, once, and what is well again resolves them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from include.evergreen.state.alerts import open_alerts, show_alert
from include.evergreen.state.task_failures import record_failure

if TYPE_CHECKING:
    from fastapi import FastAPI

SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def rows(airflow_app: FastAPI, home: object) -> Iterator[Any]:
    """Airflow's tables, empty before and after."""
    from tests.plugins.watch import airflow_rows

    airflow_rows.clear()
    yield airflow_rows
    airflow_rows.clear()


@pytest.fixture
def watch(rows: Any) -> Any:
    from evergreen_airflow.watch.duties import Watch

    return Watch()


def look(watch: Any) -> list[str]:
    watch.notice_failures(), watch.notice_runs(), watch.settle()
    return sorted(alert.key.partition("/")[0] for alert in open_alerts())


def says(dag_id: str, run_id: str, task_id: str, error: str = "it went wrong") -> None:
    instance = {"dag_id": dag_id, "task_id": task_id, "run_id": run_id, "map_index": -1, "try_number": 1}
    record_failure(**instance, partition="", error_class="ValueError", error=error)


def test_what_failed_is_told_once_and_resolved_by_success(watch: Any, rows: Any) -> None:
    rows.run("their.dag", "one", partition_key="2013-02-08")
    rows.task("their.dag", "one", "work")
    says("their.dag", "one", "work")
    for _ in range(3):
        assert look(watch) == ["task"]
    (alert,) = open_alerts()
    (place,) = show_alert(alert.id).places
    assert (alert.times, place.run_id, place.partition) == (1, "one", "2013-02-08")
    rows.set_state("their.dag", "one", "work", state=None)
    assert look(watch) == ["task"], "it was cleared, and has not run yet"
    rows.set_state("their.dag", "one", "work", state="success", try_number=2)
    assert look(watch) == []


def test_another_watcher_that_takes_over_tells_nothing_twice(watch: Any, rows: Any) -> None:
    from evergreen_airflow.watch.duties import Watch

    rows.run("their.dag", "one", state="failed")
    rows.task("their.dag", "one", "work")
    look(watch)
    look(Watch())
    assert [(alert.kind, alert.times) for alert in open_alerts()] == [("died", 1)]


def test_a_run_that_is_deleted_takes_its_alert_with_it(watch: Any, rows: Any) -> None:
    rows.run("their.dag", "one", state="failed")
    rows.task("their.dag", "one", "work")
    assert look(watch) == ["died"]
    rows.clear()
    assert look(watch) == []


def test_a_worker_that_is_silent_for_40_seconds_is_told_and_one_that_speaks_is_not(watch: Any, rows: Any) -> None:
    for name, seconds in (("silent", 41), ("speaks", 39)):
        rows.run(name, "one")
        rows.task(name, "one", "work", state="running", heard=seconds * SECOND)
    assert look(watch) == ["died"]
    (alert,) = open_alerts()
    assert alert.key == "died/silent/work" and "silent" in alert.message
    rows.set_state("silent", "one", "work", last_heartbeat_at=dt.datetime.now(dt.UTC))
    assert look(watch) == []


def test_a_task_that_failed_without_ever_running_is_told_when_its_run_has_ended(watch: Any, rows: Any) -> None:
    number = rows.run("their.dag", "one")
    rows.task("their.dag", "one", "work", heard=None)
    assert look(watch) == []
    rows.set_run(number, state="failed", end_date=dt.datetime.now(dt.UTC))
    assert look(watch) == ["died"]


def test_a_run_that_fails_although_no_task_did_is_told_also_when_it_was_made_and_ended_between_two_looks(watch: Any, rows: Any) -> None:
    assert look(watch) == []
    number = rows.run("their.dag", "one", state="failed")
    rows.task("their.dag", "one", "work", state="skipped")
    assert look(watch) == ["run"]
    rows.set_run(number, state="success")
    assert look(watch) == []


def test_failures_of_a_backfill_and_of_all_that_reads_it_are_one_alert_and_what_is_live_is_another(watch: Any, rows: Any) -> None:
    number = rows.backfill("weather.ingest")
    rows.run("weather.ingest", "b1", kind="backfill", backfill_id=number, partition_key="2013-02-01")
    score = rows.run("air_time.score", "s1", kind="asset_triggered", partition_key="2013-02-02")
    rows.event(score, ("weather.ingest", "b1"), "backfill")
    monitor = rows.run("air_time.monitor", "m1", kind="asset_triggered", partition_key="2013-02-03")
    rows.event(monitor, ("air_time.score", "s1"), "backfill")
    mixed = rows.run("flight_delay.score", "s2", kind="asset_triggered")
    rows.event(mixed, ("weather.ingest", "b1"), "backfill")
    rows.event(mixed, ("schedules.ingest", "live"), "live")
    for dag_id, run_id, task_id in (("weather.ingest", "b1", "fetch"), ("air_time.score", "s1", "score"),
                                    ("air_time.monitor", "m1", "monitor"), ("flight_delay.score", "s2", "score")):  # fmt: skip
        rows.task(dag_id, run_id, task_id)
        says(dag_id, run_id, task_id, f"{dag_id} went wrong")
    assert look(watch) == ["backfill", "task"]
    backfill = next(alert for alert in open_alerts() if alert.kind == "backfill")
    assert (backfill.key, backfill.severity, backfill.times) == (f"backfill/{number}", "warning", 3)
    assert backfill.evidence["days"] == ["2013-02-01", "2013-02-02", "2013-02-03"]


def test_a_file_that_does_not_parse_is_told_with_its_error_until_it_parses(watch: Any, rows: Any) -> None:
    rows.import_error("dags/ours.py", 'Traceback\n  File "ours.py", line 3\nSyntaxError: invalid syntax\n')
    watch.notice_import_errors()
    (alert,) = open_alerts()
    assert alert.key == "parsing/dags/ours.py" and "SyntaxError: invalid syntax" in alert.message
    rows.clear()
    watch.notice_import_errors()
    assert open_alerts() == []


def test_a_task_that_runs_far_longer_than_ever_is_stuck_until_it_ends(watch: Any, rows: Any) -> None:
    now = dt.datetime.now(dt.UTC)
    for number in range(8):
        rows.run("their.dag", f"past {number}", state="success")
        rows.task("their.dag", f"past {number}", "work", state="success", duration=300 + number)
    for name, minutes in (("stuck", 30), ("slow", 14)):
        rows.run("their.dag", name)
        rows.task("their.dag", name, "work", state="running", heard=SECOND, start_date=now - minutes * 60 * SECOND)
    watch.notice_stuck_tasks()
    (alert,) = open_alerts()
    assert (alert.key, alert.evidence["runs"]) == ("stuck/their.dag/work", ["stuck"]) and "within 15 minutes" in alert.message
    rows.set_state("their.dag", "stuck", "work", state="success")
    watch.notice_stuck_tasks()
    assert open_alerts() == []


def test_retries_that_pile_up_are_told_and_neither_a_backfill_nor_what_failed_for_good_is_among_them(watch: Any, rows: Any) -> None:
    def succeed(dag_id: str, run_id: str, *, is_retried: bool = True, retries: int = 1, **more: Any) -> None:
        rows.run(dag_id, run_id, state="success", **more)
        rows.task(dag_id, run_id, "work", state="success", try_number=2 if is_retried else 1)
        if is_retried:
            rows.earlier_attempt(dag_id, run_id, "work", retries=retries)
            says(dag_id, run_id, "work", "the source answered late")

    number = rows.backfill("backfilled")
    for dag_id in ("retried", "backfilled", "cleared"):
        for night in range(30):
            succeed(dag_id, f"night {night}", is_retried=False)
    for night in range(30, 42):
        succeed("retried", f"night {night}")
        succeed("backfilled", f"night {night}", kind="backfill", backfill_id=number)
        succeed("cleared", f"night {night}", retries=0)  # it failed for good, and a person cleared it
    watch.notice_retries()
    (alert,) = open_alerts()
    assert alert.kind == "retries" and "retried: 12 of the newest 12 runs, 0 of the 30 before. ValueError: the source" in alert.message
    assert [(place.dag_id, place.task_id) for place in show_alert(alert.id).places] == [("retried", "work")]
    for night in range(42, 54):
        succeed("retried", f"night {night}", is_retried=False)
    watch.notice_retries()
    assert open_alerts() == []


def test_a_component_is_unwell_when_it_misses_two_looks_and_well_when_it_answers(watch: Any, rows: Any) -> None:
    from airflow.jobs.job import Job
    from airflow.utils.session import create_session

    def heard(ago: dt.timedelta) -> None:
        with create_session() as session:
            session.execute(sa.delete(Job.__table__))
            now = dt.datetime.now(dt.UTC)
            values = {"job_type": "SchedulerJob", "state": "running", "latest_heartbeat": now - ago, "start_date": now}
            session.execute(sa.insert(Job.__table__).values(**values))

    heard(60 * SECOND)
    watch.notice_components()
    assert open_alerts() == []
    watch.notice_components()
    (alert,) = open_alerts()
    assert (alert.key, alert.severity) == ("airflow/scheduler", "critical")
    heard(SECOND)
    watch.notice_components()
    assert open_alerts() == []
    with create_session() as session:
        session.execute(sa.delete(Job.__table__))


def test_tasks_that_wait_while_none_begins_are_the_workers_alert_until_one_does(watch: Any, rows: Any) -> None:
    now = dt.datetime.now(dt.UTC)
    rows.run("their.dag", "one")
    rows.task("their.dag", "one", "waits", state="queued", heard=None, queued_dttm=now - 301 * SECOND)
    rows.task("their.dag", "one", "new", state="queued", heard=None, queued_dttm=now - 299 * SECOND)
    rows.task("their.dag", "one", "ended", state="success", start_date=now - 299 * SECOND)
    watch.notice_components()
    assert open_alerts() == [], "others begin: it is its turn later"
    rows.set_state("their.dag", "one", "ended", start_date=now - 400 * SECOND)
    rows.task("their.dag", "one", "long", state="running", heard=SECOND, start_date=now - 3600 * SECOND)
    watch.notice_components()
    (alert,) = open_alerts()
    assert (alert.key, alert.severity) == ("airflow/workers", "warning") and "all workers are busy (1 running)" in alert.message
    assert "1 wait in the queue, the first (waits of their.dag) since" in alert.message
    rows.set_state("their.dag", "one", "long", state="success")
    watch.notice_components()
    (alert,) = open_alerts()
    assert alert.severity == "critical" and "no worker takes them" in alert.message
    rows.set_state("their.dag", "one", "waits", state="running", start_date=now)
    watch.notice_components()
    assert open_alerts() == []


def test_triggers_for_which_no_triggerer_has_room_are_its_alert(watch: Any, rows: Any) -> None:
    now = dt.datetime.now(dt.UTC)
    rows.trigger(created_date=now - 121 * SECOND)
    rows.trigger(created_date=now - 119 * SECOND)
    rows.trigger(created_date=now - 3600 * SECOND, triggerer_id=7)
    watch.notice_components()
    (alert,) = open_alerts()
    assert (alert.key, alert.severity) == ("airflow/triggerer", "critical")
    assert alert.message.startswith("1 deferred tasks wait for room in a triggerer, which takes 1000 at most")
    rows.clear()
    watch.notice_components()
    assert open_alerts() == []


def test_a_fleet_that_no_triggerer_can_hold_is_seen_at_the_first_look_and_until_there_is_room(
    watch: Any, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__TRIGGERER__CAPACITY", "1")
    watch.notice_components()
    (alert,) = (alert for alert in open_alerts() if alert.key == "airflow/triggerer")
    assert alert.severity == "warning"
    assert alert.message.startswith(
        "2 models are declared, each of which stands armed in a triggerer, and one takes 1 deferred tasks at most"
    )
    monkeypatch.setenv("AIRFLOW__TRIGGERER__CAPACITY", "2")
    watch.notice_components()
    assert not [alert for alert in open_alerts() if alert.key == "airflow/triggerer"]


def test_a_run_that_is_not_made_ten_minutes_after_it_was_due_is_late_and_many_are_one_alert(watch: Any, rows: Any) -> None:
    due = dt.datetime.now(dt.UTC) - 601 * SECOND
    rows.dag("their.late", next_dagrun_create_after=due)
    rows.dag("their.soon", next_dagrun_create_after=due + 10 * SECOND)
    rows.dag("their.off", is_paused=True, next_dagrun_create_after=due)
    rows.dag("their.stale", next_dagrun_create_after=due, is_stale=True)
    rows.dag("their.broken", next_dagrun_create_after=due, has_import_errors=True)
    rows.dag("their.full", next_dagrun_create_after=due, exceeds_max_non_backfill=True)
    rows.dag("their.manual", next_dagrun_create_after=None)
    assert late(watch) == [("late/their.late", "warning", {"due": f"{due:%Y-%m-%d %H:%M} UTC"})]
    for number in range(10):
        rows.dag(f"their.late{number}", next_dagrun_create_after=due)
    assert late(watch) == [("airflow/scheduler", "critical", {"component": "scheduler"})]
    (alert,) = open_alerts()
    assert "makes no runs: 11 DAGs should have begun one, the first (their.late) at" in alert.message
    for name in ("", *range(10)):
        rows.dag(f"their.late{name}", next_dagrun_create_after=due + 3600 * SECOND)
    assert late(watch) == []


def test_a_dag_that_catches_up_is_not_late(watch: Any, rows: Any) -> None:
    due = dt.datetime.now(dt.UTC) - dt.timedelta(days=30)
    for day in range(20):
        rows.dag("their.dag", next_dagrun_create_after=due + dt.timedelta(days=day))
        watch.notice_components()
    assert open_alerts() == []


def late(watch: Any) -> list[tuple[str, str, Any]]:
    """After a minute of looks."""
    for _ in range(6):
        watch.notice_components()
    return [(alert.key, alert.severity, alert.evidence) for alert in open_alerts()]


def test_every_question_to_airflow_is_answered_by_an_index(watch: Any, rows: Any) -> None:
    from airflow.utils.session import create_session

    number = rows.backfill("weather.ingest")
    rows.run("weather.ingest", "b1", state="failed", kind="backfill", backfill_id=number)
    rows.task("weather.ingest", "b1", "fetch")
    reader = rows.run("air_time.score", "s1", state="failed", kind="asset_triggered")
    rows.event(reader, ("weather.ingest", "b1"), "backfill")
    rows.task("air_time.score", "s1", "score")
    rows.run("long", "one")
    rows.task("long", "one", "work", state="running", heard=60 * SECOND, start_date=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
    rows.task("long", "one", "waits", state="queued", heard=None, queued_dttm=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
    rows.dag("weather.ingest")
    rows.run("retried", "one", state="success")
    says("retried", "one", "work")
    plans: dict[str, list[str]] = {}
    with create_session() as session:
        engine = session.get_bind()

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and statement not in plans:
            plans[statement] = []
            found = connection.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans[statement] = [row[3] for row in found.fetchall()]

    sa.event.listen(engine, "before_cursor_execute", explain)
    try:
        for _ in range(2):
            look(watch)
            watch.notice_stuck_tasks(), watch.notice_late_data(), watch.notice_retries(), watch.notice_components()
            rows.run("long", f"another {_}", state="failed")
            rows.set_run(reader, state="running")
    finally:
        sa.event.remove(engine, "before_cursor_execute", explain)
    assert len(plans) > 10
    grow = ("task_instance", "dag_run", "asset_event", "dagrun_asset_event", "source")
    # One SCAN is allowed: of a partial index, which holds the runs that are active.
    scans = {
        step: statement
        for statement, steps in plans.items()
        for step in steps
        if step.startswith("SCAN")
        and any(f"SCAN {table}" in step for table in grow)
        and "idx_dag_run_running_dags" not in step
        and "idx_dag_run_queued_dags" not in step
    }
    assert not scans
    by_state = [step for steps in plans.values() for step in steps if "ti_state " in step]
    assert len(by_state) == 2, "only what runs or is queued now is found by its state: of what failed there is more each year"
