"""On call: who sees which alert, who may act on it, what is refused, and what is shown."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.evergreen.foundation import clock
from include.evergreen.state.alerts import KINDS, Place, raise_alert, show_alert
from include.evergreen.state.database import reading, tables, writing

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.plugins.conftest import LogIn

pytestmark = pytest.mark.usefixtures("home", "dags")
DAGS = ("flight_delay.train", "flight_delay.score", "air_time.train", "weather.ingest", "evergreen.audit")
API = "/evergreen/api/alerts"
EVIL = "<script>alert(1)</script>"
ACTS: dict[str, dict[str, Any]] = {
    "acknowledge": {"revision": 1},
    "unacknowledge": {"revision": 1},
    "snooze": {"revision": 1, "until": (clock.now() + dt.timedelta(hours=1)).isoformat()},
    "assign": {"revision": 1, "to": "grace"},
    "comment": {"text": "it is the feed again"},
    "resolve": {"revision": 1, "reason": "the feed is mended"},
    "run-again": {"revision": 1, "dry_run": True},
}


@pytest.fixture
def engineer(log_in: LogIn) -> TestClient:
    """A user who may edit every DAG."""
    return log_in("user")


@pytest.fixture
def of_air_time(log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A user of another team, who may edit air_time.train and read weather.ingest."""
    from airflow.api_fastapi.app import get_auth_manager

    def allowed(*, method: str, details: Any = None, **_: Any) -> bool:
        return details.id == "air_time.train" or (details.id == "weather.ingest" and method == "GET")

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", allowed)
    return log_in("user")


def raised(key: str = "task/score", severity: Any = "critical", **about: Any) -> int:
    """Raise an alert, by default of flight_delay.score; its number."""
    about = {
        "message": "the scoring failed",
        "model": "flight_delay",
        "places": [Place("flight_delay.score", "score", "flight_delay", run_id="r1")],
        **about,
    }
    raise_alert(key, severity=severity, **about)
    with reading() as connection:
        return int(connection.execute(tables.alerts.select().order_by(tables.alerts.c.id.desc())).first().id)  # type: ignore[union-attr]


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [alert["id"] for alert in answer.json()["alerts"]]


# --- who sees, who acts ---------------------------------------------------------------------------------------------


