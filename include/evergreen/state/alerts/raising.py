"""Raise, count and resolve: one alert for one cause, however often it is seen."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.redaction import redact
from include.evergreen.state.alerts.kinds import KINDS
from include.evergreen.state.alerts.maintenance_windows import window_over
from include.evergreen.state.alerts.records import Alert, Place, Severity, add_event
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import alert_places, alerts
from include.evergreen.state.effects import side_effect

log = logging.getLogger(__name__)
LONGEST_MESSAGE, LONGEST_ERROR = 1000, 4000
BACK_SOON = dt.timedelta(minutes=30)  # a cause that comes back within it is the same alert again
FLAPS = 3  # a cause that came back so often has to stay away for as long before its alert resolves
MOST_PLACES = 1000  # of one alert: beyond that, only `times` counts


@dataclass(frozen=True)
class Finding:
    """What is wrong, as its alert says it.

    ``key`` names the cause, the same each time that it is seen: its kind, one of `KINDS`, then ``/`` and the rest. ``severity`` is also the
    level of the log; an alert that is snoozed or acknowledged fires again when it becomes critical. ``message``, for people, is cut to
    `LONGEST_MESSAGE` characters. ``evidence`` has facts, as a JSON document. ``model`` and ``dataset`` say whose it is; empty for one of
    several, or of none. ``error`` has the error's own words, redacted and cut to `LONGEST_ERROR` characters. ``places`` are where the
    cause was seen; by default its model or dataset.
    """

    key: str
    severity: Severity
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    dataset: str = ""
    error: str = ""
    places: Sequence[Place] = ()


def raise_alert(
    key: str,
    *,
    severity: Severity,
    message: str,
    model: str = "",
    dataset: str = "",
    evidence: dict[str, Any] | None = None,
    error: str = "",
    places: Sequence[Place] = (),
    times: int = 1,
) -> bool:
    """Raise the alert of a cause, or count it again when it is open already: `raise_within`, in a transaction of its own.

    :param key: as in `Finding`, and so is what follows
    :param severity: as there
    :param message: as there
    :param model: as there
    :param dataset: as there
    :param evidence: as there
    :param error: as there
    :param places: as there
    :param times: how often it was seen since it was told last
    :returns: whether it is new, or came back
    """
    finding = Finding(key, severity, message, evidence or {}, model, dataset, error, places)
    with side_effect("alert"), writing() as connection:
        is_new = raise_within(connection, finding, times=times)[1]
    if is_new:
        log.log(logging.CRITICAL if severity == "critical" else logging.WARNING, "ALERT (%s): %s", severity, message)
    return is_new


def raise_within(connection: sa.Connection, finding: Finding, *, times: int = 1) -> tuple[int, bool]:
    """Raise the alert of a cause, or count it again when it is open already, within the caller's transaction.

    One whose cause went away a short while ago is the same alert again: it keeps its number, assignee and timeline. Whoever resolved
    one by hand, or any that is longer gone, gets a new one. What is declared to be under maintenance is snoozed until that ends.

    :param connection: inside a writing transaction; nothing is committed here
    :param finding: what is wrong
    :param times: how often it was seen since it was told last
    :returns: the alert's number, and whether it is new or came back
    :raises KeyError: when the key begins with no kind of `KINDS`
    """
    key, severity, message = finding.key, finding.severity, finding.message[:LONGEST_MESSAGE]
    kind = key.partition("/")[0]
    if kind not in KINDS:
        raise KeyError(f"{kind!r}, of the alert {key!r}, is not among the kinds of alerts; add it to KINDS, with its runbook")
    now = clock.now()
    model, dataset = finding.model, finding.dataset
    places = finding.places or ([Place(model=model, dataset=dataset)] if model or dataset else [])
    told = {"severity": severity, "message": message, "evidence": finding.evidence, "error": redact(finding.error)[:LONGEST_ERROR],
            "model": model, "dataset": dataset, "last_at": now, "cleared_at": None}  # fmt: skip
    newest = connection.execute(alerts.select().where(alerts.c.key == key).order_by(alerts.c.id.desc()).limit(1)).first()
    came_back = (
        newest is not None and newest.resolved_by is None and newest.resolved_at is not None and now - newest.resolved_at < BACK_SOON
    )
    if newest is not None and newest.resolved_at is None:
        alert_id, is_new = int(newest.id), False
        if severity == "critical" and newest.severity != "critical":
            again = "" if newest.state == "firing" else ", and fires again"
            told |= {"state": "firing", "revision": newest.revision + 1, "snoozed_until": None, "remind_at": None}
            add_event(connection, alert_id, "worsened", f"It is critical now{again}: {message}", now=now)
        if newest.severity == "critical":
            told["severity"] = "critical"  # an open one never becomes less, for it would climb twice
        connection.execute(alerts.update().where(alerts.c.id == alert_id).values(**told, times=alerts.c.times + times))
    elif newest is not None and came_back:
        alert_id, is_new = int(newest.id), True
        reopened = {"state": "firing", "resolved_at": None, "revision": newest.revision + 1, "reopened": newest.reopened + 1}
        connection.execute(alerts.update().where(alerts.c.id == alert_id).values(**told, **reopened, times=alerts.c.times + times))
        add_event(connection, alert_id, "reopened", message, now=now)
    else:
        values = {**told, "key": key, "kind": kind, "state": "firing", "times": times, "first_at": now}
        inserted = connection.execute(alerts.insert().values(**values))
        alert_id, is_new = int(inserted.inserted_primary_key[0]), True  # type: ignore[index]
        add_event(connection, alert_id, "raised", message, now=now)
    place_within(connection, alert_id, places)
    names = {name for place in places for name in (place.model, place.dataset) if name}
    if is_new and (window := window_over(connection, names, now)):
        snoozed = {"state": "snoozed", "snoozed_until": window.ends_at}
        connection.execute(alerts.update().where(alerts.c.id == alert_id).values(**snoozed))
        message = f"Maintenance of {window.name} until {window.ends_at:%Y-%m-%d %H:%M} UTC: {window.reason}"
        add_event(connection, alert_id, "snoozed", message, now=now, actor=window.actor)
    return alert_id, is_new


def place_within(connection: sa.Connection, alert_id: int, places: Sequence[Place]) -> None:
    """Add places to an alert, or count them again, within the caller's transaction.

    :param connection: inside a writing transaction; nothing is committed here
    :param alert_id: its number
    :param places: where its cause was seen; of more than `MOST_PLACES`, those that came first are kept
    """
    now = clock.now()
    known = {
        (row.dag_id, row.task_id, row.model, row.dataset): row.id
        for row in connection.execute(alert_places.select().where(alert_places.c.alert_id == alert_id))
    }
    for place in places:
        newest = {"run_id": place.run_id, "map_index": place.map_index, "try_number": place.try_number, "partition": place.partition,
                  "last_at": now, "cleared_at": None}  # fmt: skip
        name = (place.dag_id, place.task_id, place.model, place.dataset)
        if name in known:
            same = alert_places.c.id == known[name]
            connection.execute(alert_places.update().where(same).values(**newest, times=alert_places.c.times + place.times))
        elif len(known) < MOST_PLACES:
            key = {"alert_id": alert_id, "dag_id": place.dag_id, "task_id": place.task_id, "model": place.model, "dataset": place.dataset}
            inserted = connection.execute(alert_places.insert().values(**key, **newest, times=place.times))
            known[name] = inserted.inserted_primary_key[0]  # type: ignore[index]


def resolve_alert(key: str) -> bool:
    """Resolve the alert of a cause that was seen to be gone; a flapping one once the cause has stayed away (see `pass_time`).

    :param key: names the cause
    :returns: whether it was open
    """
    query = alerts.select().where(alerts.c.key == key, alerts.c.resolved_at.is_(None))
    with reading() as connection:
        if connection.execute(query).first() is None:
            return False
    with side_effect("alert"), writing() as connection:
        row = connection.execute(query).first()
        if row is not None:
            resolve_within(connection, Alert(**row._mapping), "Its cause is gone.")
    if row is not None:
        log.info("resolved: %s", row.message)
    return row is not None


def resolve_within(connection: sa.Connection, alert: Alert, message: str, *, patient: bool = True) -> bool:
    """Resolve an open alert whose cause is gone.

    :param connection: inside a writing transaction; nothing is committed here
    :param alert: as it was read in this transaction
    :param message: for the timeline: what was seen
    :param patient: wait for a flapping cause to stay away; its alert stays as it is until then
    :returns: whether it is resolved now
    """
    now = clock.now()
    if patient and alert.reopened >= FLAPS:
        if alert.cleared_at is None:
            connection.execute(alerts.update().where(alerts.c.id == alert.id).values(cleared_at=now))
        return False
    resolved = {"state": "resolved", "resolved_at": now, "resolved_by": None, "revision": alert.revision + 1, "snoozed_until": None,
                "remind_at": None, "cleared_at": None}  # fmt: skip
    connection.execute(alerts.update().where(alerts.c.id == alert.id).values(**resolved))
    connection.execute(
        alert_places.update().where(alert_places.c.alert_id == alert.id, alert_places.c.cleared_at.is_(None)).values(cleared_at=now)
    )
    add_event(connection, alert.id, "resolved", message, now=now)
    return True


def open_alerts(model: str | None = None) -> list[Alert]:
    """List the open alerts.

    :param model: whose; empty: those of no model; None: all
    :returns: the one that was seen last first
    """
    query = alerts.select().where(alerts.c.resolved_at.is_(None)).order_by(alerts.c.last_at.desc(), alerts.c.id.desc())
    if model is not None:
        query = query.where(alerts.c.model == model)
    with reading() as connection:
        return [Alert(**row._mapping) for row in connection.execute(query)]
