"""Who is recorded as having acted: by Airflow's own word, and of a run that was cleared Airflow does not say who cleared it."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest

from evergreen_airflow.runs import acting_user
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.promotion import promote as promotion
from include.evergreen.registry import champions
from include.evergreen.registry.approvals import record_answer
from include.evergreen.registry.champions import Promotion
from include.evergreen.state import pauses
from tests.plugins.ui.test_versions import registered

pytestmark = pytest.mark.usefixtures("home")


def context_of(
    run_type: str = "manual", user: str | None = "ada", *, clear_number: int = 0, asked: Any = None, **params: Any
) -> dict[str, Any]:
    run = SimpleNamespace(dag_id="air_time.promote", run_id="a run", run_type=run_type, triggering_user_name=user,
                          clear_number=clear_number, run_after=dt.datetime.now(dt.UTC))  # fmt: skip
    ti = SimpleNamespace(xcom_pull=lambda task_ids: asked, max_tries=3)
    return {"dag_run": run, "run_id": run.run_id, "ti": ti, "params": params}


@pytest.fixture
def promoted_by(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Who promotes a version automatically, and why, call by call."""
    calls: list[tuple[str, str]] = []

    def promote_blessed(catalog: Any, model: Any, version: int, *, actor: str, reason: str) -> Promotion:
        calls.append((actor, reason))
        return Promotion(True, version, "it is champion")

    monkeypatch.setattr(promotion, "promote_blessed", promote_blessed)
    return calls


@pytest.mark.parametrize(
    ("context", "actor"),
    [
        (context_of(), "ada"),
        (context_of("scheduled", None), "airflow (scheduled)"),
        (context_of(clear_number=1), "airflow (cleared manual run)"),
        (context_of("scheduled", None, clear_number=2), "airflow (cleared scheduled run)"),
        (context_of("manual", "a" * 256), "a" * 120),
    ],
)
def test_the_actor_is_who_acts_now_and_not_who_once_started_what_somebody_cleared(context: dict[str, Any], actor: str) -> None:
    assert acting_user(context) == actor  # type: ignore[arg-type]


@pytest.mark.parametrize("action", ["promote", "roll back"])
def test_a_promotion_by_hand_that_is_cleared_promotes_nothing_in_the_name_of_who_triggered_it(
    action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evergreen_airflow.operators.training import PromoteManuallyOperator

    acted: list[str] = []

    def act(*_: Any, actor: str, **__: Any) -> Promotion:
        acted.append(actor)
        return Promotion(True, 1, "it is champion")

    monkeypatch.setattr(champions, "promote", act)
    monkeypatch.setattr(champions, "rollback", act)
    form = {"action": action, "version": 1, "reason": "we need it now", "force": True}
    task = PromoteManuallyOperator(task_id="promote", model="air_time")
    task.execute(context_of(**form))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Trigger air_time.promote again, under your own name"):
        task.execute(context_of(clear_number=1, **form))  # type: ignore[arg-type]
    assert acted == ["ada"]


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_a_pause_or_its_end_that_is_cleared_is_not_done_again(action: str) -> None:
    from evergreen_airflow.operators.pausing import PauseOperator

    pauses.pause(hours=2, actor="grace", reason="a bad feed")
    standing = pauses.active_pause()
    with pytest.raises(ConfigError, match="Nothing was done"):
        PauseOperator(task_id="pause").execute(context_of(clear_number=1, action=action, hours=4, reason="an old one"))  # type: ignore[arg-type]
    assert pauses.active_pause() == standing


def approved(context: dict[str, Any]) -> dict[str, Any]:
    """What the question returns when grace answered it in this run."""
    from evergreen_airflow.operators.approval import WaitForApprovalOperator

    task = WaitForApprovalOperator(task_id="ask", model="air_time", hours=72, retries=3)
    event = {"chosen_options": ["Approve"], "params_input": {"reason": "looks sound"}, "responded_at": dt.datetime.now(dt.UTC),
             "responded_by_user": {"id": "7", "name": "grace"}, "timedout": False}  # fmt: skip
    return task.execute_complete({**context, "task": task}, event)  # type: ignore[arg-type]


def test_who_approved_promotes_and_who_clears_the_promotion_alone_is_not_called_by_that_name(promoted_by: list[tuple[str, str]]) -> None:
    from evergreen_airflow.operators.approval import PromoteApprovedOperator

    registered(1, because="it is the first model")
    task = PromoteApprovedOperator(task_id="promote", model="air_time")
    asked = approved(context_of(user=None, version=1))
    task.execute(context_of(user=None, version=1, asked=asked))  # type: ignore[arg-type]
    task.execute(context_of(user=None, clear_number=1, version=1, asked=asked))  # type: ignore[arg-type]
    again = approved(context_of(user=None, clear_number=2, version=1))  # the question was cleared, too
    task.execute(context_of(user=None, clear_number=2, version=1, asked=again))  # type: ignore[arg-type]
    assert promoted_by == [
        ("grace", "approved: looks sound"),
        ("airflow (cleared manual run)", "approved by grace: looks sound"),
        ("grace", "approved: looks sound"),
    ]


def test_a_question_that_was_marked_as_success_lends_nobody_s_name(promoted_by: list[tuple[str, str]]) -> None:
    """Another run's approval stands, and this run's question was marked."""
    from evergreen_airflow.operators.approval import PromoteApprovedOperator

    registered(1, because="it is the first model")
    record_answer("air_time", 1, request="another run", verdict="approved", actor="grace", reason="")
    PromoteApprovedOperator(task_id="promote", model="air_time").execute(context_of(user="ada", version=1))  # type: ignore[arg-type]
    assert promoted_by == [("airflow (ask was marked)", "approved by grace")]
