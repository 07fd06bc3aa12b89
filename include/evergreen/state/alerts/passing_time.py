"""What time alone does to alerts: the snoozed wake, the forgotten fire again, and what stopped flapping is resolved."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.state.alerts.raising import BACK_SOON, resolve_within
from include.evergreen.state.alerts.records import Alert, EventKind, add_event
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import alerts, task_failures
from include.evergreen.state.effects import side_effect

KEPT = dt.timedelta(days=30)  # attempts that failed, once they belong to no open alert


def pass_time() -> int:
    """Do what is due; to be called every few seconds by whoever holds the lease, and safe to repeat.

    :returns: how many alerts changed
    """
    now = clock.now()
    over = (alerts.c.snoozed_until <= now, alerts.c.remind_at <= now, alerts.c.cleared_at <= now - BACK_SOON)
    due = sa.union_all(*(sa.select(alerts.c.id).where(condition) for condition in over))  # each by an index of few rows
    query = alerts.select().where(alerts.c.id.in_(due), alerts.c.resolved_at.is_(None)).order_by(alerts.c.id).limit(500)
    with reading() as connection:
        if connection.execute(due.limit(1)).first() is None:
            return 0
    with side_effect("alert"), writing() as connection:
        rows = [Alert(**row._mapping) for row in connection.execute(query)]
        for alert in rows:
            if alert.cleared_at is not None and alert.cleared_at <= now - BACK_SOON:
                resolve_within(connection, alert, "Its cause came and went, and has stayed away now.", patient=False)
                continue
            kind: EventKind = "woke" if alert.state == "snoozed" else "reminded"
            message = (
                "Its time is over, and its cause is not gone."
                if kind == "woke"
                else f"{alert.assignee} acknowledged it, and it is still open."
            )
            values = {"state": "firing", "snoozed_until": None, "remind_at": None, "revision": alert.revision + 1}
            connection.execute(alerts.update().where(alerts.c.id == alert.id).values(**values))
            add_event(connection, alert.id, kind, message, now=now)
    return len(rows)


def forget_old_failures() -> int:
    """Delete what tasks wrote down of attempts that failed long ago and that no open alert names.

    :returns: how many were deleted
    """
    still_open = alerts.select().with_only_columns(alerts.c.id).where(alerts.c.resolved_at.is_(None))
    old = (task_failures.c.recorded_at < clock.now() - KEPT) & (
        task_failures.c.alert_id.is_(None) | task_failures.c.alert_id.not_in(still_open)
    )
    with writing() as connection:
        return connection.execute(task_failures.delete().where(old)).rowcount
