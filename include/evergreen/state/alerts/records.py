"""What an alert is, as it is read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from include.evergreen.foundation.errors import DataError
from include.evergreen.state.alerts.kinds import KINDS, AlertKind
from include.evergreen.state.database.tables import alert_events, alert_places, alerts

Severity = Literal["critical", "warning"]
State = Literal["firing", "acknowledged", "snoozed", "resolved"]
EventKind = Literal[
    "raised", "worsened", "reopened", "resolved", "woke", "reminded",  # by themselves
    "acknowledged", "unacknowledged", "snoozed", "assigned", "commented",  # by people
    "notified", "undelivered",  # by escalation
]  # fmt: skip


@dataclass(frozen=True)
class Alert:
    """One cause, from when it was first seen until it is gone.

    ``key`` names the cause; ``times`` says how often it was seen since ``first_at``; ``revision`` grows with each change of its state
    or assignee, so that an act on what somebody saw earlier can be refused.
    """

    id: int
    key: str
    kind: str
    model: str
    dataset: str
    severity: Severity
    state: State
    message: str
    error: str
    evidence: dict[str, Any]
    times: int
    first_at: dt.datetime
    last_at: dt.datetime
    revision: int
    assignee: str | None
    snoozed_until: dt.datetime | None
    remind_at: dt.datetime | None
    reopened: int
    cleared_at: dt.datetime | None
    resolved_at: dt.datetime | None
    resolved_by: str | None

    @property
    def is_open(self) -> bool:
        """Whether it is not resolved."""
        return self.resolved_at is None

    @property
    def meaning(self) -> AlertKind:
        """What alerts of its kind mean."""
        return KINDS[self.kind]


@dataclass(frozen=True)
class Place:
    """Where a cause is seen: a task of a DAG, with the newest run; or, without a DAG, a model or dataset.

    ``map_index`` is -1 for a task that is not mapped.
    """

    dag_id: str = ""
    task_id: str = ""
    model: str = ""
    dataset: str = ""
    run_id: str = ""
    map_index: int = -1
    try_number: int = 0
    partition: str = ""
    times: int = 1
    last_at: dt.datetime | None = None
    cleared_at: dt.datetime | None = None


@dataclass(frozen=True)
class Event:
    """One line of an alert's timeline. ``actor`` is empty where it came about by itself."""

    id: int
    alert_id: int
    recorded_at: dt.datetime
    kind: EventKind
    actor: str
    message: str


class NoSuchAlertError(DataError):
    """No alert has this number, or none that the reader may see."""


def read_alert(connection: sa.Connection, alert_id: int) -> Alert:
    """Read one alert.

    :param connection: any that reads
    :param alert_id: its number
    :returns: the alert, open or not
    :raises NoSuchAlertError: when there is none
    """
    row = connection.execute(alerts.select().where(alerts.c.id == alert_id)).first()
    if row is None:
        raise NoSuchAlertError(f"There is no alert {alert_id}. `evergreen alerts list` shows those that are open.")
    return Alert(**row._mapping)


def places_of(connection: sa.Connection, alert_id: int) -> list[Place]:
    """List where the cause of an alert was seen, the newest first.

    :param connection: any that reads
    :param alert_id: its number
    :returns: one for each task, model or dataset; those that are well again have ``cleared_at``
    """
    query = (
        alert_places.select().where(alert_places.c.alert_id == alert_id).order_by(alert_places.c.last_at.desc(), alert_places.c.id.desc())
    )
    return [
        Place(**{name: value for name, value in row._mapping.items() if name not in {"id", "alert_id"}})
        for row in connection.execute(query)
    ]


def events_of(connection: sa.Connection, alert_id: int) -> list[Event]:
    """List what happened to an alert and who did what about it.

    :param connection: any that reads
    :param alert_id: its number
    :returns: its timeline, the oldest first
    """
    query = alert_events.select().where(alert_events.c.alert_id == alert_id).order_by(alert_events.c.id)
    return [Event(**row._mapping) for row in connection.execute(query)]


def add_event(connection: sa.Connection, alert_id: int, kind: EventKind, message: str, *, now: dt.datetime, actor: str = "") -> None:
    """Add a line to an alert's timeline.

    :param connection: inside a writing transaction; nothing is committed here
    :param alert_id: its number
    :param kind: what happened
    :param message: for people; cut to what the table holds
    :param now: when, in UTC
    :param actor: the person who did it; empty where it came about by itself
    """
    add_events(connection, [alert_id], kind, message, now=now, actor=actor)


def add_events(
    connection: sa.Connection, alert_ids: Collection[int], kind: EventKind, message: str, *, now: dt.datetime, actor: str = ""
) -> None:
    """Add the same line to the timelines of several alerts.

    :param connection: inside a writing transaction; nothing is committed here
    :param alert_ids: their numbers
    :param kind: what happened
    :param message: for people; cut to what the table holds
    :param now: when, in UTC
    :param actor: the person who did it; empty where it came about by itself
    """
    line = {"recorded_at": now, "kind": kind, "actor": actor, "message": message[:2000]}
    if alert_ids:
        connection.execute(alert_events.insert(), [{"alert_id": alert_id, **line} for alert_id in alert_ids])
