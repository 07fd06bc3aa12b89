"""Wait until one of a model's retraining rules trips, then trigger its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import BaseOperator, BaseSensorOperator

from evergreen_airflow.operators.training import skip
from evergreen_airflow.triggers.firing import FiringTrigger, note_resumed_training, note_training
from include.evergreen.config import Catalog

if TYPE_CHECKING:
    from airflow.sdk import Context


class RetrainingSensor(BaseSensorOperator):
    """Deferrable sensor: evaluate the rules once, then wait in the triggerer. Succeeds with the recorded trigger event.

    :param model: its name, as in ``include/models``
    :param poll_seconds: seconds between two evaluations
    :param **kwargs: passed to ``BaseSensorOperator``
    """

    def __init__(self, *, model: str, poll_seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> dict[str, Any]:
        """Evaluate the rules and defer if none trips.

        :param context: the running task's Airflow context
        :returns: what `execute_complete` returns
        """
        return self.execute_complete(context)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Record the trigger event, or find one whose training is due, or defer again if there is none or a pause is active.

        :param context: the running task's Airflow context
        :param event: ignored; the rules are evaluated again
        :returns: ``firing`` (id of the trigger event), ``as_of``, the newest ``partition`` of its evidence, the ``rule``'s name, and
            ``summary`` (its evidence)
        """
        from include.evergreen.monitoring.triggers import due_firing, fire_if_tripped
        from include.evergreen.state.pauses import active_pause

        note_training(self.model)
        pause = active_pause()
        firing = None if pause else due_firing(self.model) or fire_if_tripped(Catalog().model(self.model))
        if firing is None:
            reason = f"rules are not evaluated: {pause.message}" if pause else "no rule trips"
            self.log.info("%s: waiting for a trigger; %s. Polling every %g s.", self.model, reason, self.poll_seconds)
            self.defer(trigger=FiringTrigger(self.model, self.poll_seconds), method_name="execute_complete")
        assert firing is not None  # defer raises
        self.log.warning("%s: retraining triggered: %s", self.model, firing.message)
        return {
            "firing": firing.id,
            "as_of": str(firing.as_of),
            "partition": str(firing.partition),
            "rule": firing.rule,
            "summary": firing.message,
        }


class TriggerTrainingOperator(TriggerDagRunOperator):
    """Trigger the training for a trigger event. The run id derives from the event and the attempt, so each attempt is triggered once.

    During a pause the task is skipped. The event stays due, and the sensor picks it up when the pause ends. If no event was recorded,
    because the sensor's task was marked as success, there is nothing to trigger, and the task is skipped.

    :param model: its name, as in ``include/models``
    :param sensor_task_id: id of the task that recorded the trigger event
    :param **kwargs: passed to ``TriggerDagRunOperator``
    """

    def __init__(self, *, model: str, sensor_task_id: str, **kwargs: Any) -> None:
        super().__init__(trigger_dag_id=f"{model}.train", logical_date=None, skip_when_already_exists=True, **kwargs)
        self.model = model
        self.sensor_task_id = sensor_task_id

    def execute(self, context: Context) -> None:
        """Trigger ``<model>.train`` as of the day of the event, or skip while a pause is active.

        :param context: the running task's Airflow context
        """
        from include.evergreen.monitoring.triggers import ask_training
        from include.evergreen.state.pauses import active_pause

        if pause := active_pause():
            skip(self, pause.message)
        event = recorded_event(self, context, self.sensor_task_id)
        note_resumed_training(self.model)
        self.trigger_run_id = ask_training(event["firing"])  # if the task dies after this, it is retried itself
        if self.trigger_run_id is None:
            skip(self, f"the trigger event as of {event['as_of']} is answered: the gate has decided on its training's candidate")
        self.conf = {"as_of": event["as_of"], "reason": f"triggered by: {event['summary']}"[:500]}
        super().execute(context)


def recorded_event(operator: BaseOperator, context: Context, sensor_task_id: str) -> dict[str, Any]:
    """Return the trigger event that the sensor of this run recorded, or skip the task if there is none.

    :param operator: the running operator
    :param context: its Airflow context
    :param sensor_task_id: id of the sensor's task
    :returns: what `RetrainingSensor.execute_complete` returned
    """
    event: dict[str, Any] | None = context["ti"].xcom_pull(task_ids=sensor_task_id)
    if event is None:
        skip(operator, f"no trigger event was recorded, regardless of the state of the task {sensor_task_id}. The next run waits for one.")
    return event
