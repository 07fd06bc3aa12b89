"""What goes wrong in a real Airflow is an alert by itself, once, and is resolved by itself when it is well again.

Deadlines, escalation and dead workers each take a minute of waiting: they are begun together, and looked at one after the other.
"""

import datetime as dt
import json
import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest
import yaml

from include.evergreen.data.partitions import current_partitions
from include.evergreen.foundation import clock
from include.evergreen.oncall import begin_drill
from include.evergreen.state.alerts import Filter, list_alerts, resolve, show_alert
from include.evergreen.state.database import writing
from tests.integration.airflow_under_test import Running
from tests.servers.http import HttpServer
from tests.unit.flights import NEW_YORK

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


@pytest.fixture(scope="module")
def never_comes(running: Running):
    """The deadline of a partition of today of which there is no file."""
    if not current_partitions("outcomes"):  # what never came at all is late from its first run on
        running.run("outcomes.ingest", partition_key="2013-06-05")
    file = running.include / "datasets" / "outcomes" / "dataset.yaml"
    kept, today = file.read_text(), NEW_YORK.at(clock.now())
    declared = yaml.safe_load(kept)
    deadline = clock.now() + dt.timedelta(seconds=75)  # the watcher reads declarations anew after a minute
    declared["schedule"] |= {"start": dt.date.fromisoformat(today), "end": dt.date.fromisoformat(today)}
    declared["freshness"] = {"hours_after_partition": (deadline - NEW_YORK.start(today)).total_seconds() / 3600, "on_fail": "warn"}
    file.write_text(yaml.safe_dump(declared, sort_keys=False))
    yield SimpleNamespace(day=today, deadline=deadline, mend=lambda: file.write_text(kept))
    file.write_text(kept)


@pytest.fixture(scope="module")
def interrupted(running: Running, never_comes):
    """A drill, and who is told of it: the API server and the triggerer were killed while its second step was being sent."""
    first_answer, hangs = threading.Event(), threading.Event()

    def answer(request):
        if first_answer.is_set() and not hangs.is_set():
            hangs.set()  # the second step: it was received, and the answer never comes
            server.leaving.wait(PATIENCE_SECONDS)
        else:
            request.answer(202)
            first_answer.set()

    file = running.include / "oncall.yaml"
    with HttpServer() as server:
        server.answers["/hook"] = answer
        host = f"{server.url}/hook"
        running.api.post("connections", {"connection_id": "hook_ml", "conn_type": "http", "host": host, "password": "key"})
        file.write_text(ONCALL)
        drill = begin_drill(actor="ada", minutes=30)
        assert hangs.wait(PATIENCE_SECONDS), "the second step was not sent"
        for name in ("api-server", "triggerer"):
            running.airflow.kill(name)
        running.airflow.start_again("api-server", "triggerer")
        yield server
        resolve(drill.alert_id, reason="it was a drill", actor="ada")
        file.write_text("routes: []\n")


@pytest.fixture(scope="module")
def killed(running: Running, interrupted):
    """The runs and the tasks of which the process alone, and of which the whole worker was killed; and the deaths before."""
    before = deaths()
    return SimpleNamespace(
        before=before,
        alone=hanging_task(running, "weather.ingest", "2013-06-06"),
        with_worker=hanging_task(running, "schedules.ingest", "2013-06-07", with_worker=True),
    )


def test_a_task_whose_process_is_killed_is_one_alert_within_a_minute(running: Running, killed):
    run_id, task, since = killed.alone
    (alert,), _ = wait_for(lambda: alerts_on("weather.ingest", run_id))
    print(f"its process was killed: an alert after {seconds_until(alert, since):.1f} s")
    assert seconds_until(alert, since) < 60 and alert.key == f"died/weather.ingest/{task}"


def test_a_task_whose_whole_worker_is_killed_is_one_alert_within_a_minute_and_resolved_when_its_run_is_deleted(running: Running, killed):
    run_id, task, since = killed.with_worker
    (alert,), _ = wait_for(lambda: alerts_on("schedules.ingest", run_id))
    print(f"its worker was killed: an alert after {seconds_until(alert, since):.1f} s")
    assert seconds_until(alert, since) < 60 and alert.key == f"died/schedules.ingest/{task}" and "silent" in alert.message
    running.api.patch(f"dags/schedules.ingest/dagRuns/{run_id}", {"state": "failed"})
    running.api.delete(f"dags/schedules.ingest/dagRuns/{run_id}")
    wait_for(lambda: alerts_on("schedules.ingest", run_id, "resolved"))


