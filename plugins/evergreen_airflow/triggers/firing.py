"""Wait until one of a model's retraining rules trips."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

MAX_WAIT_SECONDS = 300.0


class FiringTrigger(BaseTrigger):
    """Evaluate the model's rules every ``poll_seconds`` and yield one event when a rule trips.

    While a pause is active no rule is evaluated; this is logged once. The trigger never raises, because under a continuous schedule
    that would cause a hot loop of failed runs. An error is logged once, and polling backs off (up to five minutes) until it is over.

    :param model: its name, as in ``include/models``
    :param poll_seconds: seconds between two evaluations
    """

    def __init__(self, model: str, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Serialize the trigger for the triggerer, which builds it again.

        :returns: the path of the class, and its arguments
        """
        return "evergreen_airflow.triggers.firing.FiringTrigger", {"model": self.model, "poll_seconds": self.poll_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for a rule to trip.

        :yields: one event, whose payload's ``summary`` is the evidence of the rule that tripped
        """
        wait, last_error, last_pause = self.poll_seconds, "", ""
        while True:
            try:
                pause = await asyncio.to_thread(_active_pause)
                if pause != last_pause:
                    self.log.info(
                        "%s: %s", self.model, f"rules are not evaluated: {pause}" if pause else "the pause ended; rules are evaluated again"
                    )
                    last_pause = pause
                summary = None if pause else await asyncio.to_thread(_tripped_rule, self.model)
                wait, last_error = self.poll_seconds, ""
                if summary:
                    yield TriggerEvent({"summary": summary})  # type: ignore[no-untyped-call]
                    return
            except Exception as error:  # see the class: whatever it is, the sensor must keep waiting
                if str(error) != last_error:
                    self.log.exception("%s: the retraining rules could not be evaluated; retrying in %.0f s", self.model, wait)
                last_error, wait = str(error), min(wait * 2, MAX_WAIT_SECONDS)
            await asyncio.sleep(wait)


def note_failed_training(model: str) -> None:
    """Record that the training of the newest trigger event failed, if its run is over, or gone, without an answer in our database.

    Airflow is only asked while an answer is missing. Callbacks of the training would be quicker, but a killed worker calls none.

    :param model: its name, as in ``include/models``
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.utils.state import DagRunState

    from include.evergreen.monitoring.triggers import awaited_firing, fail_firing

    awaited = awaited_firing(model)
    if awaited is None or awaited.training_run_id is None:
        return
    active = [DagRunState.QUEUED.value, DagRunState.RUNNING.value]
    if RuntimeTaskInstance.get_dr_count(dag_id=f"{model}.train", run_ids=[awaited.training_run_id], states=active) == 0:
        fail_firing(awaited.id, awaited.training_run_id)


def _tripped_rule(model: str) -> str | None:
    """Return the evidence of a trigger event whose training is due, or else of a rule that trips now."""
    from include.evergreen.config import Catalog
    from include.evergreen.monitoring.triggers import due_firing, tripped

    note_failed_training(model)
    if due := due_firing(model):
        return due.message
    evidence = tripped(Catalog().model(model))
    return evidence.message if evidence else None


def _active_pause() -> str:
    """Return who paused, why and until when, or an empty string."""
    from include.evergreen.state.pauses import active_pause

    pause = active_pause()
    return pause.message if pause else ""
