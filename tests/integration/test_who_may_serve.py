"""Who may let a version serve: a person where one must agree, and our own database; never a state that somebody marked in Airflow."""

import contextlib
import json
import time
from urllib.parse import quote

import jwt
import pytest
import yaml

from include.evergreen.foundation.errors import TransientError
from include.evergreen.registry.approvals import approval_status, waiting_versions
from include.evergreen.registry.champions import champion
from include.evergreen.registry.versions import list_versions
from include.evergreen.state.alerts import open_alerts
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import candidates, ledger
from include.evergreen.state.pauses import active_pause
from tests.integration.airflow_under_test import TIMEOUT_SECONDS
from tests.integration.conftest import declare_again
from tools.rest import AirflowApi

MODEL = "air_time"
AS_OF = "2013-01-10"
NEEDS_APPROVAL = "\napproval:\n  mode: human\n"
SLOW_CHECKS = """
import time
from include.evergreen.testkit.behaviour import invariance

def slowly(rows):
    time.sleep(60)
    return rows

CHECKS = [invariance("nothing changes, slowly", slowly, at_most=0)]
"""


@pytest.fixture(scope="module")
def asked(ten_days):
    """`ten_days`, where from now on a person approves each version of air_time."""
    before = (ten_days.include / "models" / MODEL / "model.yaml").read_text()
    declare_again(ten_days, MODEL, before + NEEDS_APPROVAL, asks)
    yield ten_days
    declare_again(ten_days, MODEL, before, lambda tasks: not asks(tasks))


def asks(tasks):
    return any(task["task_id"] == "ask" for task in tasks)


@pytest.fixture
def slow_gate(asked):
    """`asked`, where the gate of air_time takes a minute, so that there is time to mark it."""
    declared = asked.include / "models" / MODEL / "model.yaml"
    checks, before = declared.with_name("checks.py"), declared.read_text()
    model = yaml.safe_load(before)
    model["gate"]["criteria"].append({"kind": "behaviour"})
    declared.write_text(yaml.safe_dump(model, sort_keys=False))
    checks.write_text(SLOW_CHECKS)
    yield asked
    declared.write_text(before)
    checks.unlink()


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.3)


def api_of(running, user):
    """The API as somebody with a name and no more rights than a user has: an embedded Airflow itself knows nobody by name."""
    secret = (running.home / "airflow" / "secret").read_text()
    token = running.api.login()
    claims = jwt.decode(token, options={"verify_signature": False})
    headers = {"kid": jwt.get_unverified_header(token)["kid"]}
    return AirflowApi(running.airflow.url, jwt.encode({**claims, "sub": user, "role": "USER"}, secret, algorithm="HS512", headers=headers))


def answer(running, user, run_id, chosen, reason):
    """What the buttons of the form send, until the run has ended.

    Not once: SQLite may be locked, and an answer within a second of the question can overtake Airflow's own note that the task is
    parked. Airflow then takes the task for lost, and asks again half a minute later.
    """
    api, dag_id = api_of(running, user), f"{MODEL}.approve"
    path = f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/ask/-1/hitlDetails"

    def ended():
        if running.state_of(dag_id, run_id, "ask") == "awaiting_input":
            with contextlib.suppress(TransientError):
                api.patch(path, {"chosen_options": [chosen], "params_input": {"reason": reason}})
        return running.has_ended(dag_id, run_id)

    time.sleep(2)
    wait_until(ended)


def mark_success(running, dag_id, run_id, task_id):
    def marked():
        with contextlib.suppress(TransientError):  # SQLite may be locked
            running.api.patch(f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}", {"new_state": "success"})
        return running.state_of(dag_id, run_id, task_id) == "success"

    wait_until(marked)


def wait_for_question(running, run_id):
    wait_until(lambda: running.state_of(f"{MODEL}.approve", run_id, "ask") == "awaiting_input")


def wait_for_end(running, dag_id, run_id):
    wait_until(lambda: running.has_ended(dag_id, run_id))


