"""The switch that holds all automatic promotion and retraining, as a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator

from evergreen_airflow.operators.training import skip
from evergreen_airflow.runs import person_of

PAUSE, RESUME = "pause", "resume"


class PauseOperator(BaseOperator):
    """Pauses from the moment at which the person asked, or resumes. A retry makes no second pause."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.state import pauses

        params, actor = context["params"], person_of(context)
        if params["action"] == PAUSE:
            made = pauses.pause(hours=params["hours"], actor=actor, reason=params["reason"], since=context["dag_run"].run_after)
            return {"until": made.until.isoformat(), "words": made.words}
        lifted = pauses.lift(actor=actor, reason=params["reason"])
        if lifted is None:
            skip(self, "nothing is paused")
        return {"words": f"lifted: {lifted.words}"}
