"""Each channel delivers to a real server, in the form that it asks for; what a server does wrong becomes the outbox's next attempt."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.foundation import clock
from include.evergreen.oncall import UndeliveredError, escalate
from include.evergreen.oncall.messages import Message
from include.evergreen.operations.noticing import Attempt, Declared, Instance, record_attempts
from include.evergreen.state.alerts import (
    Finding,
    acknowledge,
    open_alerts,
    raise_alert,
    raise_within,
    resolve_alert,
    resolve_within,
    show_alert,
    unacknowledge,
)
from include.evergreen.state.database import writing
from tests.servers.http import HttpServer, Request
from tests.servers.pagerduty import PagerDuty
from tests.servers.smtp import PASSWORD, USER, SmtpServer

ONCALL = """\
channels:
  - {name: pager, type: pagerduty, connection: pagerduty_ml}
  - {name: chat, type: slack, connection: slack_ml}
  - {name: hook, type: webhook, connection: hook_ml}
  - {name: mail, type: email, connection: smtp_ml, sender: evergreen@example.org, to: [team@example.org]}
people:
  - {name: ana, email: ana@example.org, slack: U0ANA}
rotations:
  - {name: ml, people: [ana], start: 2020-01-06, zone: UTC}
policies:
  - name: all
    steps:
      - {after_minutes: 0, rotation: ml, through: [pager]}
      - {after_minutes: 0, rotation: ml, through: [chat]}
      - {after_minutes: 0, through: [hook]}
      - {after_minutes: 0, rotation: ml, through: [mail]}
routes:
  - {policy: all}
"""
KEY = "an-integration-key-of-32-letters"
MESSAGE = "source <b>weather</b> & co: <!channel> postgresql://user:hunter2@db/x\r\nBcc: mallory@example.org"


@pytest.fixture
def servers(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[HttpServer, SmtpServer]]:
    """An HTTP server and a mail server, which Airflow's database has connections to."""
    from airflow.models.connection import Connection
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    from evergreen_airflow.channels import posting

    initdb()
    root = home / "include"
    root.mkdir()
    (root / "oncall.yaml").write_text(ONCALL)
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(root))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.org/")
    monkeypatch.setattr(posting, "TIMEOUT_SECONDS", 0.5)
    with HttpServer() as http, SmtpServer() as smtp:
        for path in ("/v2/enqueue", "/services/T0/B0/s3cr3t", "/hook"):
            http.answers[path] = lambda request: request.answer(202)
        http.answers["/v2/enqueue"] = PagerDuty(KEY)
        known = [
            Connection(conn_id="pagerduty_ml", conn_type="http", host=http.url, password=KEY),
            Connection(conn_id="slack_ml", conn_type="slackwebhook", password=f"{http.url}/services/T0/B0/s3cr3t"),
            Connection(conn_id="hook_ml", conn_type="http", host=f"{http.url}/hook", password="a key of both"),
            Connection(
                conn_id="smtp_ml", conn_type="smtp", host="127.0.0.1", port=smtp.port, login=USER, password=PASSWORD,
                extra=json.dumps({"disable_ssl": True, "ssl_context": "none"}),
            ),
        ]  # fmt: skip
        with create_session() as session:
            session.query(Connection).delete()
            session.add_all(known)
        yield http, smtp


def go() -> int:
    from evergreen_airflow.channels import send

    return escalate(send)


def fire_together(most: int) -> None:
    with writing() as connection:
        for number in range(most):
            raise_within(connection, Finding(f"task/{number}", "critical", f"cause {number}"))


def end_together(most: int) -> None:
    with writing() as connection:
        for alert in open_alerts():
            if alert.key in {f"task/{number}" for number in range(most)}:
                resolve_within(connection, alert, "It is gone.")


def got(http: HttpServer, path: str) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in http.requests if request.path == path]


def fire() -> int:
    raise_alert("freshness/weather", severity="critical", message=MESSAGE, dataset="weather", error="a person's row")
    return open_alerts()[0].id


def pagerduty(http: HttpServer) -> PagerDuty:
    server = http.answers["/v2/enqueue"]
    assert isinstance(server, PagerDuty)
    return server