def newest_entries(kinds):
    with reading() as connection:
        rows = connection.execute(ledger.select().where(ledger.c.kind.in_(kinds), ledger.c.model == MODEL).order_by(ledger.c.sequence))
        return [(row.kind, json.loads(row.body)) for row in rows]


def test_marking_the_question_promotes_nothing_and_the_person_who_approves_it_does_and_is_named(asked):
    serving = champion(MODEL)
    training = asked.api.trigger(f"{MODEL}.train", conf={"as_of": AS_OF, "window": "8 days"})
    wait_for_end(asked, f"{MODEL}.train", training)  # which waits for nobody
    assert asked.state_of(f"{MODEL}.train", training, "promote") == "skipped"
    log = asked.api.task_log(f"{MODEL}.train", training, "promote")
    assert any("waiting for approval: a person approves each version" in line for line in log)
    version = list_versions(MODEL)[-1]
    assert [each.version for each in waiting_versions(MODEL)] == [version.version]
    question = f"approval__v{version.version}"
    wait_for_question(asked, question)
    detail = asked.api.get(f"dags/{MODEL}.approve/dagRuns/{question}/taskInstances/ask/-1/hitlDetails")
    assert f"{MODEL} version {version.version} ({version.semver})" in detail["subject"]
    assert "### Criteria" in detail["body"] and f"cards/{version.version}" in detail["body"]

    mark_success(asked, f"{MODEL}.approve", question, "ask")
    wait_for_end(asked, f"{MODEL}.approve", question)
    promote = next(each for each in asked.api.task_instances(f"{MODEL}.approve", question) if each["task_id"] == "promote")
    assert (promote["state"], promote["try_number"]) == ("failed", 1)
    assert champion(MODEL) == serving
    (alert,) = [alert for alert in open_alerts(MODEL) if alert.kind != "task"]  # tasks of other tests have failed, too
    assert alert.severity == "critical" and "needs a person's approval" in alert.message

    tasks = {"task_ids": ["ask", "promote"], "dag_run_id": question, "only_failed": False, "dry_run": False}
    asked.api.post(f"dags/{MODEL}.approve/clearTaskInstances", tasks)
    wait_for_question(asked, question)
    answer(asked, "grace", question, "Approve", "the slices are fine")
    assert champion(MODEL) == version
    approval, promotion = newest_entries({"approval", "promotion"})[-2:]
    assert (approval[0], approval[1]["actor"], approval[1]["reason"]) == ("approval", "grace", "the slices are fine")
    assert (promotion[0], promotion[1]["actor"], promotion[1]["version"]) == ("promotion", "grace", version.version)
    assert waiting_versions(MODEL) == []


def test_a_refusal_is_recorded_with_the_name_and_promotes_nothing(asked):
    serving = champion(MODEL)
    other = next(each for each in list_versions(MODEL) if each != serving)
    question = asked.api.trigger(f"{MODEL}.approve", conf={"version": other.version})
    wait_for_question(asked, question)
    answer(asked, "ada", question, "Reject", "it is worse at JFK")
    assert asked.state_of(f"{MODEL}.approve", question, "promote") == "skipped"
    assert approval_status(MODEL, other.version).message.endswith("it is worse at JFK")
    kind, body = newest_entries({"approval", "refusal", "promotion"})[-1]
    assert (kind, body["actor"], body["version"]) == ("refusal", "ada", other.version)
    assert champion(MODEL) == serving


