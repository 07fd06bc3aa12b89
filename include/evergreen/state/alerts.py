"""Alerts: one for each cause, however often it occurs."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.state import ledger
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import alerts
from include.evergreen.state.effects import side_effect

log = logging.getLogger(__name__)
Severity = Literal["critical", "warning"]
LONGEST_MESSAGE = 1000


@dataclass(frozen=True)
class Alert:
    """``key`` names the cause; ``times`` says how often it was seen since ``first_at``."""

    id: int
    key: str
    model: str
    severity: Severity
    state: Literal["firing", "resolved"]
    message: str
    evidence: dict[str, Any]
    times: int
    first_at: dt.datetime
    last_at: dt.datetime
    resolved_at: dt.datetime | None


def raise_alert(key: str, *, model: str, severity: Severity, message: str, evidence: dict[str, Any] | None = None) -> bool:
    """Raise the alert of a cause, or count it again when it fires already.

    One that was resolved fires anew, and counts from one.

    :param key: names the cause, the same each time that it is seen
    :param model: name of the model whose alert it is; empty for one of all models
    :param severity: ``critical`` or ``warning``, which is also the level of the log
    :param message: for people; cut to `LONGEST_MESSAGE` characters
    :param evidence: facts, as a JSON document
    :returns: whether it is new, and did not fire already
    """
    now = clock.now()
    with side_effect("alert"), writing() as connection:
        existing = connection.execute(alerts.select().where(alerts.c.key == key)).first()
        is_new = existing is None or existing.state == "resolved"
        values = {"model": model, "severity": severity, "state": "firing", "message": message[:LONGEST_MESSAGE], "evidence": evidence or {},
                  "last_at": now, "resolved_at": None}  # fmt: skip
        if existing is None:
            connection.execute(alerts.insert().values(key=key, **values, times=1, first_at=now))
        else:
            counted = {"times": 1, "first_at": now} if is_new else {"times": existing.times + 1}
            connection.execute(alerts.update().where(alerts.c.key == key).values(**values, **counted))
    if is_new:
        log.log(logging.CRITICAL if severity == "critical" else logging.WARNING, "ALERT (%s): %s", severity, message)
    return is_new


def resolve_alert(key: str, *, actor: str = "", reason: str = "") -> bool:
    """Resolve the alert of a cause.

    :param key: names the cause
    :param actor: the person who resolved it, which goes into the ledger; empty when the cause was seen to be gone
    :param reason: why, for the ledger; not kept without an ``actor``
    :returns: whether it was firing
    """
    query = alerts.select().where(alerts.c.key == key, alerts.c.state == "firing")
    with reading() as connection:
        if connection.execute(query).first() is None:
            return False
    with side_effect("alert"), writing() as connection:
        still = connection.execute(query).first()
        connection.execute(alerts.update().where(alerts.c.key == key).values(state="resolved", resolved_at=clock.now()))
        if still and actor:
            body = {"key": key, "message": still.message, "actor": actor, "reason": reason}
            ledger.append(connection, kind="acknowledgement", model=still.model, body=body)
    if still:
        log.info("resolved: %s", still.message)
    return still is not None


def open_alerts(model: str | None = None) -> list[Alert]:
    """List the firing alerts.

    :param model: name of the model; None: all alerts, those of no model included
    :returns: the alerts, the one that was seen last first; empty when none is firing
    """
    query = alerts.select().where(alerts.c.state == "firing").order_by(alerts.c.last_at.desc(), alerts.c.id.desc())
    if model is not None:
        query = query.where(alerts.c.model == model)
    with reading() as connection:
        return [_alert(row) for row in connection.execute(query)]


def _alert(row: sa.Row[Any]) -> Alert:
    return Alert(**row._mapping)
