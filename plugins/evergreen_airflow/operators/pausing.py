"""Pause and resume automatic promotion and retraining."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from evergreen_airflow.operators.training import skip
from evergreen_airflow.runs import deed_actor

if TYPE_CHECKING:
    from airflow.sdk import Context

PAUSE, RESUME = "pause", "resume"


class PauseOperator(BaseOperator):
    """Pause or resume, as the run's parameter ``action`` says. A pause counts from when the run was triggered, so a retry adds none.

    A cleared run does nothing: it would act again under the name of who triggered it.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Pause or resume; skips a resume if no pause is active.

        :param context: the running task's Airflow context, whose params hold the action, the hours and the reason
        :returns: ``summary`` and, for a pause, ``until`` (ISO timestamp)
        """
        from include.evergreen.state import pauses

        params, actor = context["params"], deed_actor(context)
        if params["action"] == PAUSE:
            pause = pauses.pause(hours=params["hours"], actor=actor, reason=params["reason"], since=context["dag_run"].run_after)
            return {"until": pause.until.isoformat(), "summary": pause.message}
        ended = pauses.lift(actor=actor, reason=params["reason"])
        if ended is None:
            skip(self, "no pause is active")
        return {"summary": f"ended: {ended.message}"}