def test_a_task_that_died_is_well_again_when_airflow_tried_it_again_and_each_death_counted_once(running: Running, killed):
    run_id, *_ = killed.alone
    wait_for(lambda: alerts_on("weather.ingest", run_id, "resolved"), 240)
    assert sum(deaths().values()) == sum(killed.before.values()) + 2, (killed.before, deaths())


def test_a_task_that_fails_is_an_alert_and_resolved_when_it_was_cleared_and_succeeded(running: Running, interrupted):
    day = "2013-06-05"
    kept = running.home / "landing" / "schedules" / f"{day}.csv"  # no other test takes a file of these away: it would be the same cause
    taken = kept.rename(kept.with_suffix(".away"))
    run_id = running.api.trigger("schedules.ingest", partition_key=day)
    wait_for(lambda: running.state_of("schedules.ingest", run_id, "fetch") == "failed")
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


def test_a_partition_that_never_comes_is_an_alert_within_a_minute_of_its_deadline(interrupted, never_comes):
    (alert,), _ = wait_for(lambda: [each for each in list_alerts(Filter(kind="freshness")) if each.dataset == "outcomes"])
    late = seconds_until(alert, never_comes.deadline)
    print(f"a partition never came: an alert {late:.1f} s after its deadline")
    assert 0 <= late < 60 and alert.evidence["days"] == [never_comes.day]
    never_comes.mend()
    wait_for(lambda: show_alert(alert.id).alert.state == "resolved")


def test_killing_the_api_server_and_the_triggerer_amid_an_escalation_loses_no_step_and_doubles_none(interrupted):
    wait_for(lambda: len(triggered(interrupted)) == 3)
    time.sleep(12)  # two rounds of the watcher: nothing more comes
    keys = [request.headers["Idempotency-Key"] for request in interrupted.requests]
    assert len(set(keys)) == 3, "each step is one message to whoever takes a key once"
    assert len(keys) == 4, "what was being sent at the kill came again, under its key; no other did"
    twice = [request for request in interrupted.requests if keys.count(request.headers["Idempotency-Key"]) > 1]
    before, again = (json.loads(request.body) for request in twice)
    assert before == again


def triggered(server):
    """The steps that were told, each once."""
    return {request.headers["Idempotency-Key"] for request in server.requests if json.loads(request.body)["action"] == "trigger"}


def seconds_until(alert, since):
    return (alert.first_at - since).total_seconds()


def deaths():
    """How many attempts of the tasks that are killed here were counted as dead: on a busy machine others may fall silent, too."""
    return {
        alert.key: alert.times for alert in list_alerts(ANY) if alert.key.startswith(("died/weather.ingest/", "died/schedules.ingest/"))
    }


def hanging_task(running: Running, dag_id, day, *, with_worker=False):
    """The run and the task of which the process, or the worker too, was killed while it hung; and when."""
    with writing():  # so that a task that records something waits, for a minute at most
        run_id = running.api.trigger(dag_id, partition_key=day)
        (task, pid), _ = wait_for(lambda: waiting_task(running, dag_id, run_id), LOCKED_SECONDS)
        for victim in (parent_of(pid), pid) if with_worker else (pid,):
            os.kill(victim, signal.SIGKILL)
        return run_id, task, clock.now()


def waiting_task(running: Running, dag_id, run_id):
    """The task that runs and does not end, and its process."""
    first = running_tasks(running, dag_id, run_id)
    time.sleep(2.5)
    return next(((task, pid) for task, pid in first & running_tasks(running, dag_id, run_id) if os.path.exists(f"/proc/{pid}")), None)


def running_tasks(running: Running, dag_id, run_id):
    query = "SELECT task_id, pid FROM task_instance WHERE dag_id = ? AND run_id = ? AND state = 'running' AND pid IS NOT NULL"
    return set(running.look(query, dag_id, run_id))


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
