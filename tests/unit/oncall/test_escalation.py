"""An alert that nobody takes climbs; one that somebody takes stops; nothing is lost, and nothing is told twice."""

from __future__ import annotations

import datetime as dt
import re
import threading

import pytest
import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.oncall import Message, UndeliveredError, begin_drill, escalate, escalation, handover_since, outbox, remind_after
from include.evergreen.oncall.messages import AnyChannel
from include.evergreen.state import leases
from include.evergreen.state.alerts import (
    acknowledge,
    comment,
    open_alerts,
    raise_alert,
    resolve,
    resolve_alert,
    show_alert,
    snooze,
    unacknowledge,
)
from include.evergreen.state.alerts.acts import REMINDER
from include.evergreen.state.alerts.raising import Finding, raise_within, resolve_within
from include.evergreen.state.alerts.records import Alert
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import alerts, notifications
from tests.unit.flights import rows_of
from tests.unit.oncall.conftest import ONCALL, Round, Write
from tests.unit.state.database.test_bounded_queries import explained

PAGED = [("chat", "", "trigger"), ("pager", "ana", "trigger")]
QUIET = 'quiet_hours: {from: "22:00", until: "07:00", zone: Europe/Berlin}\n'
ALWAYS = ONCALL.replace("people: [ana, ben], start", "people: [ana], start").replace(QUIET, "")  # whichever week and hour it is


@pytest.fixture
def step(round_: Round, write: Write) -> Round:
    write(ALWAYS)
    return round_


def fire(key: str = "task/one", severity: str = "critical", **more: object) -> int:
    raise_alert(key, severity=severity, message=f"{key} failed", model="air_time", **more)  # type: ignore[arg-type]
    return next(alert.id for alert in open_alerts() if alert.key == key)


def fire_together(most: int) -> None:
    with writing() as connection:
        for number in range(most):
            raise_within(connection, Finding(f"task/{number}", "critical", f"task/{number} failed", model="air_time"))


def end_together(most: int) -> None:
    with writing() as connection:
        for row in connection.execute(alerts.select().where(alerts.c.key.in_([f"task/{number}" for number in range(most)]))).all():
            resolve_within(connection, Alert(**row._mapping), "It is gone.")


def timeline(alert_id: int) -> list[str]:
    return [event.message for event in show_alert(alert_id).events if event.kind in ("notified", "undelivered")]


def test_it_climbs_step_by_step_each_told_once_until_somebody_acknowledges(step: Round) -> None:
    number = fire()
    assert step() == PAGED
    assert step(1) == []
    assert step(14) == []
    assert step(16) == [("mail", "lea", "trigger")]
    assert step(26) == [("mail", "lea", "trigger")]  # again
    acknowledge(number, actor="ana")
    assert step(36) == [("pager", "ana", "acknowledge")]
    assert step(46) == []
    assert sorted(timeline(number)) == [
        "Everybody there was told through chat.", "ana was told through pager.", *["lea was told through mail."] * 2,
    ]  # fmt: skip


def test_all_that_were_told_are_told_once_that_it_is_resolved(step: Round) -> None:
    number = fire()
    step()
    step(16)
    assert resolve_alert("task/one")
    assert step(17) == [("chat", "", "resolve"), ("mail", "lea", "resolve"), ("pager", "ana", "resolve")]
    assert step(18) == []
    [pager] = [message for channel, message in step.sent if (channel, message.action) == ("pager", "resolve")]
    [paged] = [message for channel, message in step.sent if (channel, message.action) == ("pager", "trigger")]
    assert pager.incidents == (paged.alerts[0].incident,)
    assert not show_alert(number).alert.is_open


def test_what_is_resolved_before_it_was_told_is_not_told(step: Round) -> None:
    fire()
    resolve_alert("task/one")
    assert step() == []


def test_snoozed_is_silent_and_given_back_it_climbs_from_the_start(step: Round) -> None:
    number = fire()
    snooze(number, until=clock.now() + dt.timedelta(hours=2), actor="ana")
    assert step() == []
    unacknowledge(number, actor="ana")
    assert step() == PAGED


def test_one_that_comes_back_or_becomes_critical_is_told_anew(step: Round) -> None:
    fire()
    step()
    resolve_alert("task/one")
    step(1)
    fire()
    assert step(2) == PAGED
    fire("freshness/x", "warning")
    assert step(3) == []
    fire("freshness/x")
    assert step(4) == PAGED
    fire("freshness/x", "warning")  # an open one becomes no less
    fire("freshness/x")
    assert step(5) == []


