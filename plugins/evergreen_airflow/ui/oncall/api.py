"""``/evergreen/api/alerts``: what the pages use, for scripts and chat bots too. Tokens are Airflow's own."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from evergreen_airflow.ui.oncall.bodies import (
    Act,
    Assign,
    Comment,
    Refused,
    Resolve,
    RunAgain,
    Snooze,
    Text,
    Wrong,
    documented,
    sent,
)  # fmt: skip
from evergreen_airflow.ui.oncall.viewer import PLATFORM, Viewer, viewer
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.oncall import remind_after
from include.evergreen.state import alerts
from include.evergreen.state.alerts import OPEN, Alert, Detail, Filter, NoSuchAlertError, Severity, StaleActError, State

router = APIRouter(prefix="/api")
ViewerDep = Annotated[Viewer, Depends(viewer)]
MOST_PASSED_OVER = 1_000_000
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")  # as large as the database column allows
_ANSWERS: dict[int | str, dict[str, Any]] = {
    401: {"model": Refused, "description": "You are not logged in."},
    403: {"model": Refused, "description": "The token is none of Airflow's or has ended; or you may see this alert, and not act on it."},
    404: {"model": Refused, "description": "There is no such alert, or none that you may see."},
    409: {"model": Refused, "description": "Somebody was faster; says who."},
    413: {"model": Refused, "description": "The body is too large."},
    415: {"model": Refused, "description": "The body is not declared as JSON."},
    422: {"model": Wrong, "description": "The body or a parameter is wrong."},
    503: {"model": Refused, "description": "A database does not answer; try again."},
}  # fmt: skip


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe how a route refuses, for the OpenAPI document.

    :param *statuses: with what
    :returns: the ``responses`` of a route
    """
    return {status: _ANSWERS[status] for status in statuses}


def chosen(
    state: Annotated[list[State] | None, Query(description="Of these states; default: all but resolved")] = None,
    severity: Annotated[Severity | None, Query()] = None,
    kind: Annotated[Text, Query(max_length=40)] = "",
    name: Annotated[Text, Query(max_length=60, description="Seen at this model or dataset")] = "",
    dag_id: Annotated[Text, Query(max_length=250)] = "",
    task_id: Annotated[Text, Query(max_length=250)] = "",
    run_id: Annotated[Text, Query(max_length=250)] = "",
    assignee: Annotated[Text, Query(max_length=120)] = "",
    text: Annotated[Text, Query(max_length=200, description="In message, error or key")] = "",
) -> Filter:
    """Read the filter of a request.

    :param state: of these states; none: all that are open
    :param severity: of this one
    :param kind: of this one
    :param name: of a model or dataset
    :param dag_id: seen in this DAG
    :param task_id: seen at this task
    :param run_id: seen in this run
    :param assignee: who has it
    :param text: in message, error or key
    :returns: the filter
    """
    return Filter(state or OPEN, severity, kind, name, dag_id, task_id, run_id, assignee, text)


FilterDep = Annotated[Filter, Depends(chosen)]


@router.get("/alerts", responses=answers(422, 503))
def list_alerts(
    viewer: ViewerDep,
    chosen: FilterDep,
    limit: Annotated[int, Query(ge=1, le=alerts.inbox.MOST_LISTED)] = 50,
    offset: Annotated[int, Query(ge=0, le=MOST_PASSED_OVER)] = 0,
) -> dict[str, Any]:
    """List alerts: the critical first, and then the one that was seen last.

    :param viewer: who asks
    :param chosen: which
    :param limit: how many
    :param offset: how many are passed over
    :returns: ``alerts``
    """
    return {"alerts": [as_json(alert) for alert in alerts.list_alerts(chosen, viewer.reads, limit=limit, offset=offset)]}


@router.get("/alerts/counts", responses=answers(422, 503))
def count_alerts(viewer: ViewerDep, chosen: FilterDep) -> dict[str, Any]:
    """Count alerts by severity and state.

    :param viewer: who asks
    :param chosen: which
    :returns: ``total`` and, for each severity, how many of each state
    """
    counts = alerts.count_alerts(chosen, viewer.reads)
    found: dict[str, Any] = {"critical": {}, "warning": {}}
    for (severity, state), count in counts.items():
        found[severity][state] = count
    return {"total": sum(counts.values()), **found}


@router.get("/alerts/{alert_id}", responses=answers(404, 503))
def show_alert(viewer: ViewerDep, alert_id: str) -> dict[str, Any]:
    """Show one alert with its meaning, the places that you may see, and its timeline.

    :param viewer: who asks
    :param alert_id: its number
    :returns: the alert
    """
    return detail_as_json(visible(viewer, alert_id), viewer)


def _add_act(name: str, kind: type[BaseModel], act: Callable[[int, str, Any], Alert], description: str) -> None:
    """Add the route of an act, which is given the alert's number, who acts, and what was sent."""

    read_body = Depends(sent(kind))

    def route(viewer: ViewerDep, alert_id: str, later: BackgroundTasks, body: Any = read_body) -> dict[str, Any]:
        seen = _actable(viewer, alert_id)
        try:
            act(seen.alert.id, viewer.name, body)
        except ConfigError as error:
            raise HTTPException(422, str(error)) from error
        detail = visible(viewer, alert_id)
        if name in _NOTED and (event := next((each for each in reversed(detail.events) if each.actor == viewer.name), None)):
            from evergreen_airflow.ui.oncall import notes

            line = notes.line_about(detail.alert, event)
            later.add_task(notes.append_notes, detail.alert.id, viewer.editable(detail.places), line, str(viewer.user.get_id()))
        return detail_as_json(detail, viewer)

    conflicts = (409,) if issubclass(kind, Act) else ()
    router.add_api_route(
        f"/alerts/{{alert_id}}/{name}", route, methods=["POST"], name=name, description=description,
        responses=answers(404, *conflicts, 413, 415, 422, 503), openapi_extra=documented(kind),
    )  # fmt: skip


