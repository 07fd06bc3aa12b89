"""Fill both databases, ask, and print how long it took: a process of `benchmarks.inbox`."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from collections.abc import Callable
from typing import Any

PAGE = 50
KINDS = ("task", "died", "stuck", "freshness", "validation")


def main(form: dict[str, Any]) -> None:
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.utils.db import initdb
    from fastapi.testclient import TestClient

    from include.evergreen.state.database import migrate

    initdb()
    migrate()
    dags = [f"model_{number:04}.score" for number in range(form["dags"])]
    _fill_ours(form["alerts"], form["opened"], dags)
    _fill_airflow(form["alerts"], form["opened"], dags)
    app, manager = create_app(apps="core"), get_auth_manager()
    client = TestClient(app, cookies={"_token": manager.generate_jwt(SimpleAuthManagerUser(username="ada", role="user"))})

    def asked(path: str, **parameters: Any) -> Any:
        answer = client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer

    def taken(number: int) -> None:
        answer = client.post(f"/evergreen/api/alerts/{form['alerts'] - number}/acknowledge", json={"revision": 1})
        assert answer.status_code == 200, answer.text

    def timed(request: Callable[[int], object]) -> float:
        """Milliseconds that all but the slowest twentieth take; the first request warms up."""
        request(0)
        times = []
        for number in range(1, form["requests"] + 1):
            began = time.perf_counter()
            request(number)
            times.append(1000 * (time.perf_counter() - began))
        return sorted(times)[max(0, int(0.95 * len(times)) - 1)]

    ours, theirs = "/evergreen/api/alerts", "/api/v2/dags/~/dagRuns/~/taskInstances"
    pages = form["opened"] // PAGE
    document = {
        "p95_list_ms": timed(lambda number: asked(ours, limit=PAGE, offset=PAGE * (number % pages))),
        "airflow_p95_list_ms": timed(lambda number: asked(theirs, state="failed", limit=PAGE, offset=PAGE * (number % pages))),
        "p95_filter_ms": timed(lambda number: asked(ours, kind=KINDS[number % len(KINDS)], severity="critical")),
        "p95_of_a_model_ms": timed(lambda number: asked(ours, name=f"model_{number % form['dags']:04}")),
        "p95_search_ms": timed(lambda number: asked(ours, text=f"day {number}")),
        "p95_counts_ms": timed(lambda _: asked(f"{ours}/counts")),
        "p95_page_ms": timed(lambda _: asked("/evergreen/alerts")),
        "p95_ack_ms": timed(taken),
        "listed": {
            "the inbox": asked(f"{ours}/counts").json()["total"],
            "Airflow": asked(theirs, state="failed", limit=1).json()["total_entries"],
        },
    }
    tenth = set(dags[::10])
    manager.get_authorized_dag_ids = lambda **_: tenth  # a user of one team among many
    document["p95_list_of_a_tenth_ms"] = timed(lambda number: asked(ours, limit=PAGE, offset=PAGE * (number % max(1, pages // 10))))
    print(json.dumps(document))


def _fill_ours(count: int, opened: int, dags: list[str]) -> None:
    from include.evergreen.foundation import clock
    from include.evergreen.state.database import writing
    from include.evergreen.state.database.tables import alert_events, alert_places, alerts

    now = clock.now()
    rows, places, events = [], [], []
    for number in range(1, count + 1):
        dag_id, is_open = dags[number % len(dags)], number > count - opened
        model, at = dag_id.partition(".")[0], now - dt.timedelta(seconds=60 * (count - number))
        message = f"{model} failed for day {number % 3650}: the source did not answer"
        rows.append({"id": number, "key": f"{KINDS[number % 5]}/{number}", "kind": KINDS[number % 5], "model": model, "dataset": "",
                     "severity": "critical" if number % 10 == 0 else "warning", "state": "firing" if is_open else "resolved",
                     "message": message, "error": "TransientError: it did not answer", "evidence": {}, "times": 1, "first_at": at,
                     "last_at": at, "resolved_at": None if is_open else at})  # fmt: skip
        places.append({"alert_id": number, "dag_id": dag_id, "task_id": "score", "model": model, "dataset": "", "run_id": f"run {number}",
                       "map_index": -1, "try_number": 1, "partition": "", "times": 1, "last_at": at})  # fmt: skip
        events.append({"alert_id": number, "recorded_at": at, "kind": "raised", "actor": "", "message": message})
    with writing() as connection:
        for table, filled in ((alerts, rows), (alert_places, places), (alert_events, events)):
            for start in range(0, count, 5000):
                connection.execute(table.insert(), filled[start : start + 5000])


def _fill_airflow(count: int, failed: int, dags: list[str]) -> None:
    import sqlalchemy as sa
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance, uuid7
    from airflow.utils.session import create_session

    from include.evergreen.foundation import clock

    now = clock.now()
    runs, tasks = [], []
    for number in range(1, count + 1):
        dag_id, state = dags[number % len(dags)], "failed" if number > count - failed else "success"
        at = now - dt.timedelta(seconds=60 * (count - number))
        runs.append({"dag_id": dag_id, "run_id": f"run {number}", "state": state, "run_type": "manual", "run_after": at, "queued_at": at,
                     "start_date": at, "end_date": at, "clear_number": 0, "span_status": "ended"})  # fmt: skip
        tasks.append({"id": uuid7(), "dag_id": dag_id, "run_id": f"run {number}", "task_id": "score", "map_index": -1, "try_number": 1,
                      "max_tries": 0, "state": state, "start_date": at, "end_date": at, "duration": 1.0, "last_heartbeat_at": at,
                      "pool": "default_pool", "pool_slots": 1, "queue": "default", "priority_weight": 1, "unixname": "root",
                      "operator": "x", "executor_config": {}, "span_status": "ended"})  # fmt: skip
    with create_session() as session:
        session.merge(DagBundleModel(name="dags-folder"))
        session.flush()
        session.add_all(DagModel(dag_id=dag_id, bundle_name="dags-folder") for dag_id in dags)
        session.flush()
        for start in range(0, count, 5000):
            session.execute(sa.insert(DagRun.__table__), runs[start : start + 5000])
            session.execute(sa.insert(TaskInstance.__table__), tasks[start : start + 5000])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
