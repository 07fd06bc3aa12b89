"""Whatever the OpenAPI document allows, and what it forbids, is asked of every route: nothing breaks, nobody is told what is not theirs.

EVERGREEN_RANDOM_REQUESTS says how many requests; ``.ci/nightly`` has 10,000.
"""

from __future__ import annotations

import copy
import datetime as dt
import os
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, event, given, note, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, openapi
from schemathesis.checks import CHECKS, load_all_checks

from include.evergreen.data.validation import record_validation
from include.evergreen.foundation import clock
from include.evergreen.state import storage
from include.evergreen.state.alerts import Place, comment, raise_alert, show_alert
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import leases, reports
from tests.plugins.conftest import ROOT

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.plugins.conftest import LogIn

pytestmark = pytest.mark.usefixtures("home", "dags")
REQUESTS = int(os.environ.get("EVERGREEN_RANDOM_REQUESTS", "200"))
DAGS = ("flight_delay.train", "flight_delay.monitor", "schedules.ingest", "air_time.train", "weather.ingest", "evergreen.audit")
DAY = "2013-02-09"
HIDDEN = "only-for-the-team-of-flight-delay"
RUN, TASK = "their-run", "their-task"  # which others may guess, and ask for
SECRET = "correct-horse-battery-staple"
EVIL = "<script>alert(1)</script>"
ROLES = ("nobody", "viewer", "editor of air_time", "editor of all")
KNOWN = {  # what exists, which nobody hits by chance
    "alert_id": [str(number) for number in range(1, 41)],
    "dag_id": DAGS,
    "partition": [str(DAY)],
    "version": ["1"],
    "kind": ["task", "age", "disk", "freshness"],
    "name": ["flight_delay", "air_time", "weather", "oncall.js", "frame.js"],
    "text": ["only-for", "old", "script", "%"],
    "run_id": [RUN, "r1"],
    "task_id": [TASK, "train"],
    "assignee": ["someone", "grace"],
    "state": [["firing"], ["resolved", "acknowledged"]],
}
SOUND: dict[str, Any] = {
    "snooze": {"until": (clock.now() + dt.timedelta(hours=1)).isoformat()},
    "assign": {"to": "grace"},
    "resolve": {"reason": "the feed is mended"},
    "run-again": {"dry_run": True},
}


@cache
def _operations() -> dict[str, Any]:
    """What may be asked of each route: of the API as its document says, of the pages as one of them all would."""
    from fastapi.openapi.utils import get_openapi

    from evergreen_airflow.ui.app import create_app

    app = create_app()
    routes = [copy.copy(route) for route in app.routes]
    for route in routes:
        route.include_in_schema = True  # type: ignore[attr-defined]
    document = get_openapi(title="all of it", version="1", routes=routes)
    paths = {**document["paths"], **app.openapi()["paths"]}
    return {each.ok().label: each.ok() for each in openapi.from_dict({**document, "paths": paths}).get_all_operations()}


@cache
def _strategy(label: str, mode: GenerationMode) -> st.SearchStrategy[Case]:
    strategy: st.SearchStrategy[Case] = _operations()[label].as_strategy(mode)
    return strategy


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, Case]:
    """Who asks what: at random, but often of something that exists, with a body that is right."""
    role = draw(st.sampled_from(ROLES))
    case = draw(_strategy(draw(st.sampled_from(sorted(_operations()))), draw(st.sampled_from(list(GenerationMode)))))
    if role != "nobody":
        case.headers.pop("Authorization", None)  # they have a session
    path = case.path_parameters
    for name in path:
        if draw(st.integers(0, 3)):
            path[name] = draw(st.sampled_from(KNOWN[name]))
    for parameter in case.operation.query:
        if parameter.name in KNOWN and draw(st.integers(0, 3)) == 0:
            case.query[parameter.name] = draw(st.sampled_from(KNOWN[parameter.name]))
    if case.method == "POST" and draw(st.booleans()):
        act = case.operation.path.rpartition("/")[2]
        case.body = {"text": "it is the feed"} if act == "comment" else {"revision": 0, **SOUND.get(act, {})}
    return role, case


@pytest.fixture
def everyone(log_in: LogIn, anonymous: TestClient, monkeypatch: pytest.MonkeyPatch) -> dict[str, TestClient]:
    """A session of each role."""
    from airflow.api_fastapi.app import get_auth_manager

    manager = get_auth_manager()
    ask = manager.is_authorized_dag

    def allowed(*, method: str, user: Any, details: Any = None, **others: Any) -> bool:
        if user.get_name() != "other":
            return ask(method=method, user=user, details=details, **others)
        return details is None or details.id == "air_time.train" or (details.id == "weather.ingest" and method == "GET")

    monkeypatch.setattr(manager, "is_authorized_dag", allowed)
    return {
        "nobody": anonymous, "viewer": log_in("viewer"), "editor of all": log_in("user"), "editor of air_time": log_in("user", "other")
    }  # fmt: skip