def at(minutes: float) -> int:
    """A round, some minutes from now."""
    from evergreen_airflow.channels import send

    return escalate(send, clock.now() + dt.timedelta(minutes=minutes))


def now_again() -> None:
    """Whatever waits for its next attempt need not."""
    with writing() as connection:
        connection.exec_driver_sql("UPDATE notifications SET due_at = '2020-01-01 00:00:00.000000' WHERE state = 'pending'")


def test_an_alert_is_told_in_each_channel_s_own_form_and_so_is_its_end(servers: tuple[HttpServer, SmtpServer]) -> None:
    http, smtp = servers
    number = fire()
    assert go() == 4
    [event] = got(http, "/v2/enqueue")
    assert (event["routing_key"], event["event_action"], event["payload"]["severity"]) == (KEY, "trigger", "critical")
    assert len(event["dedup_key"]) <= 255
    assert event["payload"]["summary"].startswith("[CRITICAL] Data is late (weather): source")
    assert {"summary", "source", "severity", "timestamp", "component", "class", "custom_details"} == set(event["payload"])
    assert event["links"][0]["href"] == f"https://airflow.example.org/evergreen/alerts/{number}"

    [post] = got(http, "/services/T0/B0/s3cr3t")
    assert post["text"].startswith(
        "<@U0ANA> *[CRITICAL] Data is late (weather): source &lt;b&gt;weather&lt;/b&gt; &amp; co: &lt;!channel&gt;"
    )
    assert f"Take it: https://airflow.example.org/evergreen/alerts/{number}" in post["text"]
    assert post["text"].count("<") == 1  # the mention alone

    [mail] = smtp.mails
    assert (mail.encrypted, mail.logged_in, mail.recipients) == (True, True, ["ana@example.org"])
    assert mail.message["Bcc"] is None
    assert mail.message["Subject"].startswith("[CRITICAL] Data is late (weather): source <b>weather</b> & co")
    body = mail.message.get_body(("html",))
    assert body is not None
    assert "&lt;b&gt;weather" in body.get_content()
    assert "https://airflow.example.org/evergreen/runbooks/freshness" in body.get_content()
    everything = json.dumps([event, post, got(http, "/hook")]) + str(mail.message) + body.get_content()
    assert "hunter2" not in everything
    assert "a person's row" not in everything

    acknowledge(number, actor="ana")
    assert go() == 2  # those that know who has it
    resolve_alert("freshness/weather")
    assert go() == 4
    assert [(each["event_action"], each["dedup_key"]) for each in got(http, "/v2/enqueue")] == [
        (action, event["dedup_key"]) for action in ("trigger", "acknowledge", "resolve")
    ]
    assert [each["action"] for each in got(http, "/hook")] == ["trigger", "acknowledge", "resolve"]
    [incident] = pagerduty(http).incidents
    assert incident.state == "resolved" and pagerduty(http).refused == []
    assert smtp.mails[1].message["Subject"].startswith("[RESOLVED] ")
    assert smtp.mails[1].message["In-Reply-To"] == mail.message["Message-ID"]
    assert go() == 0


PAGED_AGAIN = """\
channels:
  - {name: pager, type: pagerduty, connection: pagerduty_ml}
people:
  - {name: ana}
  - {name: lea}
policies:
  - name: all
    steps:
      - {after_minutes: 0, person: ana, through: [pager], repeat: 2, every_minutes: 5}
      - {after_minutes: 15, person: lea, through: [pager]}
routes:
  - {policy: all}
"""


@pytest.fixture
def paged(servers: tuple[HttpServer, SmtpServer], home: Path) -> PagerDuty:
    (home / "include" / "oncall.yaml").write_text(PAGED_AGAIN)
    return pagerduty(servers[0])


def test_an_alert_is_one_incident_however_many_steps_and_repeats_tell_it(paged: PagerDuty) -> None:
    number = fire()
    for minutes in (0, 5, 10, 15):
        assert at(minutes) == 1
    [incident] = paged.incidents
    assert [event["payload"]["custom_details"]["for"] for event in incident.log] == ["ana", "ana", "ana", "lea"]
    acknowledge(number, actor="lea")
    at(16)
    assert paged.states == ["acknowledged"]
    resolve_alert("freshness/weather")
    at(17)
    assert paged.states == ["resolved"] and paged.refused == []


