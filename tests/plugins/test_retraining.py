"""A trigger event is answered by its training's decision alone; and what happens to it when Airflow's tasks fail or are marked by hand."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest

from include.evergreen.config import Catalog
from include.evergreen.config.monitoring import Retrain, Rule
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring import Observation, record_observations
from include.evergreen.monitoring.triggers import Firing, ask_training, due_firing, fire_if_tripped, list_firings

pytestmark = pytest.mark.usefixtures("home")
MODEL, DAY = "air_time", "2013-02-09"
FIRST_RUN = f"firing__1__{DAY}"


@pytest.fixture
def fired() -> Firing:
    return fires(DAY)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The states of the runs of air_time.train, by run id, as Airflow tells them to a task or trigger."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states: dict[str, str] = {}

    def get_dr_count(dag_id: str, run_ids: list[str], states: list[str], states_by_run: dict[str, str] = states) -> int:
        assert dag_id == f"{MODEL}.train"
        return sum(states_by_run.get(run_id) in states for run_id in run_ids)

    monkeypatch.setattr(RuntimeTaskInstance, "get_dr_count", get_dr_count)
    return states


def fires(day: Partition) -> Firing:
    record_observations(MODEL, day, [Observation(MODEL, day, "drift.share", 0.9, 1, "live", 900)])
    retrain = Retrain(rules=(Rule(metric="drift.share", above=0.5, k=1, n=1),), cooldown=Span(7, "day"))
    fired = fire_if_tripped(Catalog().model(MODEL).model_copy(update={"retrain": retrain}))
    assert fired is not None
    return fired


def context_of(event: Any, **extra: Any) -> dict[str, Any]:
    """Of a task whose upstream tasks all returned ``event``."""
    run = SimpleNamespace(dag_id=f"{MODEL}.retrain", run_id="a run", partition_key=str(DAY), run_type="manual")
    return {"ti": SimpleNamespace(xcom_pull=lambda task_ids: event), "dag_run": run, "run_id": "a run", "params": {}, **extra}


def triggered(fired: Firing) -> str:
    """The run id of the training that the task triggers for the event; Airflow learns it by an exception."""
    from airflow.sdk.exceptions import DagRunTriggerException

    from evergreen_airflow.sensors.retraining import TriggerTrainingOperator

    event = {"firing": fired.id, "as_of": str(fired.as_of), "summary": fired.message}
    with pytest.raises(DagRunTriggerException) as asked:
        TriggerTrainingOperator(task_id="trigger_training", model=MODEL, sensor_task_id="wait_for_trigger").execute(context_of(event))
    assert asked.value.trigger_dag_id == f"{MODEL}.train"
    return asked.value.dag_run_id


def sensed() -> dict[str, Any] | None:
    """What the sensor returns; None when it waits."""
    from airflow.sdk.exceptions import TaskDeferred

    from evergreen_airflow.sensors.retraining import RetrainingSensor

    try:
        return RetrainingSensor(task_id="wait_for_trigger", model=MODEL, poll_seconds=5).execute(context_of(None))
    except TaskDeferred:
        return None


def decided(verdict: str, monkeypatch: pytest.MonkeyPatch, run_id: str = FIRST_RUN) -> None:
    """The gate's task of a training run comes to this verdict."""
    from evergreen_airflow.operators.training import EvaluateGateOperator
    from include.evergreen.gates import decide
    from include.evergreen.training import candidate

    decision = SimpleNamespace(verdict=verdict, message="as it is", summary="as it is")
    monkeypatch.setattr(decide, "decide", lambda catalog, model, candidate: decision)
    monkeypatch.setattr(candidate, "find_candidate", lambda run_key: SimpleNamespace(as_of=DAY, run_key=run_key, mlflow_run_id="m"))
    EvaluateGateOperator(task_id="gate", model=MODEL).execute(context_of({"run_key": "k"}, run_id=run_id))


