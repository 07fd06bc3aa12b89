"""The drift report of a window in which a rule tripped: rendered at once, in parallel to the training that was triggered."""

from __future__ import annotations

import gzip
from types import SimpleNamespace
from typing import Any

import pytest

from include.evergreen.config import Catalog
from include.evergreen.foundation import clock
from include.evergreen.state import storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import reports

pytestmark = pytest.mark.usefixtures("home")
DAY = "2013-02-09"
DRAWN, NOT_DRAWN = f"reports/air_time/{DAY}/a.html.gz", f"reports/air_time/{DAY}/b.html.gz"


def monitored(path: str) -> None:
    with writing() as connection:
        values = {"model": "air_time", "partition": DAY, "path": path, "input_digest": "x", "recorded_at": clock.now()}
        connection.execute(reports.insert().values(**values))


def execute() -> Any:
    """As after a sensor that recorded a trigger event as of the day."""
    from evergreen_airflow.operators.serving import RenderDriftReportOperator

    event = {"firing": 1, "as_of": str(DAY), "summary": "it trips"}
    ti = SimpleNamespace(xcom_pull=lambda task_ids: {"wait_for_trigger": event}[task_ids])
    task = RenderDriftReportOperator(task_id="report", model="air_time", sensor_task_id="wait_for_trigger")
    return task.execute({"ti": ti})


def test_the_report_is_of_the_window_of_the_trigger_event() -> None:
    storage.write_bytes(DRAWN, gzip.compress(b"<html>"))
    monitored(DRAWN)
    assert execute() == {"partition": str(DAY), "report": DRAWN}


def test_where_a_correction_was_quicker_the_task_is_skipped_and_says_so() -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    monitored(NOT_DRAWN)
    with pytest.raises(AirflowSkipException, match="cannot be drawn as it was monitored on .*: the predictions were removed since"):
        execute()


def test_the_training_does_not_wait_for_the_report() -> None:
    from evergreen_airflow.dags.model import retrain_dag

    dag = retrain_dag(Catalog().model("air_time"))
    assert {task.task_id: set(task.upstream_task_ids) for task in dag.tasks} == {
        "wait_for_trigger": set(), "trigger_training": {"wait_for_trigger"}, "report": {"wait_for_trigger"},
    }  # fmt: skip
