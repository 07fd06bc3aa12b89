"""What goes wrong in a real Airflow is an alert by itself, once, and is resolved by itself when it is well again."""

import datetime as dt
import json
import os
import signal
import threading
import time

import pytest
import yaml

from include.evergreen.data.partitions import current_partitions
from include.evergreen.foundation import clock
from include.evergreen.oncall import begin_drill
from include.evergreen.state.alerts import Filter, list_alerts, resolve, show_alert
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


ONCALL = """\
channels:
  - {name: hook, type: webhook, connection: hook_ml}
policies:
  - name: drills
    steps:
      - {after_minutes: 0, through: [hook]}
      - {after_minutes: 1, through: [hook], repeat: 1, every_minutes: 1}
  - {name: nobody, steps: []}
routes:
  - {kinds: [drill], policy: drills}
  - {policy: nobody}
"""


def test_killing_the_api_server_and_the_triggerer_amid_an_escalation_loses_no_step_and_doubles_none(running: Running, http_server, oncall):
    first_answer, hangs = threading.Event(), threading.Event()

    def answer(request):
        if first_answer.is_set() and not hangs.is_set():
            hangs.set()  # the second step: it was received, and the answer never comes
            http_server.leaving.wait(PATIENCE_SECONDS)
        else:
            request.answer(202)
            first_answer.set()

    http_server.answers["/hook"] = answer
    running.api.post("connections", {"connection_id": "hook_ml", "conn_type": "http", "host": f"{http_server.url}/hook", "password": "key"})
    oncall(ONCALL)
    drill = begin_drill(actor="ada", minutes=30)
    assert hangs.wait(PATIENCE_SECONDS), "the second step was not sent"
    for name in ("api-server", "triggerer"):
        running.airflow.kill(name)
    began = time.monotonic()
    running.airflow.start_again("api-server", "triggerer")
    wait_for(lambda: len(triggered(http_server)) == 3 or None)
    print(f"all steps were told {time.monotonic() - began:.1f} s after the kill")
    time.sleep(12)  # two rounds of the watcher: nothing more comes
    keys = [request.headers["Idempotency-Key"] for request in http_server.requests]
    assert len(set(keys)) == 3, "each step is one message to whoever takes a key once"
    assert len(keys) == 4, "what was being sent at the kill came again, under its key; no other did"
    twice = [request for request in http_server.requests if keys.count(request.headers["Idempotency-Key"]) > 1]
    interrupted, again = (json.loads(request.body) for request in twice)
    assert interrupted == again
    resolve(drill.alert_id, reason="it was a drill", actor="ada")


def triggered(server):
    """The steps that were told, each once."""
    return {request.headers["Idempotency-Key"] for request in server.requests if json.loads(request.body)["action"] == "trigger"}


@pytest.fixture
def oncall(running):
    """Writes an `oncall.yaml`; afterwards nobody is told, as before."""
    file = running.include / "oncall.yaml"
    yield file.write_text
    file.write_text("routes: []\n")


def test_a_partition_that_never_comes_is_an_alert_within_a_minute_of_its_deadline(running: Running):
    if not current_partitions("schedules"):  # what never came at all is late from its first run on
        running.run("schedules.ingest", partition_key="2013-06-05")
    file = running.include / "datasets" / "schedules" / "dataset.yaml"
    kept, today = file.read_text(), clock.now().date()
    declared = yaml.safe_load(kept)
    deadline = clock.now() + dt.timedelta(seconds=75)  # the watcher reads declarations anew after a minute
    declared["schedule"] |= {"start": today, "end": today}
    declared["freshness"] = {"hours_after_partition": (deadline - clock.day_start(today)).total_seconds() / 3600, "on_fail": "warn"}
    try:
        file.write_text(yaml.safe_dump(declared, sort_keys=False))
        (alert,), _ = wait_for(lambda: [each for each in list_alerts(Filter(kind="freshness")) if each.dataset == "schedules"])
    finally:
        file.write_text(kept)
    late = (alert.first_at - deadline).total_seconds()
    print(f"a partition never came: an alert {late:.1f} s after its deadline")
    assert 0 <= late < 60 and alert.evidence["days"] == [str(today)]
    wait_for(lambda: show_alert(alert.id).alert.state == "resolved")


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