def test_nobody_acts_without_a_login_whatever_they_send(anonymous: TestClient) -> None:
    number = raised()
    for act, body in ((act, body) for act, sound in ACTS.items() for body in (json.dumps(sound), "{", "")):
        answer = anonymous.post(f"{API}/{number}/{act}", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 401
    assert show_alert(number).alert.revision == 1


def test_a_viewer_sees_all_and_changes_nothing(reader: TestClient) -> None:
    number = raised()
    assert reader.get(f"{API}/{number}").json()["may_act"] is False
    assert "data-one" not in reader.get(f"/evergreen/alerts/{number}").text
    for act, body in ACTS.items():
        answer = reader.post(f"{API}/{number}/{act}", json=body)
        assert answer.status_code == 403, act
        assert "needs edit on one of flight_delay.score" in answer.json()["detail"]
    assert len(show_alert(number).events) == 1


def test_to_another_team_a_hidden_alert_is_one_that_does_not_exist(of_air_time: TestClient) -> None:
    number = raised(error="the secret")
    for act, body in ACTS.items():
        hidden, absent = (of_air_time.post(f"{API}/{each}/{act}", json=body) for each in (number, number + 7))
        assert (hidden.status_code, absent.status_code) == (404, 404), act
        assert hidden.text.replace(str(number), "N") == absent.text.replace(str(number + 7), "N")
    for path in (f"{API}/{number}", f"/evergreen/alerts/{number}"):
        assert of_air_time.get(path).status_code == 404
    assert len(show_alert(number).events) == 1


def test_lists_and_counts_are_of_what_one_may_read(of_air_time: TestClient) -> None:
    raised()
    theirs = raised("age/air_time", "warning", model="air_time", message="it is old", places=())
    data = raised("freshness/weather", model="", dataset="weather", message="it is late", places=())
    platform = raised("disk/data", model="", message="it fills", places=())
    assert set(ids(of_air_time.get(API))) == {theirs, data, platform}
    assert of_air_time.get(f"{API}/counts").json() == {"total": 3, "critical": {"firing": 2}, "warning": {"firing": 1}}
    inbox = of_air_time.get("/evergreen/alerts").text
    assert "the scoring failed" not in inbox and "it is old" in inbox
    assert ">3<" in of_air_time.get("/evergreen/badge.svg").text
    index = of_air_time.get("/evergreen/").text
    assert "air_time.train/versions" in index and "flight_delay" not in index


def test_whoever_reads_the_data_and_does_not_edit_it_may_not_act_on_its_alerts(of_air_time: TestClient) -> None:
    data = raised("freshness/weather", model="", dataset="weather", places=())
    platform = raised("disk/data", model="", places=())
    own = raised("age/air_time", model="air_time", places=())
    statuses = [of_air_time.post(f"{API}/{each}/acknowledge", json={"revision": 1}).status_code for each in (data, platform, own)]
    assert statuses == [403, 403, 200]


def test_an_alert_of_several_teams_shows_each_its_own_places_and_how_many_it_does_not(of_air_time: TestClient) -> None:
    number = raised("freshness/x", places=[Place("flight_delay.score", "secret_task"), Place("air_time.train", "train")])
    shown = of_air_time.get(f"{API}/{number}").json()
    assert [place["dag_id"] for place in shown["places"]] == ["air_time.train"]
    assert shown["hidden_places"] == 1
    page = of_air_time.get(f"/evergreen/alerts/{number}").text
    assert "And at 1 more that you may not see" in page and "secret_task" not in page


def test_a_filter_reveals_nothing_of_a_dag_that_one_may_not_read(of_air_time: TestClient) -> None:
    raised()
    for query in ("dag_id=flight_delay.score", "name=flight_delay", "text=scoring", "run_id=r1", "kind=task", "state=firing"):
        assert ids(of_air_time.get(f"{API}?{query}")) == [], query


def test_a_token_of_airflow_s_is_enough_for_a_script(engineer: TestClient, anonymous: TestClient) -> None:
    number = raised()
    bearer = {"Authorization": f"Bearer {engineer.cookies['_token']}"}
    assert ids(anonymous.get(API, headers=bearer)) == [number]
    assert anonymous.post(f"{API}/{number}/acknowledge", json={"revision": 1}, headers=bearer).status_code == 200


# --- acts -----------------------------------------------------------------------------------------------------------


def test_each_act_is_in_the_timeline_and_the_ledger_under_the_user_s_name(engineer: TestClient) -> None:
    number, revision = raised(), 1
    for act in ("acknowledge", "unacknowledge", "snooze", "assign", "comment", "resolve"):
        body = {**ACTS[act], **({"revision": revision} if act != "comment" else {})}
        answer = engineer.post(f"{API}/{number}/{act}", json=body)
        assert answer.status_code == 200, answer.text
        revision = answer.json()["revision"]
    kinds = [(event.kind, event.actor) for event in show_alert(number).events]
    done = ("acknowledged", "unacknowledged", "snoozed", "assigned", "commented", "resolved")
    assert kinds == [("raised", ""), *((kind, "someone") for kind in done)]
    with reading() as connection:
        rows = connection.execute(tables.ledger.select().where(tables.ledger.c.kind == "acknowledgement")).all()
    assert [json.loads(row.body)["act"] for row in rows] == list(done)


def test_whoever_was_slower_is_told_who_was_faster_and_changes_nothing(engineer: TestClient) -> None:
    from include.evergreen.state import alerts

    number = raised()
    alerts.acknowledge(number, actor="grace")
    answer = engineer.post(f"{API}/{number}/acknowledge", json={"revision": 1})
    assert answer.status_code == 409
    assert "Alert 1 is acknowledged now: grace acknowledged it" in answer.json()["detail"]
    assert engineer.post(f"{API}/{number}/resolve", json=ACTS["resolve"]).status_code == 409
    assert engineer.post(f"{API}/{number}/run-again", json=ACTS["run-again"]).status_code == 409
    assert show_alert(number).alert.assignee == "grace"


def test_a_wrong_time_or_name_is_said_in_words(engineer: TestClient) -> None:
    number = raised()
    for act, body in (
        ("snooze", {"revision": 1, "until": "2001-01-01T00:00:00Z"}),
        ("snooze", {"revision": 1, "until": "2999-01-01T00:00:00+02:00"}),
        ("snooze", {"revision": 1, "until": "2026-01-01T00:00:00"}),
        ("snooze", {"revision": 1, "until": "9999-12-31T23:59:59-23:59"}),
        ("snooze", {"revision": 1, "until": "0001-01-01T00:00:00+23:59"}),
        ("assign", {"revision": 1, "to": "   "}),
        ("assign", {"revision": 1, "to": "x" * 200}),
        ("resolve", {"revision": 1, "reason": "       ok      "}),
        ("comment", {"text": "a\0b"}),
        ("acknowledge", {}),
        ("acknowledge", {"revision": 1, "actor": "grace"}),
    ):
        answer = engineer.post(f"{API}/{number}/{act}", json=body)
        assert answer.status_code == 422, (act, body)
        assert answer.json()["detail"]
    assert len(show_alert(number).events) == 1


# --- what is refused ------------------------------------------------------------------------------------------------


def test_a_form_changes_nothing_since_another_site_could_post_it(engineer: TestClient) -> None:
    number, kinds = raised(), ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain", "")
    for kind, (act, body) in ((kind, each) for kind in kinds for each in ACTS.items()):
        answer = engineer.post(f"{API}/{number}/{act}", content=json.dumps(body), headers={"Content-Type": kind})
        assert answer.status_code == 415
    assert len(show_alert(number).events) == 1


def test_a_large_body_is_refused_without_being_kept(engineer: TestClient) -> None:
    number = raised()
    assert engineer.post(f"{API}/{number}/comment", json={"text": "x" * 1_000_000}).status_code == 413
    assert engineer.post(f"{API}/{number}/comment", json={"text": "x" * 10_000}).status_code == 422


def test_a_forged_number_is_no_alert(engineer: TestClient) -> None:
    raised()
    for number in ("0", "-1", "1e3", "٣", "99999999999999999999", "1%00", "%2e%2e", "x" * 300):
        for path in (f"{API}/{number}", f"/evergreen/alerts/{number}"):
            assert engineer.get(path).status_code in (404, 405), number
        assert engineer.post(f"{API}/{number}/acknowledge", json={"revision": 1}).status_code in (404, 405), number


def test_a_wrong_filter_is_422_in_the_api_and_a_page_in_words(engineer: TestClient) -> None:
    of_both = ("state=x", "severity=high", "offset=-1", f"offset={10**30}", "text=%00", "kind=" + "x" * 500)
    for query in (*of_both, "limit=0", "limit=9999999", "limit=x"):
        assert engineer.get(f"{API}?{query}").status_code == 422, query
    for query in of_both:
        page = engineer.get(f"/evergreen/alerts?{query}")
        assert page.status_code == 422 and "This address is wrong" in page.text


def test_every_route_that_changes_something_is_a_post_of_the_api() -> None:
    from fastapi.routing import APIRoute

    from evergreen_airflow.ui.app import create_app

    changing = [route for route in create_app().routes if isinstance(route, APIRoute) and route.methods - {"GET", "HEAD"}]
    assert {route.path for route in changing} == {f"/api/alerts/{{alert_id}}/{act}" for act in ACTS}
    assert all(route.methods == {"POST"} for route in changing)


def test_the_openapi_document_names_each_act_with_what_it_takes_and_answers(reader: TestClient) -> None:
    document = reader.get("/evergreen/api/openapi.json").json()
    for act, body in ACTS.items():
        route = document["paths"][f"/api/alerts/{{alert_id}}/{act}"]["post"]
        schema = route["requestBody"]["content"]["application/json"]["schema"]
        assert set(body) <= set(schema["properties"])
        assert {"200", "401", "403", "404", "415"} <= set(route["responses"])
    assert not [path for path in document["paths"] if not path.startswith(("/api/alerts", "/health"))]
    assert "openapi.json" in reader.get("/evergreen/api").text


# --- what is shown --------------------------------------------------------------------------------------------------


def test_an_alert_says_what_is_wrong_what_it_means_where_and_what_to_do(engineer: TestClient) -> None:
    place = Place(
        "flight_delay.score", "score", "flight_delay", run_id="manual__2026-11-29T01:02:03+00:00", try_number=2, partition="2013-02-09"
    )
    number = raised(error="KeyError: 'tailnum'", evidence={"drift": {"temp": 0.5, "wind": 0.1}, "tries": 2}, places=[place])
    page = engineer.get(f"/evergreen/alerts/{number}").text
    for words in (KINDS["task"].title, KINDS["task"].meaning, "the scoring failed", "KeyError: &#39;tailnum&#39;", "tries", "0.5"):
        assert words in page
    for href in (
        "/dags/flight_delay.score/runs/manual__2026-11-29T01%3A02%3A03%2B00%3A00/tasks/score?try_number=2", "/evergreen/runbooks/task",
        "/evergreen/dags/flight_delay.monitor/reports/2013-02-09", "/evergreen/dags/flight_delay.train/versions",
    ):  # fmt: skip
        assert f'href="{href}"' in page
    assert page.count("<rect") == 2, "a bar for each figure"


@pytest.mark.parametrize("path", ["/evergreen/alerts", "/evergreen/alerts/{}"])
def test_whatever_an_exception_says_is_text(engineer: TestClient, path: str) -> None:
    places = [Place("flight_delay.score", EVIL, "flight_delay", run_id=f"'\"{EVIL}", partition=EVIL)]
    number = raised(message=EVIL, error=f"{EVIL} javascript:x", evidence={EVIL: EVIL, "a": {EVIL: 1, "b": 2}, "c": [EVIL]}, places=places)
    engineer.post(f"{API}/{number}/comment", json={"text": EVIL})
    page = engineer.get(path.format(number))
    assert EVIL not in page.text and "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert page.text.count("<script") == 2, "our own two"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'nonce-" in policy and "unsafe" not in policy and "frame-ancestors 'self'" in policy


def test_the_inbox_can_be_asked_for_each_thing_that_it_shows(engineer: TestClient) -> None:
    scoring = raised()
    old = raised("age/air_time", "warning", model="air_time", message="it is old", places=())
    engineer.post(f"{API}/{old}/acknowledge", json={"revision": 1})
    for query, expected in (
        ("", [scoring, old]), ("severity=warning", [old]), ("kind=age", [old]), ("name=flight_delay", [scoring]),
        ("state=acknowledged", [old]), ("assignee=someone", [old]), ("text=SCORING", [scoring]), ("dag_id=flight_delay.score", [scoring]),
        ("text=%25", []), ("state=resolved", []),
    ):  # fmt: skip
        assert ids(engineer.get(f"{API}?{query}")) == expected, query
        page = engineer.get(f"/evergreen/alerts?{query}").text
        assert [number for number in (scoring, old) if f'data-key="{number}"' in page] == expected


def test_each_kind_s_runbook_is_served_from_this_installation(reader: TestClient) -> None:
    for kind in KINDS:
        page = reader.get(f"/evergreen/runbooks/{kind}")
        assert page.status_code == 200
        assert "<h2>The first five minutes</h2>" in page.text
        assert page.text.count("<script") == 1 and "http" not in page.text.split("<article>")[1]


def test_a_runbook_s_html_is_text_and_an_unknown_one_is_not_found(reader: TestClient) -> None:
    from evergreen_airflow.ui.oncall.runbooks import _rendered

    assert EVIL not in _rendered(f"# x\n\n{EVIL}\n\n[x](javascript:alert)")
    assert "href" not in _rendered("[x](javascript:alert(1))")
    for kind in ("nothing", "..%2f..%2fREADME", "task.md"):
        assert reader.get(f"/evergreen/runbooks/{kind}").status_code == 404


# --- the hand-over --------------------------------------------------------------------------------------------------


def test_the_hand_over_says_what_is_open_with_whom_and_their_last_word_what_began_and_what_was_resolved(engineer: TestClient) -> None:
    taken, done = raised(), raised("age/air_time", "warning", model="air_time", message="it is old", places=())
    engineer.post(f"{API}/{taken}/acknowledge", json={"revision": 1})
    for text in ("a first look", "<b>I wait for the source</b>"):
        engineer.post(f"{API}/{taken}/comment", json={"text": text})
    engineer.post(f"{API}/{done}/resolve", json=ACTS["resolve"])
    page = engineer.get("/evergreen/handover?hours=8").text
    of_open, began, resolved = page.split("<h2>")[1:]
    assert of_open.startswith("Open now: 1<") and "acknowledged by someone" in of_open and "the scoring failed" in of_open
    assert "&lt;b&gt;I wait for the source" in of_open and "a first look" not in page
    assert began.startswith("Began: 2<") and resolved.startswith("Resolved: 1<") and "by someone" in resolved
    assert 'href="?hours=8" aria-current="true"' in page
    assert 'href="/evergreen/handover"' in engineer.get("/evergreen/alerts").text


def test_the_hand_over_is_of_what_one_may_see(of_air_time: TestClient) -> None:
    from include.evergreen.state.alerts.records import add_event

    number = raised(error="the secret")
    with writing() as connection:
        add_event(connection, number, "undelivered", "the pager is away", now=clock.now())
    raised("disk/data", "warning", model="", message="it fills", places=())
    page = of_air_time.get("/evergreen/handover").text
    assert "it fills" in page and "Open now: 1" in page and "Began: 1" in page
    assert "the scoring failed" not in page and "the pager is away" not in page
    for hours in ("0", "-1", "nan", "inf", "1e9", "x"):
        assert of_air_time.get(f"/evergreen/handover?hours={hours}").status_code == 422, hours


def test_the_hand_over_says_who_is_on_call(engineer: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path))
    rotation = "rotations:\n  - {name: ml, people: [ana], start: 2020-01-06, zone: Europe/Berlin}\n"
    (tmp_path / "oncall.yaml").write_text(f"people:\n  - {{name: ana, email: ana@example.org}}\n{rotation}")
    assert "<li>ml: <strong>ana</strong>" in engineer.get("/evergreen/handover").text


# --- notes ----------------------------------------------------------------------------------------------------------


def test_a_note_is_appended_once_and_makes_room_by_our_own_older_lines_alone() -> None:
    from evergreen_airflow.ui.oncall.notes import LONGEST_NOTE, appended

    line = "[Evergreen alert 7] 2026-11-29 16:00 UTC, acknowledged by ada"
    assert appended("", line, 7) == line
    once = appended("I look at it\nada", line, 7)
    assert once == f"I look at it\nada\n{line}"
    assert appended(once, line, 7) == once
    full = f"{'x' * 800}\n[Evergreen alert 7] {'y' * 150}"
    assert appended(full, line, 7) == f"{'x' * 800}\n{line}"
    assert len(appended(full, line, 7)) <= LONGEST_NOTE
    persons = "x" * 990
    assert appended(persons, line, 7) == persons, "what people wrote is not shortened"