def test_marking_the_gate_registers_nothing_and_makes_one_critical_alert(slow_gate):
    asked = slow_gate
    serving, versions = champion(MODEL), list_versions(MODEL)
    before = {alert.key for alert in open_alerts(MODEL)}
    training = asked.api.trigger(f"{MODEL}.train", conf={"as_of": AS_OF, "window": "9 days"})
    wait_until(lambda: asked.state_of(f"{MODEL}.train", training, "gate") == "running")  # marked earlier, it could still begin
    mark_success(asked, f"{MODEL}.train", training, "gate")  # which has recorded nothing yet
    wait_for_end(asked, f"{MODEL}.train", training)
    states = {each["task_id"]: each["state"] for each in asked.api.task_instances(f"{MODEL}.train", training)}
    assert states == {"snapshot": "success", "train": "success", "gate": "success", "register": "failed",
                      "promote": "upstream_failed", "ask": "upstream_failed"}  # fmt: skip
    assert (champion(MODEL), list_versions(MODEL)) == (serving, versions)
    log = "\n".join(asked.api.task_log(f"{MODEL}.train", training, "register"))
    new = [alert for alert in open_alerts(MODEL) if alert.key not in before]
    assert len(new) == 1, log
    (alert,) = new
    assert alert.severity == "critical" and "no blessed decision" in alert.message

    mark_success(asked, f"{MODEL}.train", training, "register")
    tasks = {"task_ids": ["promote"], "dag_run_id": training, "only_failed": False, "dry_run": False}
    asked.api.post(f"dags/{MODEL}.train/clearTaskInstances", tasks)
    wait_until(lambda: asked.state_of(f"{MODEL}.train", training, "promote") == "failed")
    assert champion(MODEL) == serving
    assert len({alert.key for alert in open_alerts(MODEL)} - before) == 1, "one cause, one alert"


def test_a_pause_holds_promotion_until_it_is_lifted_and_people_go_on_by_hand(asked):
    serving = champion("flight_delay")
    api_of(asked, "ada").trigger("evergreen.pause", conf={"action": "pause", "hours": 1, "reason": "a bad feed"})
    wait_until(active_pause)
    assert active_pause().actor == "ada"
    training = asked.api.trigger("flight_delay.train", conf={"as_of": AS_OF, "window": "8 days"})
    wait_for_end(asked, "flight_delay.train", training)
    assert asked.state_of("flight_delay.train", training, "promote") == "skipped"
    log = asked.api.task_log("flight_delay.train", training, "promote")
    assert any("ada paused automatic promotion" in line and "a bad feed" in line for line in log)
    assert champion("flight_delay") == serving

    newest = list_versions("flight_delay")[-1]
    conf = {"action": "promote", "version": newest.version, "reason": "we checked it by hand", "force": True}
    promotion = api_of(asked, "grace").trigger("flight_delay.promote", conf=conf)
    wait_for_end(asked, "flight_delay.promote", promotion)
    assert champion("flight_delay") == newest
    conf = {"action": "roll back", "reason": "it was too early"}
    wait_for_end(asked, "flight_delay.promote", api_of(asked, "grace").trigger("flight_delay.promote", conf=conf))
    assert champion("flight_delay") == serving

    cleared = {"dag_run_id": promotion, "only_failed": False, "dry_run": False}  # bob's, of what grace had forced
    api_of(asked, "bob").post("dags/flight_delay.promote/clearTaskInstances", cleared)
    wait_until(lambda: asked.state_of("flight_delay.promote", promotion, "promote") == "failed")
    assert champion("flight_delay") == serving

    asked.api.trigger("evergreen.pause", conf={"action": "resume", "reason": "the feed is fixed"})
    wait_until(lambda: active_pause() is None)


def test_every_run_of_mlflow_leads_back_to_the_dag_run_that_made_it(asked):
    import mlflow

    with reading() as connection:
        run_id = connection.execute(candidates.select().where(candidates.c.model == MODEL).order_by(candidates.c.recorded_at)).first()
    tags = mlflow.MlflowClient(f"sqlite:///{asked.home}/mlflow.db").get_run(run_id.mlflow_run_id).data.tags
    assert tags["airflow.dag_id"] == f"{MODEL}.train"
    assert tags["airflow.url"] == f"{asked.airflow.url}/dags/{MODEL}.train/runs/{tags['airflow.dag_run_id']}"