_NOTED = ("acknowledge", "comment", "resolve")  # on the places in Airflow where the alert was seen, once the answer is sent
_add_act(
    "acknowledge",
    Act,
    lambda number, actor, body: alerts.acknowledge(number, actor=actor, revision=body.revision, remind_after=remind_after(number)),
    "Take an alert: you are its assignee, and it stops escalating.",
)
_add_act(
    "unacknowledge",
    Act,
    lambda number, actor, body: alerts.unacknowledge(number, actor=actor, revision=body.revision),
    "Give an alert back: it fires again, and escalates from the start.",
)
_add_act(
    "snooze",
    Snooze,
    lambda number, actor, body: alerts.snooze(number, until=body.until, actor=actor, revision=body.revision),
    "Put an alert aside until a time, at which it fires again unless its cause is gone.",
)
_add_act(
    "assign",
    Assign,
    lambda number, actor, body: alerts.assign(number, to=body.to, actor=actor, revision=body.revision),
    "Give an alert to somebody, or take it over by giving it to yourself.",
)
_add_act(
    "comment",
    Comment,
    lambda number, actor, body: alerts.comment(number, text=body.text, actor=actor),
    "Add a comment to an alert's timeline.",
)
_add_act(
    "resolve",
    Resolve,
    lambda number, actor, body: alerts.resolve(number, reason=body.reason, actor=actor, revision=body.revision),
    "Resolve an alert. If its cause is seen again, it is a new alert.",
)


@router.post("/alerts/{alert_id}/run-again", responses=answers(404, 409, 413, 415, 422, 503), openapi_extra=documented(RunAgain))
def run_again(viewer: ViewerDep, alert_id: str, body: Annotated[RunAgain, Depends(sent(RunAgain))]) -> dict[str, Any]:
    """Clear the failed task instances of an alert, in the DAGs that you may edit, so that they run again.

    :param viewer: who acts
    :param alert_id: its number
    :param body: what was sent
    :returns: ``cleared``, the task instances, and the alert
    :raises StaleActError: when the alert has changed since it was seen
    """
    from evergreen_airflow.ui.oncall import rerun

    detail = _actable(viewer, alert_id)
    if detail.alert.revision != body.revision:
        raise StaleActError(f"Alert {detail.alert.id} has changed since you loaded it. See whether you still want to run it again.")
    cleared = rerun.run_again(viewer, detail, dry_run=body.dry_run)
    if cleared and not body.dry_run:
        runs = sorted({f"{each.dag_id} {each.run_id}" for each in cleared})
        text = f"Cleared {len(cleared)} task instances, to run again: {', '.join(runs)}"
        alerts.comment(detail.alert.id, text=text[:2000], actor=viewer.name)
    return {"cleared": [dataclasses.asdict(each) for each in cleared], **detail_as_json(visible(viewer, alert_id), viewer)}


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request) -> dict[str, Any]:
    """Return the OpenAPI document of this API.

    :param request: the request
    :returns: the document
    """
    return {**document_of(request), "servers": [{"url": request.scope.get("root_path", "")}]}


def document_of(request: Request) -> dict[str, Any]:
    """Describe the API, in what the docstrings of its routes say before they list their parameters.

    :param request: of the app that has the API
    :returns: the OpenAPI document
    """
    document: dict[str, Any] = request.app.openapi()
    for route in (route for methods in document["paths"].values() for route in methods.values()):
        route["description"] = route["description"].partition(":param")[0].strip()
    return document


def visible(viewer: Viewer, alert_id: str) -> Detail:
    """Read an alert that somebody asks for.

    :param viewer: who asks
    :param alert_id: its number, as it stands in the path
    :returns: the alert
    :raises NoSuchAlertError: when there is none, or none that they may see
    """
    if not _NUMBER.fullmatch(alert_id):
        raise NoSuchAlertError(f"There is no alert {alert_id[:20]!r}: its number is a whole number.")
    return alerts.show_alert(int(alert_id), viewer.reads)


def _actable(viewer: Viewer, alert_id: str) -> Detail:
    detail = visible(viewer, alert_id)
    if not viewer.may_act(detail):
        dags = sorted({place.dag_id or f"{place.model or place.dataset}.*" for place in detail.places}) or [PLATFORM]
        raise HTTPException(
            403, f"You may see alert {detail.alert.id}, and not act on it: that needs edit on one of {', '.join(dags[:5])}."
        )
    return detail


def as_json(alert: Alert) -> dict[str, Any]:
    """Tell an alert to a program.

    :param alert: the alert
    :returns: its fields, and what its kind means
    """
    meaning = {"title": alert.meaning.title, "meaning": alert.meaning.meaning}
    return {**_plain(alert), **meaning}


def detail_as_json(detail: Detail, viewer: Viewer) -> dict[str, Any]:
    """Tell an alert with all about it to a program.

    :param detail: the alert
    :param viewer: who asks
    :returns: as `as_json`, with ``places``, ``hidden_places``, ``events`` and ``may_act``
    """
    return {
        **as_json(detail.alert),
        "places": [_plain(place) for place in detail.places],
        "hidden_places": detail.hidden,
        "events": [_plain(event) for event in detail.events],
        "may_act": viewer.may_act(detail),
    }


def _plain(record: Any) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in dataclasses.asdict(record).items()}
