"""What people do about an alert. Each act is a line of its timeline and an entry of the ledger, in one transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.reasons import LONGEST_ACTOR, checked_reason
from include.evergreen.state import ledger
from include.evergreen.state.alerts.records import Alert, EventKind, add_event, events_of, read_alert
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import alert_places, alerts
from include.evergreen.state.effects import side_effect

LONGEST_SNOOZE = dt.timedelta(days=7)
REMINDER = dt.timedelta(hours=4)  # what is acknowledged and still open after that fires again
LONGEST_COMMENT = 2000


class StaleActError(DataError):
    """Somebody was faster: the alert is no longer what the person saw who acted."""


def acknowledge(alert_id: int, *, actor: str, revision: int | None = None, remind_after: dt.timedelta = REMINDER) -> Alert:
    """Take an alert: it stops escalating, and whoever acknowledged it is its assignee. It is not resolved by that.

    :param alert_id: its number
    :param actor: who takes it
    :param revision: of the alert that the actor saw; None: whatever it is now
    :param remind_after: how long until it fires again, if it is still open then
    :returns: the alert as it is now; unchanged when the actor has it already
    :raises StaleActError: when somebody else has it
    """
    with _act(
        alert_id, actor, revision, "acknowledged", idle=lambda alert: alert.state == "acknowledged" and alert.assignee == actor
    ) as act:
        if act.alert.state == "acknowledged" and not act.is_idle:
            raise StaleActError(_faster(act, f"{act.alert.assignee} has it. To take it over, assign it to yourself"))
        act.change(f"{actor} acknowledged it.", state="acknowledged", assignee=actor, remind_at=act.now + remind_after, snoozed_until=None)
    return act.alert


def unacknowledge(alert_id: int, *, actor: str, revision: int | None = None) -> Alert:
    """Give an alert back: it fires again, and escalates from the start.

    :param alert_id: its number
    :param actor: who gives it back
    :param revision: of the alert that the actor saw; None: whatever it is now
    :returns: the alert as it is now; unchanged when it fires already
    """
    with _act(alert_id, actor, revision, "unacknowledged", idle=lambda alert: alert.state == "firing") as act:
        act.change(f"{actor} gave it back.", state="firing", assignee=None, remind_at=None, snoozed_until=None)
    return act.alert


def snooze(alert_id: int, *, until: dt.datetime, actor: str, revision: int | None = None) -> Alert:
    """Put an alert aside until a time, at which it fires again unless its cause is gone.

    :param alert_id: its number
    :param until: a time (UTC), at most `LONGEST_SNOOZE` ahead
    :param actor: who puts it aside, and is its assignee from then on
    :param revision: of the alert that the actor saw; None: whatever it is now
    :returns: the alert as it is now
    :raises ConfigError: when the time is past, or too far ahead
    """
    now = clock.now()
    if not now < until <= now + LONGEST_SNOOZE:
        raise ConfigError(
            f"alert {alert_id}: it cannot be snoozed until {until:%Y-%m-%d %H:%M} UTC; allowed: within {LONGEST_SNOOZE.days} days."
        )
    with _act(alert_id, actor, revision, "snoozed", idle=lambda alert: (alert.state, alert.snoozed_until) == ("snoozed", until)) as act:
        act.change(
            f"{actor} snoozed it until {until:%Y-%m-%d %H:%M} UTC.", state="snoozed", snoozed_until=until, remind_at=None, assignee=actor
        )
    return act.alert


def assign(alert_id: int, *, to: str, actor: str, revision: int | None = None) -> Alert:
    """Give an alert to somebody, or take it over; one that fires is acknowledged by whoever assigns it to themselves, and by nobody else.

    :param alert_id: its number
    :param to: the name of who gets it, as Airflow knows it
    :param actor: who assigns it
    :param revision: of the alert that the actor saw; None: whatever it is now
    :returns: the alert as it is now
    :raises ConfigError: when there is no name, or one that is too long
    """
    to = to.strip()
    if not 0 < len(to) <= LONGEST_ACTOR:
        raise ConfigError(f"alert {alert_id}: a name of {len(to)} characters; give the name of a user, of 1 to {LONGEST_ACTOR}.")
    with _act(alert_id, actor, revision, "assigned", idle=lambda alert: alert.assignee == to and alert.state != "firing") as act:
        taken = {"state": "acknowledged", "remind_at": act.now + REMINDER, "snoozed_until": None} if to == actor else {}
        act.change(f"{actor} took it over." if to == actor else f"{actor} assigned it to {to}.", assignee=to, **taken)
    return act.alert


def comment(alert_id: int, *, text: str, actor: str) -> Alert:
    """Add a comment to an alert's timeline, whether or not it is open.

    :param alert_id: its number
    :param text: of 1 to `LONGEST_COMMENT` characters
    :param actor: who comments
    :returns: the alert
    :raises ConfigError: when the text is empty or too long
    """
    text = text.strip()
    if not 0 < len(text) <= LONGEST_COMMENT:
        raise ConfigError(f"alert {alert_id}: a comment of {len(text)} characters; give 1 to {LONGEST_COMMENT}.")
    with side_effect("alert"), writing() as connection:
        alert = read_alert(connection, alert_id)
        _record(connection, alert, "commented", text, actor, clock.now())
    return alert


def resolve(alert_id: int, *, reason: str, actor: str, revision: int | None = None) -> Alert:
    """Resolve an alert by hand; if its cause is seen again, it is a new alert.

    :param alert_id: its number
    :param reason: what was done, for the ledger
    :param actor: who resolves it
    :param revision: of the alert that the actor saw; None: whatever it is now
    :returns: the alert as it is now
    """
    reason = checked_reason(f"alert {alert_id}", reason)
    with _act(alert_id, actor, revision, "resolved", idle=lambda alert: alert.resolved_by == actor) as act:
        act.change(reason, state="resolved", resolved_at=act.now, resolved_by=actor, snoozed_until=None, remind_at=None, cleared_at=None)
        places = alert_places.update().where(alert_places.c.alert_id == alert_id, alert_places.c.cleared_at.is_(None))
        act.connection.execute(places.values(cleared_at=act.now))
    return act.alert


class _Act:
    def __init__(self, connection: sa.Connection, alert: Alert, kind: EventKind, actor: str) -> None:
        self.connection, self.alert, self.kind, self.actor, self.now = connection, alert, kind, actor, clock.now()
        self.is_idle = False

    def change(self, message: str, **values: Any) -> None:
        if self.is_idle:
            return
        changed = {**values, "revision": self.alert.revision + 1}
        self.connection.execute(alerts.update().where(alerts.c.id == self.alert.id).values(**changed))
        _record(self.connection, self.alert, self.kind, message, self.actor, self.now)
        self.alert = read_alert(self.connection, self.alert.id)


@contextmanager
def _act(alert_id: int, actor: str, revision: int | None, kind: EventKind, *, idle: Any) -> Iterator[_Act]:
    with side_effect("alert"), writing() as connection:
        act = _Act(connection, read_alert(connection, alert_id), kind, actor)
        act.is_idle = bool(idle(act.alert))
        if not act.is_idle:
            if not act.alert.is_open:
                raise StaleActError(_faster(act, "If its cause is seen again, it is a new alert"))
            if revision is not None and revision != act.alert.revision:
                raise StaleActError(_faster(act, "Load it again, and see whether you still want to"))
        yield act


def _faster(act: _Act, advice: str) -> str:
    last = next((event for event in reversed(events_of(act.connection, act.alert.id)) if event.kind != "commented"), None)
    happened = f"{last.message.rstrip('.')} ({last.actor or 'by itself'}, {last.recorded_at:%Y-%m-%d %H:%M} UTC)" if last else "it changed"
    return f"Alert {act.alert.id} is {act.alert.state} now: {happened}. {advice}."


def _record(connection: sa.Connection, alert: Alert, kind: EventKind, message: str, actor: str, now: dt.datetime) -> None:
    add_event(connection, alert.id, kind, message, now=now, actor=actor)
    body = {"alert": alert.id, "key": alert.key, "act": kind, "reason": message, "actor": actor, "message": alert.message}
    ledger.append(connection, kind="acknowledgement", model=alert.model, body=body)