def test_an_alert_that_comes_back_or_is_given_back_rings_anew_and_has_one_incident_that_is_open(paged: PagerDuty) -> None:
    number = fire()
    at(0)
    resolve_alert("freshness/weather")
    at(1)
    assert fire() == number
    at(2)
    assert paged.states == ["resolved", "triggered"], "it came back"
    acknowledge(number, actor="ana")
    at(3)
    unacknowledge(number, actor="ana")
    at(4), at(4.1)
    assert paged.states == ["resolved", "resolved", "triggered"], "PagerDuty does not ring for what is acknowledged"
    resolve_alert("freshness/weather")
    at(5)
    assert paged.states == ["resolved"] * 3 and paged.refused == []


def test_alerts_of_a_group_share_its_incident_which_ends_with_the_last_of_them(paged: PagerDuty) -> None:
    fire_together(20)
    at(0)
    [incident] = paged.incidents
    assert incident.log[0]["payload"]["summary"] == "[CRITICAL] 20 alerts, 20 of them critical"
    raise_alert("task/another", severity="critical", message="it failed")
    at(5), at(15)
    assert len(paged.incidents) == 2 and len({event["dedup_key"] for event in incident.log}) == 1
    end_together(19)
    at(16), at(17)
    assert paged.states == ["triggered", "triggered"]
    end_together(20)
    at(18), at(19)
    assert paged.states == ["resolved", "triggered"] and paged.refused == []


def test_our_webhook_is_signed_as_the_guide_says_how_to_verify_it(servers: tuple[HttpServer, SmtpServer]) -> None:
    http, _ = servers
    fire()
    go()
    [request] = [each for each in http.requests if each.path == "/hook"]
    guide = (PROJECT_ROOT / "docs" / "guides" / "on-call-routes.md").read_text()
    theirs: dict[str, Any] = {}
    exec(guide.partition("```python\n")[2].partition("```")[0], theirs)
    assert theirs["is_ours"]("a key of both", request.headers, request.body)
    assert not theirs["is_ours"]("another key", request.headers, request.body)
    assert not theirs["is_ours"]("a key of both", request.headers, request.body + b" ")
    assert request.headers["Idempotency-Key"] == json.loads(request.body)["key"]


def test_a_server_that_says_no_hangs_or_is_busy_holds_up_no_other(servers: tuple[HttpServer, SmtpServer]) -> None:
    http, smtp = servers
    http.answers["/v2/enqueue"] = lambda request: request.answer(500, b"we are down")
    http.answers["/services/T0/B0/s3cr3t"] = lambda _: http.leaving.wait(5)  # type: ignore[assignment,return-value]
    http.answers["/hook"] = lambda request: request.answer(429, retry_after="120")
    number = fire()
    began = time.monotonic()
    assert go() == 1
    assert time.monotonic() - began < 5
    assert len(smtp.mails) == 1
    undelivered = [event.message for event in show_alert(number).events if event.kind == "undelivered"]
    assert undelivered == ["hook did not deliver: the server answered 429. It is sent through pager, and tried again."]
    keys = {request.path: json.loads(request.body).get("dedup_key") for request in http.requests}
    for path in list(http.answers):
        http.answers[path] = lambda request: request.answer(202)
    now_again()
    go()
    assert keys["/v2/enqueue"] in [event["dedup_key"] for event in got(http, "/v2/enqueue")[1:]]
    assert len(smtp.mails) == 2  # and that the webhook did not deliver, which is resolved by now
    assert [alert.key for alert in open_alerts()] == ["freshness/weather"]


def test_two_hundred_causes_at_once_are_one_message_in_each_channel_and_so_is_their_end(servers: tuple[HttpServer, SmtpServer]) -> None:
    http, smtp = servers
    fire_together(200)
    assert go() == 4
    assert (len(http.requests), len(smtp.mails), len(pagerduty(http).incidents)) == (3, 1, 1)
    [hook] = got(http, "/hook")
    assert (hook["subject"], len(hook["alerts"])) == ("[CRITICAL] 200 alerts, 200 of them critical", 200)
    assert smtp.mails[0].message["Subject"] == hook["subject"]
    end_together(200)
    assert at(1.1) == 4
    assert (len(http.requests), len(smtp.mails), pagerduty(http).states) == (6, 2, ["resolved"])


