"""Our page of a window, and Evidently's report: rendered when opened, framed, and sandboxed because it contains third-party scripts."""

from __future__ import annotations

from fastapi import Request, Response

from evergreen_airflow.ui.drawings import ReportRenderer
from evergreen_airflow.ui.pages import Problem, render
from evergreen_airflow.ui.window import WindowView
from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition

REFRESH_SECONDS = 2
# Tested with Evidently 0.7.23 in Chromium: the page looks the same as without the policy. `sandbox` removes the report from
# Airflow's origin, so that its scripts can reach neither cookies nor API. Nothing is loaded from elsewhere.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
RENDERER = ReportRenderer()


def report_response(request: Request, dag_id: str, model: str, day: Partition) -> Response:
    """Return the page that frames the report of the window that ends with ``day``, or one that refreshes itself while it is rendered.

    :param request: the request
    :param dag_id: the DAG in the page's path, to link back to
    :param model: its name, as in ``include/models``
    :param day: last day of the window
    :returns: the page
    :raises Problem: if the day was not monitored or the report cannot be rendered
    """
    from include.evergreen.monitoring import find_monitored, find_report

    if find_report(model, day):
        return render(request, "report.html", frames=True, dag_id=dag_id, model=model, day=day)
    if find_monitored(model, day) is None:
        raise Problem(
            404,
            f"No drift report of {model} for {day} yet",
            _why_not_monitored(model, day),
            f"A report can be rendered once {dag_id} has run for that day. It runs automatically when the day is scored, or when you "
            f"trigger it with the partition key {day}.",
        )
    rendering = RENDERER.render(model, day)
    if rendering.state == "failed":
        raise Problem(
            404 if rendering.is_final else 503,
            f"The drift report of {model} for {day} could not be rendered",
            rendering.message,
            "" if rendering.is_final else "Reload this page to try again. Monitoring is not affected.",
        )
    progress = "Other reports are being rendered first." if rendering.state == "waiting" else "This takes about ten seconds."
    refresh = {"Refresh": str(REFRESH_SECONDS)}
    return render(request, "drawing.html", status=202, headers=refresh, dag_id=dag_id, model=model, day=day, progress=progress)


def window_response(request: Request, dag_id: str, model: str, day: Partition) -> Response:
    """Return our own page of the window that ends with ``day``, from kept profiles: no megabytes, and nothing to wait for.

    :param request: the request
    :param dag_id: the DAG in the page's path, to link back to
    :param model: its name, as in ``include/models``
    :param day: last day of the window
    :returns: the page
    :raises Problem: if the day was not monitored, or its profiles are not kept
    """
    from include.evergreen.monitoring import find_monitored
    from include.evergreen.monitoring.overview import window_overview

    if find_monitored(model, day) is None:
        raise Problem(
            404,
            f"No window of {model} up to {day} yet",
            _why_not_monitored(model, day),
            f"There is one once {dag_id} has run for that day.",
        )
    catalog = Catalog()
    try:
        overview = window_overview(catalog, catalog.model(model), day)
    except DataError as error:
        raise Problem(404, f"The window of {model} up to {day} cannot be shown", str(error), "") from error
    return render(request, "window.html", dag_id=dag_id, model=model, day=day, view=WindowView(overview))


def document_response(model: str, day: Partition) -> Response:
    """Return the report itself, as Evidently wrote it, for the frame of its page.

    :param model: its name, as in ``include/models``
    :param day: last day of the window
    :returns: the report
    :raises Problem: if it is not rendered
    """
    from include.evergreen.monitoring import find_report, read_report

    if path := find_report(model, day):
        return Response(read_report(path), media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})
    raise Problem(404, f"No drift report of {model} for {day} yet", "It is not rendered.", "Its page renders it.")


def _why_not_monitored(model: str, day: Partition) -> str:
    from include.evergreen.state.stage_status import find_stage

    stage = find_stage(model, "monitor", day) or find_stage(model, "score", day)
    if stage is None:
        return _why_not_scored(model, day)
    if stage.stage == "score" and stage.status == "done":
        return f"{model} was scored for {day}, but not monitored yet."
    activity = "monitoring" if stage.stage == "monitor" else "scoring"
    return f"The {activity} of {model} for {day} is {stage.status}: {stage.message} (since {stage.since:%Y-%m-%d %H:%M} UTC)."


def _why_not_scored(model: str, day: Partition) -> str:
    from include.evergreen.scoring.readiness import scoring

    readiness = scoring(model, day, moment=Catalog().model(model).moment(day))
    if readiness.missing and readiness.since:
        return (
            f"The scoring of {model} for {day} is waiting for {', '.join(readiness.missing)} (since {readiness.since:%Y-%m-%d %H:%M} UTC)."
        )
    return f"{model} was neither scored nor monitored for {day}{f': {readiness.blocker}' if readiness.blocker else ''}."
