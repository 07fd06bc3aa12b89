"""The newest page of each dataset and model is found without its address."""

from __future__ import annotations

import pytest

from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import DAILY
from include.evergreen.state.alerts import raise_alert
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import alerts, reports, task_failures, validations
from include.evergreen.state.newest import newest_pages
from include.evergreen.state.task_failures import record_failure, unsettled_failures

pytestmark = pytest.mark.usefixtures("home")
DAY = "2013-02-09"


def test_the_newest_day_of_each_is_told_and_a_later_record_of_an_older_day_is_not() -> None:
    assert newest_pages() == ({}, {})
    with writing() as connection:
        for dataset, day in (("weather", DAY), ("weather", DAILY.shift(DAY, -3)), ("outcomes", DAILY.shift(DAY, -1))):
            values = {"raw_digest": "x", "verdict": "passed", "result": {}, "recorded_at": clock.now()}
            connection.execute(validations.insert().values(dataset=dataset, partition=day, **values))
        connection.execute(reports.insert().values(model="air_time", partition=DAY, path="", input_digest="x", recorded_at=clock.now()))
    assert newest_pages() == ({"weather": DAY, "outcomes": DAILY.shift(DAY, -1)}, {"air_time": DAY})


def test_what_an_alert_counts_and_is_not_made_good_is_what_can_run_again() -> None:
    raise_alert("task/x", severity="warning", message="x")
    for run in ("r1", "r2", "r3", "r4"):
        record_failure(dag_id="a", task_id="b", run_id=run, map_index=-1, try_number=1, partition="", error_class="E", error="e")
    with reading() as connection:
        number = connection.execute(alerts.select()).one().id
    with writing() as connection:
        connection.execute(task_failures.update().where(task_failures.c.run_id != "r4").values(alert_id=number))
        connection.execute(task_failures.update().where(task_failures.c.run_id == "r2").values(cleared_at=clock.now()))
    assert [row.run_id for row in unsettled_failures(number)] == ["r3", "r1"]
