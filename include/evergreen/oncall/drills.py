"""Drills: harmless alerts that go the whole way, so that people see tonight that their phone rings."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.oncall.declaration import in_use
from include.evergreen.oncall.steps import Due, plan_steps, policy_of
from include.evergreen.oncall.subjects import subjects_of
from include.evergreen.state.alerts import Alert, Severity, raise_alert
from include.evergreen.state.alerts.raising import resolve_within
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import alerts

LONGEST_MINUTES = 24 * 60


@dataclass(frozen=True)
class Drill:
    """A drill that was begun, and what is told of it if nobody takes it. ``policy`` is empty where no route is declared."""

    alert_id: int
    until: dt.datetime
    policy: str
    steps: list[Due]


def begin_drill(*, actor: str, minutes: float = 15, model: str = "", severity: Severity = "critical") -> Drill:
    """Raise a harmless alert, which escalation tells like any other, and resolves after some minutes.

    :param actor: who begins it
    :param minutes: how long it lasts unless somebody resolves it, at most `LONGEST_MINUTES`
    :param model: whose routes are tried; the caller checks that it is declared
    :param severity: with which it is raised
    :returns: the drill
    :raises ConfigError: when the minutes are not allowed
    """
    if not 0 < minutes <= LONGEST_MINUTES:
        raise ConfigError(f"a drill of {minutes:g} minutes; give more than 0 and at most {LONGEST_MINUTES}.")
    now = clock.now()
    until = now + dt.timedelta(minutes=minutes)
    key = f"drill/{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    message = f"{actor} tests that messages arrive. Nothing is wrong, and it ends by itself at {until:%H:%M} UTC."
    raise_alert(key, severity=severity, message=message, model=model, evidence={"until": until.isoformat()})
    config = in_use()
    with reading() as connection:
        row = connection.execute(alerts.select().where(alerts.c.key == key)).one()
        subject = subjects_of(connection, [row.id])[row.id]
    policy = policy_of(config, subject)
    steps = [each for each in plan_steps(config, policy, subject, row.first_at) if each.due_at < until] if policy else []
    return Drill(int(row.id), until, policy.name if policy else "", sorted(steps, key=lambda each: each.due_at))


def end_drills(now: dt.datetime) -> int:
    """Resolve the drills whose time is over.

    :param now: the time, in UTC
    :returns: how many were resolved
    """
    drills = (alerts.c.key >= "drill/", alerts.c.key < "drill0", alerts.c.resolved_at.is_(None))  # by the index of keys
    with reading() as connection:
        over = [row.id for row in connection.execute(sa.select(alerts.c.id, alerts.c.evidence).where(*drills)) if _is_over(row, now)]
    if not over:
        return 0
    with writing() as connection:
        rows = connection.execute(alerts.select().where(alerts.c.id.in_(over), alerts.c.resolved_at.is_(None))).all()
        for row in rows:
            resolve_within(connection, Alert(**row._mapping), "The drill is over.", patient=False)
    return len(rows)


def _is_over(row: Any, now: dt.datetime) -> bool:
    until = row.evidence.get("until", "")
    return not until or dt.datetime.fromisoformat(until) <= now
