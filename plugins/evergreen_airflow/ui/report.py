"""Evidently's report as it was stored, boxed in: it brings its own scripts, which are not ours."""

from __future__ import annotations

import datetime as dt

from fastapi import Response

from evergreen_airflow.ui.pages import PRIVATE, Problem
from include.evergreen import storage

# Tried with Evidently 0.7.23 in Chromium: the page is the same as without. `sandbox` takes the report out of Airflow's origin,
# so that its scripts reach neither cookies nor API; nothing is loaded from anywhere.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


def report_response(dag_id: str, model: str, day: dt.date) -> Response:
    """The newest report of the window that ``day`` ends. Raises `Problem` when there is none."""
    from include.evergreen.monitoring import find_report

    path = find_report(model, day)
    if path is None:
        raise _no_report(dag_id, model, day)
    html = storage.read_bytes(path)
    return Response(html, media_type="text/html", headers={**PRIVATE, "Content-Security-Policy": REPORT_POLICY})


def _no_report(dag_id: str, model: str, day: dt.date) -> Problem:
    from include.evergreen.stages import find_stage

    stage = find_stage(model, "monitor", day) or find_stage(model, "score", day)
    if stage and stage.stage == "monitor" and stage.status == "done":
        return Problem(
            404,
            f"The drift report of {model} for {day} is kept no longer",
            f"It was older than EVERGREEN_REPORT_DAYS, and evergreen.maintenance removed it. {stage.words[:1].upper()}{stage.words[1:]}.",
            f"The figures of that day stay: `python -m include.evergreen why {model} {day}` and the rules of {model}.retrain read them.",
        )
    if stage is None:
        words = _why_not_scored(model, day)
    elif stage.stage == "score" and stage.status == "done":
        words = f"{model} was scored for {day}, but not monitored yet."
    else:
        doing = "monitoring" if stage.stage == "monitor" else "scoring"
        words = f"The {doing} of {model} for {day} is {stage.status}: {stage.words} (since {stage.since:%Y-%m-%d %H:%M} UTC)."
    return Problem(
        404,
        f"No drift report of {model} for {day} yet",
        words,
        f"The report is written when {dag_id} runs for that day: by itself once the day is scored, or when you trigger it with "
        f"the partition key {day}.",
    )


def _why_not_scored(model: str, day: dt.date) -> str:
    from include.evergreen.readiness import scoring

    ready = scoring(model, day)
    if ready.missing and ready.since:
        return f"The scoring of {model} for {day} is waiting for {', '.join(ready.missing)} (since {ready.since:%Y-%m-%d %H:%M} UTC)."
    return f"{model} was neither scored nor monitored for {day}{f': {ready.obstacle}' if ready.obstacle else ''}."
