"""Wait until one of a model's retraining rules trips."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

log = logging.getLogger(__name__)
MAX_WAIT_SECONDS = 600.0
ALL_SECONDS = 900.0  # between two looks at every model, whether or not it has news: somebody may have changed its rules
ALERT_AFTER = 3  # failed looks in a row


@dataclass(frozen=True)
class News:
    """What one poll found: the active pause, or an empty string, and the models to look at; None: all of them."""

    pause: str
    models: frozenset[str] | None


class FiringTrigger(BaseEventTrigger):
    """Yield one event when one of the model's rules trips.

    All of these triggers in a triggerer share one poll (Airflow's shared stream), which asks for the models with new observations, or
    with a training to ask for or to hear of. Only those models' rules are evaluated, and those of all every `ALL_SECONDS`. While a pause
    is active no rule is evaluated; this is logged once. The trigger never raises, because under a continuous schedule that would cause a
    hot loop of failed runs. An error is logged once, and looks back off, up to `MAX_WAIT_SECONDS`, until it is over; the third in a row
    raises an alert.

    :param model: its name, as in ``include/models``
    :param poll_seconds: seconds between two polls
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

    def shared_stream_key(self) -> Hashable:
        """Say which triggers share one poll.

        :returns: equal for all that poll as often
        """
        return ("evergreen", "firings", self.poll_seconds)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[News]:
        """Poll for all models at once. Never ends and never raises: all triggers would fail together.

        :param kwargs: the arguments of any of the triggers
        :yields: what each poll found, also when it is nothing: a trigger that has come since looks then
        """
        wait = poll_seconds = kwargs["poll_seconds"]
        after, all_at, last_pause, last_error = 0, float("-inf"), "", ""
        while True:
            try:
                after, pause, models = await asyncio.to_thread(_poll, after)
                if pause != last_pause or time.monotonic() - all_at >= ALL_SECONDS:
                    models, all_at = None, time.monotonic()
                wait, last_pause, last_error = poll_seconds, pause, ""
                yield News(pause, models)
            except Exception as error:  # whatever it is, the sensors must keep waiting
                if str(error) != last_error:
                    log.exception("The retraining rules of no model can be evaluated; retrying in %.0f s", wait)
                last_error, wait = str(error), min(wait * 2, MAX_WAIT_SECONDS)
            await asyncio.sleep(wait)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[News]) -> AsyncIterator[TriggerEvent]:
        """Look at the model's rules when there is news of it; at once the first time, since nobody told of earlier news.

        :param shared_stream: what each poll found
        :yields: one event, whose payload's ``summary`` is the evidence of the rule that tripped
        """
        look_at: float | None = 0.0  # whatever the news, by the monotonic clock; None: when there is news
        wait, failures, last_error, last_pause = self.poll_seconds, 0, "", ""
        async for news in shared_stream:
            if news.pause != last_pause:
                message = f"rules are not evaluated: {news.pause}" if news.pause else "the pause ended; rules are evaluated again"
                self.log.info("%s: %s", self.model, message)
                last_pause = news.pause
            has_news = news.models is None or self.model in news.models
            if news.pause or (not has_news if look_at is None else time.monotonic() < look_at):
                continue
            try:
                summary = await asyncio.to_thread(_tripped_rule, self.model)
                if look_at is not None:
                    await asyncio.to_thread(_resolve_failure, self.model)
                wait, failures, last_error, look_at = self.poll_seconds, 0, "", None
                if summary:
                    yield TriggerEvent({"summary": summary})  # type: ignore[no-untyped-call]
                    return
            except Exception as error:  # see the class: whatever it is, the sensor must keep waiting
                failures += 1
                if str(error) != last_error:
                    self.log.exception("%s: the retraining rules could not be evaluated; retrying in %.0f s", self.model, wait)
                if failures == ALERT_AFTER:
                    await asyncio.to_thread(_raise_failure, self.model, error)
                look_at, last_error, wait = time.monotonic() + wait, str(error), min(wait * 2, MAX_WAIT_SECONDS)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait with a poll of its own, where nothing shares one.

        :yields: what `filter_shared_stream` does
        """
        async for event in self.filter_shared_stream(type(self).open_shared_stream(self.serialize()[1])):
            yield event


def note_training(model: str) -> None:
    """Record what became of the training of the newest trigger event, as far as Airflow knows and our database does not.

    It failed if its run is over, or gone, without an answer. Airflow is only asked while an answer is missing. Callbacks of the training
    would be quicker, but a killed worker calls none.

    :param model: its name, as in ``include/models``
    """
    from include.evergreen.monitoring.triggers import awaited_firing, fail_firing

    awaited = awaited_firing(model)
    if awaited is None:
        note_resumed_training(model)
    elif awaited.training_run_id is not None and not _is_active(model, awaited.training_run_id):
        fail_firing(awaited.id, awaited.training_run_id)


def note_resumed_training(model: str) -> None:
    """Record that a training which counts as failed is running: it was cleared, or made after somebody had looked for it in vain.

    :param model: its name, as in ``include/models``
    """
    from include.evergreen.monitoring.triggers import failed_firing, resume_firing

    failed = failed_firing(model)
    if failed is not None and failed.training_run_id is not None and _is_active(model, failed.training_run_id):
        resume_firing(failed.id, failed.training_run_id)


def _is_active(model: str, training_run_id: str) -> bool:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.utils.state import DagRunState

    active = [DagRunState.QUEUED.value, DagRunState.RUNNING.value]
    return RuntimeTaskInstance.get_dr_count(dag_id=f"{model}.train", run_ids=[training_run_id], states=active) > 0


def _tripped_rule(model: str) -> str | None:
    """Return the evidence of a trigger event whose training is due, or else of a rule that trips now."""
    from include.evergreen.config import Catalog
    from include.evergreen.monitoring.triggers import due_firing, tripped

    note_training(model)
    if due := due_firing(model):
        return due.message
    evidence = tripped(Catalog().model(model))
    return evidence.message if evidence else None


def _poll(after: int) -> tuple[int, str, frozenset[str] | None]:
    """Return the count of observations to give the next time, the active pause, and the models with news."""
    from include.evergreen.monitoring.observations import newly_observed
    from include.evergreen.monitoring.triggers import models_to_look_at
    from include.evergreen.state.pauses import active_pause

    pause = active_pause()
    newest, observed = newly_observed(after)
    return newest, pause.message if pause else "", frozenset(observed | models_to_look_at())


def _raise_failure(model: str, error: Exception) -> None:
    from include.evergreen.state.alerts import raise_alert

    message = f"{model}: the retraining rules could not be evaluated {ALERT_AFTER} times in a row: {type(error).__name__}"
    try:
        raise_alert(f"rules/{model}", severity="warning", message=message, model=model, error=str(error))
    except Exception:  # the database may be what fails
        log.exception("%s: the alert could not be raised", model)


def _resolve_failure(model: str) -> None:
    from include.evergreen.state.alerts import resolve_alert

    resolve_alert(f"rules/{model}")
