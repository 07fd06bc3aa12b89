"""Evidently's report, drawn when it is opened, and boxed in: it brings its own scripts, which are not ours."""

from __future__ import annotations

import datetime as dt

from fastapi import Request, Response

from evergreen_airflow.ui.drawings import Drawings
from evergreen_airflow.ui.pages import PRIVATE, Problem, render

SECONDS_TO_ASK_AGAIN = 2
# Tried with Evidently 0.7.23 in Chromium: the page is the same as without. `sandbox` takes the report out of Airflow's origin,
# so that its scripts reach neither cookies nor API; nothing is loaded from anywhere.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
DRAWINGS = Drawings()


def report_response(request: Request, dag_id: str, model: str, day: dt.date) -> Response:
    """The report of the window that ``day`` ends; while it is being drawn a page that asks again. Raises `Problem` when there is none."""
    from include.evergreen.monitoring import find_monitored, find_report, read_report

    if path := find_report(model, day):
        return Response(read_report(path), media_type="text/html", headers={**PRIVATE, "Content-Security-Policy": REPORT_POLICY})
    if find_monitored(model, day) is None:
        raise _not_monitored(dag_id, model, day)
    drawing = DRAWINGS.draw(model, day)
    if drawing.state == "failed":
        raise Problem(
            404 if drawing.is_final else 503,
            f"The drift report of {model} for {day} could not be drawn",
            drawing.words,
            "" if drawing.is_final else "Reload this page to try again. Monitoring is not touched by it.",
        )
    words = "Others are being drawn before it." if drawing.state == "waiting" else "It takes some ten seconds."
    wait = {"Refresh": str(SECONDS_TO_ASK_AGAIN)}
    return render(request, "drawing.html", status=202, headers=wait, dag_id=dag_id, model=model, day=day, words=words)


def _not_monitored(dag_id: str, model: str, day: dt.date) -> Problem:
    from include.evergreen.state.stage_status import find_stage

    stage = find_stage(model, "monitor", day) or find_stage(model, "score", day)
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
        f"A report can be drawn once {dag_id} has run for that day: by itself when the day is scored, or when you trigger it with "
        f"the partition key {day}.",
    )


def _why_not_scored(model: str, day: dt.date) -> str:
    from include.evergreen.scoring.readiness import scoring

    ready = scoring(model, day)
    if ready.missing and ready.since:
        return f"The scoring of {model} for {day} is waiting for {', '.join(ready.missing)} (since {ready.since:%Y-%m-%d %H:%M} UTC)."
    return f"{model} was neither scored nor monitored for {day}{f': {ready.obstacle}' if ready.obstacle else ''}."
