"""The task that requests approval, and those that act on the answer, with our real database and Airflow's own events."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.registry.approvals import approval_status, find_answer, record_answer
from include.evergreen.state import pauses
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import approvals
from tests.plugins.ui.test_versions import registered

if TYPE_CHECKING:
    from evergreen_airflow.operators.approval import WaitForApprovalOperator

pytestmark = pytest.mark.usefixtures("home")
GRACE = {"id": "7", "name": "grace"}


def asks(hours: float = 72) -> WaitForApprovalOperator:
    from evergreen_airflow.operators.approval import WaitForApprovalOperator

    return WaitForApprovalOperator(task_id="ask", model="air_time", hours=hours, retries=3, execution_timeout=dt.timedelta(minutes=30))


def context_of(task: Any, *, max_tries: int = 3, version: int = 1) -> dict[str, Any]:
    """As Airflow makes it: a first try and its automatic retries share ``max_tries``, and clearing the task raises it."""
    run = SimpleNamespace(dag_id="air_time.approve", run_id="approval__v1", run_after=dt.datetime.now(dt.UTC), triggering_user_name="ada",
                          run_type="manual", clear_number=0)  # fmt: skip
    return {"ti": SimpleNamespace(max_tries=max_tries), "task": task, "dag_run": run, "run_id": run.run_id,
            "params": {"version": version}}  # fmt: skip


def event(chosen: str = "Approve", user: dict[str, str] | None = GRACE, reason: str = "looks sound") -> dict[str, Any]:
    """What Airflow passes when somebody answered, or the timeout is over."""
    return {"chosen_options": [chosen], "params_input": {"reason": reason}, "responded_at": dt.datetime.now(dt.UTC),
            "responded_by_user": user, "timedout": user is None}  # fmt: skip


def recorded() -> list[tuple[str, str, str]]:
    with reading() as connection:
        rows = connection.execute(approvals.select().order_by(approvals.c.id)).all()
    return [(row.verdict, row.actor, row.reason) for row in rows]


@pytest.mark.parametrize(("chosen", "verdict"), [("Approve", "approved"), ("Reject", "refused")])
def test_the_answer_is_recorded_with_the_name_of_who_gave_it(chosen: str, verdict: str) -> None:
    registered(1, because="it is the first model")
    task = asks()
    returned = task.execute_complete(context_of(task), event(chosen))
    assert returned == {"version": 1, "verdict": verdict, "actor": "grace", "reason": "looks sound", "clear_number": 0}
    assert recorded() == [(verdict, "grace", "looks sound")]


def test_a_request_without_an_answer_in_time_is_rejected_by_nobody() -> None:
    registered(1, because="it is the first model")
    task = asks(hours=48)
    task.execute_complete(context_of(task), event("Reject", user=None, reason=""))
    assert recorded() == [("refused", "nobody", "nobody answered within 48 hours")]


def test_an_approval_without_a_name_is_none() -> None:
    registered(1, because="it is the first model")
    task = asks()
    task.execute_complete(context_of(task), event("Approve", user=None))
    assert recorded()[0][:2] == ("refused", "nobody")


def test_a_retry_reuses_a_recorded_answer_and_a_cleared_task_requests_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.standard.operators.hitl import HITLOperator

    registered(1, because="it is the first model")
    task = asks()
    task.execute_complete(context_of(task), event("Reject"))
    assert task.execute(context_of(task))["verdict"] == "refused"

    asked: list[str] = []
    monkeypatch.setattr(HITLOperator, "execute", lambda self, context: asked.append(self.subject))
    with pytest.raises(AssertionError, match="returned instead of suspending"):
        task.execute(context_of(task, max_tries=7))
    assert asked == ["air_time version 1 (1.0.0), as of 2013-02-02. Approve for production?"]
    assert find_answer("air_time", 1, "air_time.approve approval__v1 5") is None


def test_the_evidence_says_why_what_changes_and_what_the_gate_found() -> None:
    from include.evergreen.promotion.approval_request import build_approval_request

    registered(1, because="it is the first model")
    asked = build_approval_request("air_time", 1, hours=72, links={"Model card": "evergreen/card"})
    for words in ("**Why approval is needed:** it is the first model.", "**first** champion", "72 hours", "[Model card](evergreen/card)",
                  "### Criteria", "mae of 1 is \\<small\\> enough"):  # fmt: skip
        assert words in asked.body


def test_the_reason_why_it_is_asked_is_text_and_no_markup() -> None:
    from include.evergreen.promotion.approval_request import build_approval_request

    registered(1, because="the [champion](http://x) is **better**")
    asked = build_approval_request("air_time", 1, hours=72, links={})
    assert r"the \[champion\](http://x) is \*\*better\*\*." in asked.body


def test_a_rejected_version_is_skipped_and_the_log_names_who_rejected_it() -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from evergreen_airflow.operators.approval import PromoteApprovedOperator

    registered(1, because="it is the first model")
    record_answer("air_time", 1, request="a run", verdict="refused", actor="ada", reason="too few rows")
    task = PromoteApprovedOperator(task_id="promote", model="air_time")
    with pytest.raises(AirflowSkipException, match="version 1 was refused by ada .*: too few rows"):
        task.execute(context_of(task))
    assert approval_status("air_time", 1).blocks_promotion


def test_the_form_of_the_pause_pauses_once_however_often_it_is_retried_and_resumes() -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from evergreen_airflow.operators.pausing import PauseOperator

    task = PauseOperator(task_id="pause")
    context = context_of(task)
    context["params"] = {"action": "pause", "hours": 2, "reason": "a bad feed"}
    assert task.execute(context) == task.execute(context)
    standing = pauses.active_pause()
    assert standing is not None and (standing.id, standing.actor) == (1, "ada")
    context["params"] = {"action": "resume", "hours": 2, "reason": "it is fixed"}
    task.execute(context)
    assert pauses.active_pause() is None
    with pytest.raises(AirflowSkipException, match="no pause is active"):
        task.execute(context)


def test_the_form_allows_what_the_pause_allows() -> None:
    from evergreen_airflow.dags.pause import pause_dag

    schema = pause_dag().params.get_param("hours").schema
    assert (schema["exclusiveMinimum"], schema["maximum"]) == (0, pauses.LONGEST_HOURS)
    pauses.pause(hours=schema["maximum"], actor="ada", reason="a bad feed")
    for hours in (schema["exclusiveMinimum"], schema["maximum"] + 1):
        with pytest.raises(ConfigError):
            pauses.pause(hours=hours, actor="ada", reason="a bad feed")


def test_a_trigger_event_is_held_back_by_a_pause_and_kept() -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from evergreen_airflow.sensors.retraining import TriggerTrainingOperator

    pauses.pause(hours=1, actor="ada", reason="a bad feed")
    task = TriggerTrainingOperator(task_id="trigger_training", model="air_time", sensor_task_id="wait_for_trigger")
    with pytest.raises(AirflowSkipException, match="ada paused"):
        task.execute(context_of(task))
