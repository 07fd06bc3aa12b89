"""Waits until a model's retraining rules trip."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

LONGEST_WAIT_SECONDS = 300.0


class FiringTrigger(BaseTrigger):
    """Asks our database every ``poll_seconds`` whether a rule of the model trips, and yields one event when one does.

    While a pause stands nothing trips; it says so once, and evaluates the rules again when the pause is over.
    It never raises: under a continuous schedule a raising trigger is a hot loop of failed runs. An error is logged
    once, and the next questions come less and less often until one is answered.

    :param model: the model's name
    :param poll_seconds: seconds between two questions
    """

    def __init__(self, model: str, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "evergreen_airflow.triggers.firing.FiringTrigger", {"model": self.model, "poll_seconds": self.poll_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        wait, last_error, held_by = self.poll_seconds, "", ""
        while True:
            try:
                pause = await asyncio.to_thread(_pause_words)
                if pause != held_by:
                    self.log.info(
                        "%s: %s", self.model, f"fires nothing, as {pause}" if pause else "the pause is over; the rules count again"
                    )
                    held_by = pause
                words = None if pause else await asyncio.to_thread(_what_trips, self.model)
                wait, last_error = self.poll_seconds, ""
                if words:
                    yield TriggerEvent({"words": words})  # type: ignore[no-untyped-call]
                    return
            except Exception as error:  # see the class: whatever it is, the sensor must stay armed
                if str(error) != last_error:
                    self.log.exception("%s: the retraining rules could not be evaluated; asking again in %.0f s", self.model, wait)
                last_error, wait = str(error), min(wait * 2, LONGEST_WAIT_SECONDS)
            await asyncio.sleep(wait)


def _what_trips(model: str) -> str | None:
    from include.evergreen.config import Catalog
    from include.evergreen.monitoring.triggers import tripped, unanswered_firing

    if unanswered := unanswered_firing(model):
        return unanswered.words
    evidence = tripped(Catalog().model(model))
    return evidence.words if evidence else None


def _pause_words() -> str:
    from include.evergreen.state.pauses import standing_pause

    pause = standing_pause()
    return pause.words if pause else ""