def test_a_thousand_failures_of_one_cause_in_a_minute_are_one_alert_and_one_message_that_counts_them(
    servers: tuple[HttpServer, SmtpServer],
) -> None:
    http, smtp = servers
    ended = clock.now() - dt.timedelta(seconds=10)
    died = [
        Attempt(Instance("their.dag", "work", "night", number), 1, "failed", started_at=ended, ended_at=ended) for number in range(1000)
    ]
    assert record_attempts(died[:1], Declared())[0] == 1
    assert go() == 4
    assert record_attempts(died, Declared())[0] == 999
    assert go() == 0, "it was told"
    [alert] = open_alerts()
    assert (alert.times, len(http.requests), len(smtp.mails), len(pagerduty(http).incidents)) == (1000, 3, 1, 1)
    unacknowledge(acknowledge(alert.id, actor="ana").id, actor="ana")
    assert at(1) >= 4
    assert got(http, "/hook")[-1]["alerts"][0]["times"] == 1000


def test_a_server_that_says_when_to_come_back_is_not_asked_before(servers: tuple[HttpServer, SmtpServer]) -> None:
    http, _ = servers
    http.answers["/hook"] = lambda request: request.answer(429, retry_after="120")
    fire()
    go()
    http.answers["/hook"] = lambda request: request.answer(202)
    at(1.9)
    assert len(got(http, "/hook")) == 1
    at(2.1)
    first, second = [request.headers["Idempotency-Key"] for request in http.requests if request.path == "/hook"][:2]
    assert first == second


@pytest.mark.parametrize(
    ("answer", "permanent", "retry_after", "told"),
    [
        (lambda request: request.answer(400, f"not {KEY}".encode()), True, None, "the server answered 400: not ***."),
        (lambda request: request.answer(302, location="http://127.0.0.1:9/"), True, None, "the server answered 302."),
        (lambda request: request.answer(503), False, None, "the server answered 503."),
        (lambda request: request.answer(429, retry_after="7"), False, 7.0, "the server answered 429."),
        (lambda request: request.answer(429, retry_after="soon"), False, None, "the server answered 429."),
        (Request.drop, False, None, "the server could not be reached (RemoteProtocolError)."),
    ],
    ids=["400", "302", "503", "429", "429 of words", "drops"],
)
def test_what_an_answer_means_for_the_next_attempt(
    servers: tuple[HttpServer, SmtpServer], answer: Any, permanent: bool, retry_after: float | None, told: str
) -> None:
    http, _ = servers
    http.answers["/v2/enqueue"] = answer
    with pytest.raises(UndeliveredError) as error:
        deliver(0)
    assert (error.value.permanent, error.value.retry_after, str(error.value)) == (permanent, retry_after, told)


def test_a_connection_that_is_missing_or_a_password_that_is_wrong_is_told_without_it(servers: tuple[HttpServer, SmtpServer]) -> None:
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    _, smtp = servers
    with create_session() as session:
        session.query(Connection).filter_by(conn_id="pagerduty_ml").delete()
        session.query(Connection).filter_by(conn_id="smtp_ml").one().set_password("not it")
    with pytest.raises(UndeliveredError, match="connection 'pagerduty_ml' is not set in Airflow") as error:
        deliver(0)
    assert error.value.permanent
    with pytest.raises(UndeliveredError, match=r"the server answered 535 \(SMTPAuthenticationError\)") as error:
        deliver(3)
    assert error.value.permanent
    assert smtp.mails == []


def test_a_recipient_that_is_refused_for_now_is_tried_again(servers: tuple[HttpServer, SmtpServer]) -> None:
    _, smtp = servers
    smtp.answer_to_recipient = "451 later"
    with pytest.raises(UndeliveredError, match="451") as error:
        deliver(3)
    assert not error.value.permanent


def deliver(channel: int) -> None:
    """One message, through the channel of this place in the file."""
    from evergreen_airflow.channels import send
    from include.evergreen.oncall import in_use
    from include.evergreen.oncall.outbox import told_of

    fire()
    message = Message("1/1/all.0/0/x/ana", "trigger", "ana", "", (told_of(open_alerts()[0]),), ("ana",))
    send(in_use().channels[channel], message)