@pytest.mark.parametrize("verdict", ["blessed", "rejected"])
def test_a_decision_answers_the_event_and_nothing_is_triggered_again(
    fired: Firing, runs: dict[str, str], verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    assert triggered(fired) == FIRST_RUN
    runs[FIRST_RUN] = "running"
    decided(verdict, monkeypatch)
    runs[FIRST_RUN] = "failed"  # after the gate, as when the registry did not respond
    assert sensed() is None
    monkeypatch.setattr(clock, "now", lambda: dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    assert (sensed(), due_firing(MODEL)) == (None, None)
    with pytest.raises(AirflowSkipException, match="the trigger event as of 2013-02-09 is answered"):
        triggered(fired)  # somebody cleared the task


def test_a_gate_that_cannot_evaluate_answers_nothing(fired: Firing, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    triggered(fired)
    with pytest.raises(DataError, match="could not evaluate"):
        decided("not_evaluated", monkeypatch)
    assert list_firings(MODEL)[0].answered_at is None


@pytest.mark.parametrize("end", ["failed", "success", None])
def test_a_training_that_ends_without_a_decision_is_triggered_again_after_an_hour(
    fired: Firing, runs: dict[str, str], end: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when MLflow is down for some minutes; when somebody marks the run as success; and when it was removed, or never made."""
    assert triggered(fired) == FIRST_RUN
    for runs[FIRST_RUN] in ("queued", "running"):
        assert sensed() is None
        assert list_firings(MODEL)[0].failed_at is None
    runs.pop(FIRST_RUN)
    if end:
        runs[FIRST_RUN] = end
    assert sensed() is None
    assert list_firings(MODEL)[0].failed_at is not None
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + dt.timedelta(hours=1, minutes=1))
    event = sensed()
    assert event is not None and (event["firing"], event["as_of"]) == (fired.id, str(DAY))
    assert triggered(fired) == f"{FIRST_RUN}__2"


def test_a_training_that_is_cleared_after_it_failed_is_awaited_and_no_other_is_triggered_beside_it(
    fired: Firing, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    triggered(fired)
    runs[FIRST_RUN] = "failed"
    assert sensed() is None
    runs[FIRST_RUN] = "running"
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + dt.timedelta(hours=1, minutes=1))
    assert sensed() is None
    assert list_firings(MODEL)[0].is_awaited


def test_a_look_between_the_request_and_the_run_starts_no_second_training(fired: Firing, runs: dict[str, str]) -> None:
    """As of a second triggerer, while the task waits for Airflow's answer and dies before it hears it."""
    assert triggered(fired) == FIRST_RUN
    assert sensed() is None  # and takes it for gone
    runs[FIRST_RUN] = "queued"
    assert triggered(fired) == FIRST_RUN


def test_the_trigger_wakes_the_sensor_for_it(fired: Firing, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from evergreen_airflow.triggers.firing import _tripped_rule

    assert _tripped_rule(MODEL) == fired.message
    triggered(fired)
    runs[FIRST_RUN] = "running"
    assert _tripped_rule(MODEL) is None
    runs[FIRST_RUN] = "failed"
    assert _tripped_rule(MODEL) is None
    assert list_firings(MODEL)[0].failed_at is not None
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + dt.timedelta(hours=1, minutes=1))
    assert _tripped_rule(MODEL) == fired.message


def test_airflow_is_not_asked_while_no_training_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    from evergreen_airflow.triggers.firing import _tripped_rule

    monkeypatch.setattr(RuntimeTaskInstance, "get_dr_count", lambda **_: pytest.fail("asked"))
    assert (sensed(), _tripped_rule(MODEL)) == (None, None)


def test_after_a_failed_training_newer_evidence_is_sensed_at_once(fired: Firing, runs: dict[str, str]) -> None:
    triggered(fired)
    assert sensed() is None  # and sees that its run is gone
    again = fires(DAILY.shift(DAY, 1))
    event = sensed()
    assert event is not None and event["firing"] == again.id
    assert triggered(again) == f"firing__{again.id}__{again.as_of}"


def test_a_sensor_that_was_marked_as_success_triggers_nothing_and_loses_nothing(fired: Firing) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from evergreen_airflow.operators.serving import RenderDriftReportOperator
    from evergreen_airflow.sensors.retraining import TriggerTrainingOperator

    for task in (
        TriggerTrainingOperator(task_id="trigger_training", model=MODEL, sensor_task_id="wait_for_trigger"),
        RenderDriftReportOperator(task_id="report", model=MODEL, sensor_task_id="wait_for_trigger"),
    ):
        with pytest.raises(
            AirflowSkipException, match="no trigger event was recorded, regardless of the state of the task wait_for_trigger"
        ):
            task.execute(context_of(None))
    event = sensed()  # by the next run
    assert event is not None and event["firing"] == fired.id


def test_whatever_task_was_marked_as_success_the_one_that_needs_its_result_says_so() -> None:
    from evergreen_airflow.operators.ingestion import PublishPartitionOperator, ValidatePartitionOperator
    from evergreen_airflow.operators.training import TrainCandidateOperator

    for needed, task in {
        "fetch": ValidatePartitionOperator(task_id="validate", dataset="weather"),
        "validate": PublishPartitionOperator(task_id="publish", dataset="weather"),
        "snapshot": TrainCandidateOperator(task_id="train", model=MODEL),
    }.items():
        with pytest.raises(DataError, match=f"The task {needed} of .* returned nothing, regardless of its state.*Clear {needed}"):
            task.execute(context_of(None))


def test_an_event_is_asked_for_once_though_the_task_dies_right_after(fired: Firing) -> None:
    assert ask_training(fired.id) == FIRST_RUN
    assert triggered(fired) == FIRST_RUN
