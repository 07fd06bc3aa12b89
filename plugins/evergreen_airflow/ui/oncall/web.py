"""The pages on call: the inbox, an alert, a runbook, the API's description, and the index of all pages."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from evergreen_airflow.links import mlflow_ui
from evergreen_airflow.ui.oncall.api import MOST_PASSED_OVER, FilterDep, ViewerDep, document_of, visible
from evergreen_airflow.ui.oncall.runbooks import runbook_html
from evergreen_airflow.ui.oncall.views import AlertPage, query_of
from evergreen_airflow.ui.pages import STATIC, Problem, render, static_file
from include.evergreen.config import Catalog
from include.evergreen.foundation import clock
from include.evergreen.oncall import LONGEST_HOURS, handover_since, in_use, on_call
from include.evergreen.state.alerts import KINDS, OPEN, Filter, count_alerts, list_alerts

router = APIRouter(include_in_schema=False)
PAGE_SIZE = 50
SPANS = {8: "8 hours", 12: "12 hours", 24: "day", 72: "3 days", 168: "week"}
FIRING = Filter(states=["firing"])


@router.get("/alerts")
def inbox(request: Request, viewer: ViewerDep, chosen: FilterDep, offset: Annotated[int, Query(ge=0, le=MOST_PASSED_OVER)] = 0) -> Response:
    """Show the inbox.

    :param request: the request
    :param viewer: who asks
    :param chosen: which alerts
    :param offset: how many are passed over
    :returns: the page
    """
    found = list_alerts(chosen, viewer.reads, limit=PAGE_SIZE + 1, offset=offset)
    counts = count_alerts(Filter(states=OPEN, dag_id=chosen.dag_id, run_id=chosen.run_id, task_id=chosen.task_id), viewer.reads)
    by_severity = {severity: sum(count for (own, _), count in counts.items() if own == severity) for severity in ("critical", "warning")}
    firing = sum(count for (_, state), count in counts.items() if state == "firing")
    return render(
        request, "alerts.html", runs_scripts=True, me=viewer.name, alerts=found[:PAGE_SIZE], counts=by_severity, firing=firing,
        total=sum(counts.values()), mine=sum(count_alerts(Filter(assignee=viewer.name), viewer.reads).values()), chosen=chosen,
        is_open=set(chosen.states) == set(OPEN), kinds=KINDS, query_of=query_of, offset=offset, page_size=PAGE_SIZE,
        has_more=len(found) > PAGE_SIZE, now=clock.now(),
    )  # fmt: skip


@router.get("/handover")
def handover(request: Request, viewer: ViewerDep, hours: Annotated[float, Query(gt=0, le=LONGEST_HOURS)] = 12) -> Response:
    """Show what happened in the last hours, for whoever is on call next.

    :param request: the request
    :param viewer: who asks
    :param hours: how far back
    :returns: the page
    """
    told = handover_since(hours, viewer.reads)
    return render(request, "handover.html", told=told, hours=hours, spans=SPANS, turns=on_call(in_use(), told.until))


@router.get("/alerts/{alert_id}")
def alert(request: Request, viewer: ViewerDep, alert_id: str) -> Response:
    """Show one alert.

    :param request: the request
    :param viewer: who asks
    :param alert_id: its number, as it stands in the path
    :returns: the page
    """
    detail = visible(viewer, alert_id)
    may_act = viewer.may_act(detail)
    can_run = may_act and bool(viewer.editable(detail.places))
    return render(request, "alert.html", runs_scripts=True, me=viewer.name, view=AlertPage(detail), may_act=may_act, can_run=can_run)


@router.get("/runbooks/{kind}")
def runbook(request: Request, kind: str) -> Response:
    """Show the runbook of a kind of alert.

    :param request: the request
    :param kind: its name
    :returns: the page
    :raises Problem: if there is no such kind
    """
    if kind not in KINDS:
        raise Problem(404, "No such runbook", f"There is no kind of alert {kind[:40]!r}.", "The runbooks are listed under Data and models.")
    return render(request, "runbook.html", kind=KINDS[kind], html=runbook_html(kind))


@router.get("/")
def index(request: Request, viewer: ViewerDep) -> Response:
    """List the datasets and models that the user may read, with the pages of each, and the runbooks.

    :param request: the request
    :param viewer: who asks
    :returns: the page
    """
    from include.evergreen.registry.champions import champion
    from include.evergreen.state.newest import newest_pages

    catalog, reads = Catalog(), viewer.reads
    validated, monitored = newest_pages()

    def may_read(name: str, stage: str) -> bool:
        return reads.dags is None or f"{name}.{stage}" in reads.dags

    models: list[dict[str, Any]] = []
    for name in catalog.model_names():
        if may_read(name, "train"):
            models.append({"name": name, "champion": champion(name), "monitored": may_read(name, "monitor") and monitored.get(name)})
    return render(
        request,
        "index.html",
        datasets=[(name, validated.get(name)) for name in catalog.dataset_names() if may_read(name, "ingest")],
        models=models,
        open_alerts=sum(count_alerts(Filter(), reads).values()),
        kinds=KINDS.values(),
        mlflow=mlflow_ui(),
    )


@router.get("/api")
def api_docs(request: Request) -> Response:
    """Describe the API for people: one table, made from its OpenAPI document.

    :param request: the request
    :returns: the page
    """
    return render(request, "api.html", document=document_of(request))


@router.get("/badge.svg")
def badge(viewer: ViewerDep) -> Response:
    """Draw the icon of the navigation entry: a bell with the number of alerts that fire, of those that the user may see.

    :param viewer: who asks
    :returns: the picture
    """
    firing = count_alerts(FIRING, viewer.reads)
    critical = any(severity == "critical" for severity, _ in firing)
    svg = _BELL.format(badge=_badge(sum(firing.values()), "#b91c1c" if critical else "#a16207"))
    return Response(svg, media_type="image/svg+xml", headers={"Content-Security-Policy": "default-src 'none'"})


@router.get("/static/{name}")
def static(name: str, v: Annotated[str, Query(description="The digest of its content")] = "") -> Response:
    """Return one of our scripts.

    :param name: its file name
    :param v: of which content, as our pages ask for it
    :returns: the script
    :raises Problem: if there is none
    """
    if name not in STATIC:
        raise Problem(404, "Page not found", "There is no such file.")
    return static_file(name, keep=bool(v))


_BELL = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="24" height="24"><g fill="none" stroke="#7c8798" stroke-width="2" '
    'stroke-linecap="round" stroke-linejoin="round"><path d="M6 9a6 6 0 0 1 12 0c0 6 2.5 7.5 2.5 7.5h-17S6 15 6 9"/>'
    '<path d="M10 20.5a2.2 2.2 0 0 0 4 0"/></g>{badge}</svg>'
)


def _badge(count: int, colour: str) -> str:
    if not count:
        return ""
    text = str(count) if count < 100 else "99"
    x, width = (11.0, 13.0) if len(text) > 1 else (13.0, 11.0)
    return (
        f'<rect x="{x}" y="0" width="{width}" height="12" rx="6" fill="{colour}"/><text x="{x + width / 2}" y="9.4" font-size="9.5" '
        f'font-weight="700" font-family="sans-serif" fill="#fff" text-anchor="middle">{text}</text>'
    )
