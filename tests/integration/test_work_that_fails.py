"""What goes wrong in a real Airflow is an alert by itself, once, and is resolved by itself when it is well again."""

import os
import signal
import time

import pytest

from include.evergreen.state.alerts import Filter, list_alerts, show_alert
from include.evergreen.state.database import writing
from tests.integration.airflow_under_test import Running

LOCKED_SECONDS = 55  # less than our writers wait for each other
ANY = Filter(states=("firing", "acknowledged", "snoozed", "resolved"))
PATIENCE_SECONDS = 150  # with Airflow on a busy machine


def wait_for(look, seconds=PATIENCE_SECONDS):
    """What ``look`` finds, and after how long."""
    began = time.monotonic()
    while not (found := look()):
        assert time.monotonic() - began < seconds, [(alert.key, alert.state, alert.message) for alert in list_alerts(ANY)]
        time.sleep(0.5)
    return found, time.monotonic() - began


def alerts_on(dag_id, run_id, state="firing"):
    """Alerts of a state with this run among their places."""
    found = list_alerts(Filter(states=(state,)))
    return [alert for alert in found if any(place.dag_id == dag_id and place.run_id == run_id for place in show_alert(alert.id).places)]


def fetching(running: Running, run_id, dag_id="weather.ingest"):
    tasks = running.api.task_instances(dag_id, run_id)
    return next((task for task in tasks if task["task_id"] == "fetch"), None)


@pytest.fixture
def landing(running):
    """Where the source puts its files; what a test takes away is back afterwards."""
    return running.home / "landing" / "schedules"  # no other test takes a file of these away: it would be the same cause


def test_a_task_that_fails_is_an_alert_and_resolved_when_it_was_cleared_and_succeeded(running: Running, landing):
    day = "2013-06-05"
    kept = landing / f"{day}.csv"
    taken = kept.rename(kept.with_suffix(".away"))
    run_id = running.api.trigger("schedules.ingest", partition_key=day)
    wait_for(lambda: (fetching(running, run_id, "schedules.ingest") or {}).get("state") == "failed")
    (alert,), seconds = wait_for(lambda: alerts_on("schedules.ingest", run_id))
    assert seconds < 60
    assert (alert.kind, alert.dataset, alert.times) == ("task", "schedules", 1)
    assert f"{day}.csv" in alert.error and day in alert.message and "air_time, flight_delay" in alert.message
    (place,) = show_alert(alert.id).places
    assert (place.task_id, place.partition, place.try_number) == ("fetch", day, 1)
    taken.rename(kept)
    running.api.post(
        "dags/schedules.ingest/clearTaskInstances", {"dag_run_id": run_id, "task_ids": ["fetch"], "dry_run": False, "only_failed": True}
    )
    wait_for(lambda: alerts_on("schedules.ingest", run_id, "resolved"))
    events = show_alert(alert.id).events
    assert [(event.kind, event.actor) for event in events] == [("raised", ""), ("resolved", "")]


def test_a_task_whose_process_is_killed_is_one_alert_within_a_minute_and_resolved_when_airflow_tried_it_again(running: Running):
    before = deaths()
    run_id, task = hanging_task(running, "2013-06-06")
    (alert,), seconds = wait_for(lambda: alerts_on("weather.ingest", run_id))
    print(f"its process was killed: an alert after {seconds:.1f} s")
    assert seconds < 60 and alert.key == f"died/weather.ingest/{task}"
    wait_for(lambda: alerts_on("weather.ingest", run_id, "resolved"), 240)
    assert deaths() == before + 1


def test_a_task_whose_whole_worker_is_killed_is_one_alert_within_a_minute_and_resolved_when_its_run_is_deleted(running: Running):
    before = deaths()
    run_id, task = hanging_task(running, "2013-06-07", with_worker=True)
    (alert,), seconds = wait_for(lambda: alerts_on("weather.ingest", run_id))
    print(f"its worker was killed: an alert after {seconds:.1f} s")
    assert seconds < 60 and alert.key == f"died/weather.ingest/{task}" and "silent" in alert.message
    running.api.patch(f"dags/weather.ingest/dagRuns/{run_id}", {"state": "failed"})
    running.api.delete(f"dags/weather.ingest/dagRuns/{run_id}")
    wait_for(lambda: alerts_on("weather.ingest", run_id, "resolved"))
    assert deaths() == before + 1


def deaths():
    """How many attempts were counted as dead."""
    return sum(alert.times for alert in list_alerts(ANY) if alert.kind == "died")


def hanging_task(running: Running, day, *, with_worker=False):
    """The run and the task of which the process, or the worker too, was killed while it hung."""
    with writing():  # so that a task that records something waits, for a minute at most
        run_id = running.api.trigger("weather.ingest", partition_key=day)
        (task, pid), _ = wait_for(lambda: waiting_task(running, run_id), LOCKED_SECONDS)
        for victim in (parent_of(pid), pid) if with_worker else (pid,):
            os.kill(victim, signal.SIGKILL)
    return run_id, task


def waiting_task(running: Running, run_id):
    """The task that runs and does not end, and its process."""
    first = running_tasks(running, run_id)
    time.sleep(2.5)
    return next(((task, pid) for task, pid in first & running_tasks(running, run_id) if os.path.exists(f"/proc/{pid}")), None)


def running_tasks(running: Running, run_id):
    tasks = running.api.task_instances("weather.ingest", run_id)
    return {(task["task_id"], task["pid"]) for task in tasks if task["state"] == "running" and task["pid"]}


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