def test_a_thousand_failures_of_one_cause_are_one_message(step: Round) -> None:
    for _ in range(20):
        fire(times=50)
    assert step() == PAGED
    assert {message.alerts[0].times for _, message in step.sent} == {1000}
    fire(times=1000)
    assert step(1) == []


def test_two_hundred_causes_at_once_are_one_message_to_each_and_one_about_their_end(step: Round) -> None:
    fire_together(200)
    assert step() == PAGED
    [(_, told), _] = step.sent
    assert len(told.alerts) == 200
    assert told.subject == "[CRITICAL] 200 alerts, 200 of them critical"
    assert told.lines("https://airflow")[-1] == "All of them: https://airflow/evergreen/alerts"
    end_together(200)
    assert step(2) == [("chat", "", "resolve"), ("pager", "ana", "resolve")]
    assert next(message for channel, message in step.sent[2:] if channel == "pager").incidents == (
        next(message for channel, message in step.sent[:2] if channel == "pager").key,
    )


def test_an_incident_about_several_ends_with_the_last_of_them(step: Round) -> None:
    fire_together(5)
    step()
    end_together(4)
    assert ("pager", "ana", "resolve") not in step(2)
    resolve_alert("task/4")
    assert ("pager", "ana", "resolve") in step(4)


def test_a_flood_that_goes_on_is_grouped_by_the_minute(step: Round) -> None:
    fire_together(3)
    assert len(step()) == 6
    fire_together(9)
    assert step(0.5) == []
    assert step(1.1) == PAGED


def test_a_flood_of_warnings_in_one_channel_does_not_hold_up_a_page_in_another(step: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "LARGEST_GROUP", 2)  # three messages of two are all that a minute lets through
    with writing() as connection:
        for number in range(10):
            raise_within(connection, Finding(f"freshness/{number}", "warning", "late", model="air_time"))
    assert step(31) == [("chat", "", "trigger")] * 3
    fire()
    assert ("pager", "ana", "trigger") in step(31.1)
    assert len([each for each in step(32.2) if each[0] == "chat"]) == 3


def test_warnings_wait_out_the_quiet_hours_and_what_is_critical_does_not(step: Round, write: Write) -> None:
    local = [f"{clock.now() + dt.timedelta(hours=hours):%H:%M}" for hours in (-1, 2)]
    write(f'{ALWAYS}quiet_hours: {{from: "{local[0]}", until: "{local[1]}", zone: UTC}}\n')
    fire("freshness/x", "warning")
    assert step(31) == []
    fire()
    assert step(1) == PAGED
    assert ("chat", "", "trigger") in step(121)


def test_a_channel_that_fails_gives_way_to_the_next_which_the_timeline_and_an_alert_say(step: Round) -> None:
    number = fire()
    step.broken["pager"] = UndeliveredError("the server answered 500.")
    assert step() == [("chat", "", "trigger")]
    assert step(0.1) == []
    step(0.2)  # the second attempt
    assert timeline(number)[1:] == []
    assert step(0.8) == []  # the third fails, and the next channel is used
    told = step(0.85)
    assert ("pager", "ana", "trigger") not in told  # it is not told of itself
    assert {*told} == {("mail", "ana", "trigger"), ("chat", "", "trigger")}
    assert "pager did not deliver: the server answered 500. It is sent through mail, and tried again." in timeline(number)
    failing = next(alert for alert in open_alerts() if alert.key == "notification/pager")
    assert "the server answered 500" in failing.message
    del step.broken["pager"]
    assert ("pager", "ana", "trigger") in step(15)  # told late is better than never
    assert not any(alert.key == "notification/pager" for alert in open_alerts())


def test_what_no_channel_delivers_is_tried_until_one_does(step: Round) -> None:
    fire()
    for name in ("pager", "mail", "chat"):
        step.broken[name] = UndeliveredError("no such key.", permanent=True)
    for minutes in (0, 11, 16, 27, 38, 180):
        assert step(minutes) == []
    assert len([alert for alert in open_alerts() if alert.kind == "notification"]) == 3
    step.broken.clear()
    told = {*step(195)}
    assert {("pager", "ana", "trigger"), ("chat", "", "trigger"), ("mail", "lea", "trigger")} <= told


