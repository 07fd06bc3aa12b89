"""evergreen.audit: what its tasks do, and when it is scheduled."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from include.evergreen.foundation.errors import DataError
from include.evergreen.state import ledger
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import ledger as entries


@pytest.fixture
def dag() -> Any:
    from evergreen_airflow.dags.audit import audit_dag

    return audit_dag()


@pytest.fixture
def recorded(home: Path) -> Path:
    for _ in range(2):
        with writing() as connection:
            ledger.append(connection, kind="damage", model="m", body={})
    return home


def execute(dag: Any, task: str) -> dict[str, Any]:
    result: dict[str, Any] = dag.get_task(task).execute({})
    return result


def test_only_a_ledger_that_was_verified_is_anchored_and_the_champions_wait_for_nothing(dag: Any) -> None:
    assert {task.task_id: set(task.upstream_task_ids) for task in dag.tasks} == {
        "ledger": set(), "anchor": {"ledger"}, "champions": set(), "missed": set(), "start": {"missed"},
    }  # fmt: skip


def test_it_is_on_from_the_start_since_it_removes_nothing(dag: Any) -> None:
    assert dag.is_paused_upon_creation is False
    assert (dag.catchup, dag.max_active_runs) == (False, 1)


def test_its_tasks_give_counts(dag: Any, recorded: Path) -> None:
    assert execute(dag, "ledger") == {"entries": 2, "anchors": 0}
    first = execute(dag, "anchor")
    assert (first["sequence"], first["is_new"]) == (2, True)
    assert execute(dag, "anchor") == {**first, "is_new": False}
    assert execute(dag, "ledger") == {"entries": 2, "anchors": 1}
    assert execute(dag, "champions") == {"models": 0, "fixed": []}


def test_each_piece_of_missed_work_starts_the_run_of_its_own_dag_once(dag: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.evergreen.operations import missed

    found = missed.Missed("m", "score", "2013-02-09", ("weather/2013-02-08",), dt.datetime(2013, 2, 9, tzinfo=dt.UTC), "mark")
    monkeypatch.setattr(missed, "missed_work", lambda _: [found] * 501)
    runs = dag.get_task("missed").execute({})
    assert len(runs) == 500
    assert runs[0] == {
        "trigger_dag_id": "m.score",
        "trigger_run_id": "missed__2013-02-09__mark",
        "conf": {"partition": "2013-02-09", "reason": "missed: weather/2013-02-08"},
    }
    start = dag.get_task("start").partial_kwargs
    assert (start["skip_when_already_exists"], start["logical_date"]) == (True, None)


def test_nothing_missed_starts_nothing(dag: Any, home: Path) -> None:
    assert dag.get_task("missed").execute({}) == []


def test_a_damaged_ledger_fails_its_task(dag: Any, recorded: Path) -> None:
    with writing() as connection:
        connection.execute(sa.update(entries).where(entries.c.sequence == 1).values(body="[]"))
    with pytest.raises(DataError, match="entry 1"):
        execute(dag, "ledger")
