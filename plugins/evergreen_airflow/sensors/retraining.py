"""Wait until one of a model's retraining rules trips, then trigger its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import BaseSensorOperator

from evergreen_airflow.operators.training import skip
from evergreen_airflow.triggers.firing import FiringTrigger
from include.evergreen.config import Catalog

if TYPE_CHECKING:
    from airflow.sdk import Context


class RetrainingSensor(BaseSensorOperator):
    """Deferrable sensor: evaluate the rules once, then wait in the triggerer. Succeeds with the recorded trigger event.

    :param model: name of the model
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
        """Record the trigger event, or defer again if another process recorded it first or a pause is active.

        :param context: the running task's Airflow context
        :param event: ignored; the rules are evaluated again
        :returns: ``firing`` (id of the trigger event), ``as_of``, the ``rule``'s name, and ``summary`` (its evidence)
        """
        from include.evergreen.monitoring.triggers import fire_if_tripped, unanswered_firing
        from include.evergreen.state.pauses import active_pause

        pause = active_pause()
        firing = None if pause else unanswered_firing(self.model) or fire_if_tripped(Catalog().model(self.model))
        if firing is None:
            reason = f"rules are not evaluated: {pause.message}" if pause else "no rule trips"
            self.log.info("%s: waiting for a trigger; %s. Polling every %g s.", self.model, reason, self.poll_seconds)
            self.defer(trigger=FiringTrigger(self.model, self.poll_seconds), method_name="execute_complete")
        assert firing is not None  # defer raises
        self.log.warning("%s: retraining triggered: %s", self.model, firing.message)
        return {"firing": firing.id, "as_of": str(firing.as_of), "rule": firing.rule, "summary": firing.message}


class TriggerTrainingOperator(TriggerDagRunOperator):
    """Trigger the training for a trigger event. The run id derives from the event, so it is triggered once.

    During a pause the task is skipped. The event stays unanswered, and the sensor picks it up when the pause ends.

    :param model: name of the model
    :param sensor_task_id: id of the task that recorded the trigger event
    :param **kwargs: passed to ``TriggerDagRunOperator``
    """

    def __init__(self, *, model: str, sensor_task_id: str, **kwargs: Any) -> None:
        super().__init__(trigger_dag_id=f"{model}.train", logical_date=None, skip_when_already_exists=True, **kwargs)
        self.model = model
        self.sensor_task_id = sensor_task_id

    def execute(self, context: Context) -> None:
        """Trigger ``<model>.train`` as of the newest day of the event's evidence, or skip while a pause is active.

        :param context: the running task's Airflow context
        """
        from include.evergreen.monitoring.triggers import answer_firing
        from include.evergreen.state.pauses import active_pause

        if pause := active_pause():
            skip(self, pause.message)
        event = context["ti"].xcom_pull(task_ids=self.sensor_task_id)
        self.trigger_run_id = f"firing__{event['firing']}__{event['as_of']}"
        self.conf = {"as_of": event["as_of"], "reason": f"triggered by: {event['summary']}"[:500]}
        answer_firing(event["firing"], self.trigger_run_id)  # if the task dies after this, it is retried itself
        super().execute(context)