def test_a_server_that_says_when_to_come_back_is_asked_then(step: Round) -> None:
    fire("freshness/x", "warning")
    step.broken["chat"] = UndeliveredError("the server answered 429.", retry_after=50)
    step(31)
    step.broken.clear()
    assert step(31.7) == []
    assert step(31.9) == [("chat", "", "trigger")]


def test_a_fault_in_a_channel_does_not_stop_the_others(step: Round) -> None:
    fire()
    step.broken["pager"] = RuntimeError("a fault of ours")
    assert step() == [("chat", "", "trigger")]


def test_a_channel_that_hangs_holds_up_no_other_and_is_not_asked_again_meanwhile(step: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(escalation, "WAIT_SECONDS", 0.5)
    hangs, asked = threading.Event(), []

    def send(channel: AnyChannel, message: Message) -> None:
        asked.append((channel.name, message.key))
        if channel.name == "pager":
            hangs.wait(60)

    fire()
    assert escalate(send) == 1
    fire("ledger/damage")
    assert escalate(send) == 1  # the chat alone
    assert [channel for channel, _ in asked].count("pager") == 1
    hangs.set()
    [thread] = [each for each in threading.enumerate() if each.name == "evergreen-pager"]
    thread.join(60)
    assert escalate(send) == 1  # what waited
    assert escalate(send) == 0
    assert len(asked) == len(set(asked)) == 4
    assert {row.state for row in rows_of(notifications)} == {"sent"}


def test_while_another_process_escalates_this_one_does_nothing(step: Round) -> None:
    fire()
    assert leases.acquire("escalation", "another", 60) is not None
    assert step() == []
    leases.release("escalation", "another")
    assert step() == PAGED


def test_who_lost_the_lease_while_sending_records_nothing_and_the_next_sends_the_same_key(step: Round) -> None:
    fire()
    keys: list[str] = []

    def send(channel: object, message: object) -> None:
        keys.append(message.key)  # type: ignore[attr-defined]
        with writing() as connection:  # the lease has expired, and another process has taken it
            connection.exec_driver_sql("UPDATE leases SET holder = 'another', term = term + 1")

    escalate(send)
    assert {row.state for row in rows_of(notifications)} == {"sending"}
    leases.release("escalation", "another")
    assert step() == PAGED
    assert {message.key for _, message in step.sent} == set(keys)
    assert {row.state for row in rows_of(notifications)} == {"sent"}


def test_a_wrong_file_silences_nothing_even_after_a_restart_and_is_itself_an_alert(step: Round, write: Write) -> None:
    from include.evergreen.oncall import declaration, escalation

    assert step() == []  # the sound file was seen
    write(ALWAYS.replace("type: pagerduty", "type: pagerdoody"))
    declaration._seen.clear()  # a new process
    escalation._escalator.cache_clear()
    number = fire()
    told = step()
    assert set(PAGED) <= set(told)
    wrong = next(alert for alert in open_alerts() if alert.key == "configuration/oncall")
    assert "oncall.yaml:2: channels[0].type: 'pagerdoody' is not allowed" in wrong.message
    assert (wrong.severity, wrong.times) == ("critical", 1)
    path = write(ALWAYS)
    step(1)
    assert not any(alert.key == "configuration/oncall" for alert in open_alerts())
    path.unlink()
    acknowledge(number, actor="ana")
    unacknowledge(number, actor="ana")
    told = step(2)
    assert ("pager", "ana", "trigger") in told
    assert "the file is gone" in next(alert.message for alert in open_alerts() if alert.key == "configuration/oncall")


def test_without_a_file_nobody_is_told_and_nothing_is_wrong(write: Write, home: object) -> None:
    step = Round()
    fire()
    assert step() == []
    assert [alert.key for alert in open_alerts()] == ["task/one"]


def test_the_next_on_call_is_not_told_again_of_what_the_one_before_was_told(step: Round, write: Write) -> None:
    fire()
    assert step() == PAGED
    write(ONCALL.replace("people: [ana, ben]", "people: [ben]"))
    assert step(1) == []
    assert step(16) == [("mail", "lea", "trigger")]


def test_a_drill_goes_the_whole_way_and_ends_by_itself(step: Round) -> None:
    drill = begin_drill(actor="maria", minutes=20)
    assert [(each.recipient, each.channel) for each in drill.steps] == [("ana", "pager"), ("", "chat"), ("lea", "mail")]
    assert step() == PAGED
    assert "Nothing is wrong" in step.sent[0][1].lines("")[0]
    assert step(16) == [("mail", "lea", "trigger")]
    assert [each[2] for each in step(21)] == ["resolve", "resolve", "resolve"]
    assert open_alerts() == []


def test_how_long_until_it_fires_again_is_the_policy_s(step: Round, write: Write) -> None:
    number = fire()
    assert remind_after(number) == dt.timedelta(hours=1)
    assert remind_after(fire("freshness/x", "warning")) == dt.timedelta(hours=4)
    write("routes: []\n")
    assert remind_after(number) == REMINDER


def test_a_message_has_no_line_break_in_its_subject_and_no_secret(step: Round) -> None:
    raise_alert(
        "task/x",
        severity="critical",
        message="it failed\r\nBcc: x@example.org postgresql://user:hunter2@db/x",
        error="a row: 4711",
        model="air_time",
    )
    step()
    [message, *_] = [message for _, message in step.sent]
    assert "\n" not in message.subject
    assert "hunter2" not in "\n".join([message.subject, *message.lines("")])
    assert "4711" not in "\n".join([message.subject, *message.lines("")])


def test_a_hand_over_says_what_is_open_and_with_whom_what_began_and_what_was_resolved(step: Round) -> None:
    first, second, third = fire(), fire("freshness/x", "warning"), fire("stuck/a/b", "warning")
    acknowledge(first, actor="ana")
    comment(first, actor="ana", text="I have asked the source")
    resolve(second, reason="the source was asked again", actor="ben")
    step.broken["pager"] = UndeliveredError("no such key.", permanent=True)
    fire("ledger/damage")
    step()
    text = "\n".join(handover_since(1).lines())
    assert f"  {first} critical: A task failed (air_time): task/one failed, acknowledged by ana, since" in text
    assert re.search(r"\n    ana, [-0-9: ]+ UTC: I have asked the source\n", text)
    assert "Resolved since then: 1" in text
    assert f"  {second} warning: Data is late (air_time): freshness/x failed, by ben" in text
    assert f"  {third} warning: A task is stuck (air_time): stuck/a/b failed, firing, since" in text
    assert "Not delivered: 1" in text


def test_what_waits_for_a_channel_that_was_removed_is_told_through_the_one_in_its_place(step: Round, write: Write) -> None:
    fire()
    step.broken["pager"] = UndeliveredError("the server answered 500.")
    assert step() == [("chat", "", "trigger")]
    write(ALWAYS.replace("pager,", "phone,"))
    assert step(0.1) == [("phone", "ana", "trigger")]


def test_a_round_in_which_nothing_happened_reads_no_alert_however_many_fire(step: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(escalation, "_OVERLAP", dt.timedelta(0))
    fire_together(5)
    for minutes in (0, 0.1, 0.2):
        step(minutes)
    asked: list[str] = []

    def ask(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", ask)
    try:
        assert step(0.3) == []
        assert not [each for each in asked if "alerts" in each and 'alerts."key" >=' not in each], "by their key, whether drills are over"
        fire("ledger/damage")
        asked.clear()
        assert step(1.3) == PAGED
        assert any("alerts.id IN" in each for each in asked), "the one that is new"
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", ask)


@pytest.mark.usefixtures("home", "either_database")
def test_no_round_reads_a_table_that_grows_from_end_to_end(write: Write) -> None:
    write(ALWAYS)
    step = Round()
    number = fire()
    with explained() as unbounded:
        fire_together(5)
        assert step() == PAGED
        raise_alert("freshness/x", severity="critical", message="late", model="air_time")
        step.broken["pager"] = UndeliveredError("no such key.", permanent=True)
        step(2)
        begin_drill(actor="maria", minutes=1)
        end_together(5)
        step(4)
        acknowledge(number, actor="ana")
        step(6)
    assert not unbounded, "\n\n".join(unbounded)


@pytest.mark.usefixtures("home", "either_database")
def test_postgresql_does_the_same_as_sqlite(write: Write) -> None:
    write(ALWAYS)
    step = Round()
    fire_together(5)
    assert step() == PAGED
    assert step(16) == [("mail", "lea", "trigger")]
    end_together(5)
    assert [each[2] for each in step(17)] == ["resolve"] * 3
    assert step(18) == []