@pytest.fixture
def full(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home with something to tell of each kind: alerts of two teams and of the platform, a validation, a report, a watcher."""
    from evergreen_airflow.watch.watcher import LEASE

    monkeypatch.setenv("EVERGREEN_TEST_PASSWORD", SECRET)
    hidden = [Place("flight_delay.train", TASK, "flight_delay", run_id=RUN, partition=HIDDEN)]
    for number in range(10):
        error = f"{HIDDEN} {SECRET} postgresql://ada:{SECRET}@db/x {EVIL}"
        raise_alert(f"task/{HIDDEN}{number}", severity="critical", message=f"{HIDDEN} {EVIL}", error=error, model="flight_delay",
                    places=hidden, evidence={HIDDEN: HIDDEN, "drift": {HIDDEN: 1, "b": 2}})  # fmt: skip
        raise_alert(f"age/air_time{number}", severity="warning", message=f"it is old {EVIL}", model="air_time",
                    error=f"password={SECRET}", places=[Place("air_time.train", "train", "air_time", run_id="r1"), *hidden])  # fmt: skip
        raise_alert(f"freshness/weather{number}", severity="critical", message="it is late", dataset="weather", error=EVIL)
        raise_alert(f"disk/data{number}", severity="warning", message="it fills", error=f"token={SECRET}")
        comment(4 * number + 1, text=HIDDEN, actor=HIDDEN)
    checks = [{"expectation": "expect_column_values_to_be_between", "arguments": {}, "on_fail": "warn", "passed": False, "failed_rows": 1,
               "observed": HIDDEN, "examples": [HIDDEN]}]  # fmt: skip
    for dataset in ("schedules", "weather"):
        record_validation(dataset, DAY, "d1935t", {"verdict": "warned", "reason": "", "rows": 7, "quarantined": 0,
                                                   "checks": checks if dataset == "schedules" else []})  # fmt: skip
    storage.write_bytes("reports/flight_delay/a.html", HIDDEN.encode())
    with writing() as connection:
        connection.execute(
            reports.insert().values(
                model="flight_delay", partition=DAY, path="reports/flight_delay/a.html", input_digest="x", recorded_at=clock.now()
            )
        )
        soon = clock.now() + dt.timedelta(days=1)
        connection.execute(
            leases.insert().values(name=LEASE, holder="w", term=1, acquired_at=clock.now(), renewed_at=soon, expires_at=soon)
        )


load_all_checks()
DOCUMENTED = CHECKS.get_by_names(["status_code_conformance", "content_type_conformance", "response_schema_conformance"])


@settings(
    max_examples=REQUESTS, deadline=None, database=None, phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck)
)
@given(each=asked())
def test_whatever_is_asked_nothing_breaks_and_nobody_is_told_what_is_not_theirs(
    full: None, everyone: dict[str, TestClient], each: tuple[str, Case]
) -> None:
    role, case = each
    if isinstance(case.body, dict) and case.body.get("revision") == 0 and (number := case.path_parameters["alert_id"]) in KNOWN["alert_id"]:
        case.body["revision"] = show_alert(int(number)).alert.revision
    sent = requests.Request(**case.as_transport_kwargs(base_url="http://testserver/evergreen")).prepare()
    answer = everyone[role].request(sent.method, sent.url, headers=dict(sent.headers), content=sent.body, follow_redirects=False)

    event(f"{role}: {answer.status_code}")
    note(f"{sent.method} {answer.url} {sent.headers} {sent.body!r}")
    assert answer.status_code < 500, answer.text
    told = answer.text + str(answer.headers)
    for never in (SECRET, "Traceback", "site-packages", str(ROOT), "sqlite"):
        assert never not in told
    if role == "nobody":
        assert answer.status_code in (401, 403, 404, 405)  # a token of nobody; what is no route for anybody
        assert "it is late" not in told and "it fills" not in told
    if role in ("nobody", "editor of air_time"):
        assert HIDDEN not in told
    if "html" in answer.headers["content-type"]:
        assert EVIL not in told and "default-src 'none'" in answer.headers["content-security-policy"]
    if "%0A" in answer.url.raw_path.decode().partition("?")[0]:
        return  # Starlette mounts no app at a path with a line break: Airflow answers
    kept = "private, max-age=31536000, immutable" if answer.url.params.get("v") and answer.is_success else "no-store"
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == (kept, "nosniff")
    if case.operation.path.startswith(("/api/alerts", "/health")) and "/" not in case.path_parameters.get("alert_id", ""):
        case.validate_response(answer, checks=DOCUMENTED)
