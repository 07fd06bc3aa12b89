"""Stands armed until a model's rules trip, then asks for the training that answers the firing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import BaseSensorOperator

from evergreen_airflow.operators.training import skip
from evergreen_airflow.triggers.firing import FiringTrigger
from include.evergreen.config import Catalog


class RetrainingSensor(BaseSensorOperator):
    """Deferrable: looks once, then waits in the triggerer. Succeeds with the recorded firing and its evidence.

    :param model: the model's name
    :param poll_seconds: seconds between two looks
    """

    def __init__(self, *, model: str, poll_seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.poll_seconds = poll_seconds

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        return self.execute_complete(context)

    def execute_complete(self, context: Mapping[str, Any], event: Any = None) -> dict[str, Any]:
        """Record the firing, or arm again when another process was quicker or a pause stands."""
        from include.evergreen.monitoring.triggers import fire_if_tripped, unanswered_firing
        from include.evergreen.state.pauses import standing_pause

        pause = standing_pause()
        firing = None if pause else unanswered_firing(self.model) or fire_if_tripped(Catalog().model(self.model))
        if firing is None:
            why = f"fires nothing, as {pause.words}" if pause else "no rule trips"
            self.log.info("%s: armed; %s. Looking again every %g s.", self.model, why, self.poll_seconds)
            self.defer(trigger=FiringTrigger(self.model, self.poll_seconds), method_name="execute_complete")
        assert firing is not None  # defer raises
        self.log.warning("%s fires: %s", self.model, firing.words)
        return {"firing": firing.id, "as_of": str(firing.as_of), "rule": firing.rule, "words": firing.words}


class FireTrainingOperator(TriggerDagRunOperator):
    """Starts the training that answers a firing. The run's id comes from the firing, so it is started once.

    Under a pause it is skipped; the firing stays unanswered, and the sensor takes it up when the pause is over.

    :param model: the model's name
    :param sensed_by: the task that recorded the firing
    """

    def __init__(self, *, model: str, sensed_by: str, **kwargs: Any) -> None:
        super().__init__(trigger_dag_id=f"{model}.train", logical_date=None, skip_when_already_exists=True, **kwargs)
        self.model = model
        self.sensed_by = sensed_by

    def execute(self, context: Any) -> None:
        from include.evergreen.monitoring.triggers import answer_firing
        from include.evergreen.state.pauses import standing_pause

        if pause := standing_pause():
            skip(self, pause.words)
        firing = context["ti"].xcom_pull(task_ids=self.sensed_by)
        self.trigger_run_id = f"firing__{firing['firing']}__{firing['as_of']}"
        self.conf = {"as_of": firing["as_of"], "reason": f"fired: {firing['words']}"[:500]}
        answer_firing(firing["firing"], self.trigger_run_id)  # a death after this is a retry of this very task
        super().execute(context)
