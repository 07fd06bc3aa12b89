"""The hand-over: what happened while somebody was on call, in the words that they hand to the next one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.state.alerts import ALL, Alert, Event, Scope
from include.evergreen.state.alerts.inbox import within
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import alert_events, alerts

LONGEST_HOURS = 24 * 366
_MOST = 200


@dataclass(frozen=True)
class Handover:
    """``unsettled`` are open now, whenever they began; ``began`` and ``resolved`` since the given time, which may be the same alerts.

    ``comments`` has the newest comment on each alert that is open, by its number.
    """

    since: dt.datetime
    until: dt.datetime
    unsettled: list[Alert]
    began: list[Alert]
    resolved: list[Alert]
    undelivered: list[Event]
    comments: dict[int, Event]

    def lines(self) -> Iterator[str]:
        """Write it for people.

        :yields: its lines, in plain text
        """
        critical = sum(alert.severity == "critical" for alert in self.unsettled)
        yield f"From {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"
        yield f"Open now: {len(self.unsettled)}, of which {critical} critical"
        for alert in self.unsettled:
            state = f"{alert.state} by {alert.assignee}" if alert.assignee and alert.state != "firing" else alert.state
            until = f" until {alert.snoozed_until:%Y-%m-%d %H:%M} UTC" if alert.snoozed_until else ""
            yield f"  {_named(alert)}, {state}{until}, since {alert.first_at:%Y-%m-%d %H:%M} UTC"
            if comment := self.comments.get(alert.id):
                yield f"    {comment.actor}, {comment.recorded_at:%Y-%m-%d %H:%M} UTC: {comment.message}"
        yield f"Began since then: {len(self.began)}"
        for alert in self.began:
            yield f"  {_named(alert)}, {alert.times} times, {alert.state} now"
        yield f"Resolved since then: {len(self.resolved)}"
        for alert in self.resolved:
            yield f"  {_named(alert)}, by {alert.resolved_by or 'itself'}"
        if self.undelivered:
            yield f"Not delivered: {len(self.undelivered)}"
            for event in self.undelivered:
                yield f"  alert {event.alert_id}, {event.recorded_at:%Y-%m-%d %H:%M} UTC: {event.message}"


def handover_since(hours: float, scope: Scope = ALL) -> Handover:
    """Gather what happened; of each kind at most 200, the critical and the newest first.

    :param hours: how far back, at most `LONGEST_HOURS`
    :param scope: what the reader may see
    :returns: what is open, what began, what was resolved, and what was not delivered
    :raises ConfigError: when the hours are not allowed
    """
    if not 0 < hours <= LONGEST_HOURS:
        raise ConfigError(f"{hours:g} hours: give more than 0 and at most {LONGEST_HOURS}.")
    now = clock.now()
    since = now - dt.timedelta(hours=hours)
    query = alerts.select().where(*within(scope)).order_by(alerts.c.severity, alerts.c.last_at.desc(), alerts.c.id.desc()).limit(_MOST)
    event = alert_events.c
    failed = (
        alert_events.select()
        .join(alerts)
        .where(event.recorded_at >= since, event.kind == "undelivered", *within(scope))
        .order_by(event.id.desc())
        .limit(_MOST)
    )
    conditions = (alerts.c.resolved_at.is_(None), alerts.c.first_at >= since, alerts.c.resolved_at >= since)
    with reading() as connection:
        unsettled, began, resolved = (
            [Alert(**row._mapping) for row in connection.execute(query.where(condition))] for condition in conditions
        )
        undelivered = [Event(**row._mapping) for row in connection.execute(failed)]
        said = alert_events.select().where(event.alert_id.in_([alert.id for alert in unsettled]), event.kind == "commented")
        comments = {row.alert_id: Event(**row._mapping) for row in connection.execute(said.order_by(event.id))}
    return Handover(since, now, unsettled, began, resolved, undelivered, comments)


def _named(alert: Alert) -> str:
    name = alert.model or alert.dataset
    return f"{alert.id} {alert.severity}: {alert.meaning.title}{f' ({name})' if name else ''}: {alert.message}"
