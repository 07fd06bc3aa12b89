"""Fill Airflow's database, watch it for a while, and print what that took: a process of `benchmarks.watcher`."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from collections import Counter
from typing import Any

STAGES = ("train", "score", "monitor", "retrain", "approve", "promote")
TASKS = 3
FAILURES = 50


def main(form: dict[str, Any]) -> None:
    import sqlalchemy as sa
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    from evergreen_airflow.watch.watcher import PERIOD_SECONDS, Watcher
    from include.evergreen.state.alerts import open_alerts
    from include.evergreen.state.database import migrate

    initdb()
    migrate()
    period = form["period"] or PERIOD_SECONDS
    rows = _fill(form["models"], form["nights"])
    watcher = Watcher()
    began = time.process_time()
    watcher.look()
    first = time.process_time() - began
    time.sleep(period)
    watcher.look()  # what needed a second look
    queries = Counter[str]()
    with create_session() as session:
        sa.event.listen(session.get_bind(), "before_cursor_execute", lambda *_: queries.update(["asked"]))
    started, began, rounds = time.monotonic(), time.process_time(), 0
    while time.monotonic() - started < form["seconds"]:
        watcher.look()
        rounds += 1
        time.sleep(period)
    spent, passed = time.process_time() - began, time.monotonic() - started
    print(
        json.dumps(
            {
                "watcher_core_share": spent / passed,
                "queries_a_minute": 60 * queries["asked"] / passed,
                "first_look_s": first,
                "rounds": rounds,
                "task_instances": rows,
                "alerts": Counter(alert.kind for alert in open_alerts()),
            }
        )
    )


def _fill(models: int, nights: int) -> int:
    """Nights of all models' DAGs: all succeeded but a few, a training sensor of each stands, and the last night was just now."""
    import sqlalchemy as sa
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance, uuid7
    from airflow.utils.session import create_session

    from include.evergreen.foundation import clock
    from include.evergreen.state.task_failures import record_failure

    now, minute = clock.now(), dt.timedelta(minutes=1)
    names = [f"{('flight_delay', 'air_time')[number % 2]}_{number:04}" for number in range(models)]
    runs, tasks = [], []

    def add(
        dag_id: str, run_id: str, ended: dt.datetime | None, state: str = "success", heard: dt.datetime | None = None, **of: str
    ) -> None:
        runs.append({"dag_id": dag_id, "run_id": run_id, "state": state, "run_type": "manual", "run_after": ended or now,
                     "queued_at": ended or now, "start_date": (ended or now) - minute, "end_date": ended, "clear_number": 0,
                     "span_status": "ended"})  # fmt: skip
        for number in range(TASKS):
            own = of.get(f"task_{number}", "success" if ended else "deferred")
            tasks.append({"id": uuid7(), "dag_id": dag_id, "run_id": run_id, "task_id": f"task_{number}", "map_index": -1, "try_number": 1,
                          "max_tries": 0, "state": own, "start_date": (ended or now) - minute, "end_date": ended, "duration": 60.0,
                          "last_heartbeat_at": heard or ended or now - 60 * minute, "pool": "default_pool", "pool_slots": 1,
                          "queue": "default", "priority_weight": 1, "unixname": "root", "operator": "x", "executor_config": {},
                          "span_status": "ended"})  # fmt: skip

    for night in range(nights):
        ended = now - minute - dt.timedelta(days=night)
        for name in names:
            for stage in STAGES:
                add(f"{name}.{stage}", f"night {night}", ended)
    for name in names:
        add(f"{name}.retrain", "stands", None, "running")
    failed = [f"{name}.score" for name in names][:FAILURES]
    for dag_id in failed:
        add(dag_id, "fails", now - minute, "failed", task_0="failed")
    add(failed[0], "dies", now - minute, "failed", task_1="failed")
    add(failed[1], "is silent", None, "running", now - 2 * minute, task_2="running")
    add(failed[2], "fails by itself", now - minute, "failed", task_2="skipped")
    with create_session() as session:
        for start in range(0, len(runs), 5000):
            session.execute(sa.insert(DagRun.__table__), runs[start : start + 5000])
        for start in range(0, len(tasks), 5000):
            session.execute(sa.insert(TaskInstance.__table__), tasks[start : start + 5000])
    for dag_id in failed:
        record_failure(dag_id=dag_id, task_id="task_0", run_id="fails", map_index=-1, try_number=1, partition="",
                       error_class="TransientError", error="mlflow:5000 did not answer")  # fmt: skip
    return len(tasks)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
