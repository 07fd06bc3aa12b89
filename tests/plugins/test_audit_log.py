"""While an entry of Airflow's audit log waits for SQLite's write lock, the API server goes on: a request of its own may have the lock."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from evergreen_airflow.audit_log import write_in_thread
from tests.plugins.conftest import LogIn

WATCHED_SECONDS = 1.5
ANSWERED_WITHIN_SECONDS = 3  # one that is held up takes SQLite's five
DAG = "dags/nobody.knows/dagRuns/it"


@contextmanager
def locked_database() -> Iterator[None]:
    """As another writer has Airflow's database for a while."""
    from airflow import settings

    with closing(sqlite3.connect(settings.engine.url.database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def entries() -> list[tuple[str, str]]:
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    with create_session() as session:
        return [(each.event, each.owner) for each in session.query(Log).filter(Log.dag_id == "nobody.knows")]


def test_an_entry_that_waits_holds_up_nobody_and_is_written_in_the_end(log_in: LogIn) -> None:
    with log_in("admin") as browser, ThreadPoolExecutor(1) as others:
        with locked_database():
            change = others.submit(browser.patch, f"/api/v2/{DAG}", json={"note": "a change"})
            until = time.monotonic() + WATCHED_SECONDS
            while (began := time.monotonic()) < until:
                assert browser.get("/api/v2/version").status_code == 200
                assert time.monotonic() - began < ANSWERED_WITHIN_SECONDS
            assert not change.done()
        assert change.result().status_code == 404, "of the run, which nobody knows; not 500"
    assert entries() == [("patch_dag_run", "someone")]


def test_every_change_that_airflow_logs_is_logged_in_a_thread(airflow_app: FastAPI, log_in: LogIn) -> None:
    log_in("viewer").get("/api/v2/version")  # whoever comes first has it changed
    called = [each.call for route in airflow_app.routes if isinstance(route, APIRoute) for each in route.dependant.dependencies]
    writers = [call for call in called if getattr(call, "__name__", "") == "log_action"]
    assert len(writers) > 20
    assert all(getattr(call, "in_thread", False) for call in writers)


def test_an_airflow_that_is_built_differently_is_left_alone() -> None:
    assert write_in_thread(FastAPI()) == 0
