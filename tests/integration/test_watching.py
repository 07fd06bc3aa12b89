"""What goes wrong in a real Airflow is an alert by itself, once, and is resolved by itself when it is well again."""

import os
import signal
import time

import pytest

from include.evergreen.state.alerts import Filter, list_alerts, show_alert
from tests.integration.airflow_under_test import Running

ANY = Filter(states=("firing", "acknowledged", "snoozed", "resolved"))
PATIENCE_SECONDS = 90


def wait_for(look, seconds=PATIENCE_SECONDS):
    """What ``look`` finds, and after how long."""
    began = time.monotonic()
    while not (found := look()):
        assert time.monotonic() - began < seconds, [(alert.key, alert.state, alert.message) for alert in list_alerts(ANY)]
        time.sleep(0.2)
    return found, time.monotonic() - began


def alerts_on(dag_id, run_id, state="firing"):
    """Alerts of a state with this run among their places."""
    found = list_alerts(Filter(states=(state,)))
    return [alert for alert in found if any(place.dag_id == dag_id and place.run_id == run_id for place in show_alert(alert.id).places)]


def fetching(running: Running, run_id):
    tasks = running.api.task_instances("weather.ingest", run_id)
    return next((task for task in tasks if task["task_id"] == "fetch"), None)


@pytest.fixture
def landing(running):
    """Where the source puts its files; what a test takes away is back afterwards."""
    return running.home / "landing" / "weather"


def test_a_task_that_fails_is_an_alert_and_resolved_when_it_was_cleared_and_succeeded(running: Running, landing):
    day = "2013-06-05"
    kept = landing / f"{day}.csv"
    taken = kept.rename(kept.with_suffix(".away"))
    run_id = running.api.trigger("weather.ingest", partition_key=day)
    wait_for(lambda: (fetching(running, run_id) or {}).get("state") == "failed")
    (alert,), seconds = wait_for(lambda: alerts_on("weather.ingest", run_id))
    assert seconds < 60
    assert (alert.kind, alert.dataset, alert.times) == ("task", "weather", 1)
    assert f"{day}.csv" in alert.error and day in alert.message and "air_time, flight_delay" in alert.message
    (place,) = show_alert(alert.id).places
    assert (place.task_id, place.partition, place.try_number) == ("fetch", day, 1)
    taken.rename(kept)
    running.api.post("dags/weather.ingest/clearTaskInstances", {"dag_run_id": run_id, "task_ids": ["fetch"], "dry_run": False, "only_failed": True})
    wait_for(lambda: alerts_on("weather.ingest", run_id, "resolved"))
    events = show_alert(alert.id).events
    assert [(event.kind, event.actor) for event in events] == [("raised", ""), ("resolved", "")]


@pytest.mark.parametrize(("day", "victims"), [("2013-06-06", "the task's process"), ("2013-06-07", "its worker, too")])
def test_a_task_that_is_killed_is_one_alert_within_a_minute_and_resolved_when_airflow_tried_it_again(running: Running, landing, day, victims):
    file = landing / f"{day}.csv"
    away = file.rename(file.with_suffix(".away"))
    os.mkfifo(file)  # whoever reads it waits for a writer
    run_id = running.api.trigger("weather.ingest", partition_key=day)
    task, _ = wait_for(lambda: (task := fetching(running, run_id)) and task["state"] == "running" and task["pid"] and task)
    time.sleep(3)  # it reads
    parent = parent_of(task["pid"])
    for pid in (parent, task["pid"]) if "worker" in victims else (task["pid"],):
        os.kill(pid, signal.SIGKILL)
    (alert,), seconds = wait_for(lambda: alerts_on("weather.ingest", run_id))
    print(f"{victims}: an alert after {seconds:.1f} s")
    assert seconds < 60
    assert (alert.key, alert.times) == ("died/weather.ingest/fetch", 1)
    file.unlink()
    away.rename(file)
    wait_for(lambda: alerts_on("weather.ingest", run_id, "resolved"), 240)
    assert show_alert(alert.id).alert.times <= 2
    assert len(list_alerts(Filter(states=("resolved", "firing"), kind="died"))) == 1


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
