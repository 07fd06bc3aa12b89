"""The outbox: what is to be sent about alerts is written down in one transaction, sent outside of it, and marked afterwards.

Every change is made under the escalation's lease: who has lost it records nothing more. A message that was sent and not marked, since
the process died in between, is sent again with the same key, by which a server that keeps it takes the message once.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.evergreen.config.oncall import Email, Slack
from include.evergreen.foundation.redaction import redact
from include.evergreen.oncall.incidents import KEEPS_INCIDENTS, assign_incidents, settled_incidents, supersede_incidents
from include.evergreen.oncall.messages import Message, Told, UndeliveredError
from include.evergreen.oncall.rotations import on_call
from include.evergreen.state.alerts import Alert, Finding, raise_within
from include.evergreen.state.alerts.raising import resolve_within
from include.evergreen.state.alerts.records import add_event, add_events
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import alerts, notifications
from include.evergreen.state.leases import Lease, holds

if TYPE_CHECKING:
    from include.evergreen.config.oncall import OncallConfig
    from include.evergreen.oncall.messages import AnyChannel
    from include.evergreen.oncall.steps import Due

MOST_A_MINUTE = 3  # messages to one recipient of one channel: what is more is grouped into the next
LARGEST_GROUP = 200
BACKOFF = (10, 30, 60, 300, 600)  # seconds after the first, second, ... attempt; the last one from then on
ATTEMPTS = 3  # after which the next channel is used, too
LONGEST_RETRY_AFTER = 3600  # seconds
FOLLOW_UPS_FOR = dt.timedelta(hours=24)  # that an alert is resolved is no news after that
KEPT = dt.timedelta(days=90)
# as text, for SQLite uses an index of few rows only for the very condition of the index
WAITS = notifications.c.state.in_([sa.literal_column(f"'{state}'") for state in ("pending", "sending")])
TOLD = notifications.c.state.in_([sa.literal_column(f"'{state}'") for state in ("sent", "acked")])
_MINUTE = dt.timedelta(minutes=1)
_MOST_CLAIMED = 2000
ACKNOWLEDGES = ("pagerduty", "webhook")  # types of channels that are told who has it
REACHED = {"resolve": ("resolved",), "acknowledge": ("acknowledged", "snoozed", "resolved")}  # states of which a follow-up tells


class LostLeaseError(Exception):
    """Another process escalates now."""


@dataclass(frozen=True)
class Batch:
    """What is sent at once: one notification, or several to the same recipient."""

    channel: AnyChannel
    message: Message
    rows: tuple[int, ...]
    attempts: int


@dataclass(frozen=True)
class Planned:
    """What is due of an alert, which began to fire with the line ``episode`` of its timeline."""

    alert_id: int
    revision: int
    episode: int
    due: Due

    @property
    def telling(self) -> str:
        """The telling of which there is one, whoever is on call when it is planned."""
        return f"{self.alert_id}/{self.episode}/{self.due.policy}.{self.due.step}/{self.due.repeat}"

    @property
    def key(self) -> str:
        """Makes the message the only one."""
        return f"{self.telling}/{self.due.channel}/{self.due.recipient}"


def plan(lease: Lease, planned: Sequence[Planned], now: dt.datetime) -> int:
    """Write down what is due, unless it is there already or its alert has changed since.

    :param lease: of the escalation
    :param planned: what is due
    :param now: the time, in UTC
    :returns: how much is new
    """
    with reading() as connection:
        known = _tellings(connection, planned)
    missing = [each for each in planned if each.telling not in known]
    if not missing:
        return 0
    with writing() as connection:
        _hold(connection, lease)
        known = _tellings(connection, missing)
        firing = {
            row.id: row.revision
            for chunk in _chunks(sorted({each.alert_id for each in missing}))
            for row in connection.execute(
                sa.select(alerts.c.id, alerts.c.revision).where(alerts.c.id.in_(chunk), alerts.c.state == "firing")
            )
        }
        new = [each for each in missing if each.telling not in known and firing.get(each.alert_id) == each.revision]
        rows = []
        for each in new:
            content = {"episode": each.episode, "policy": each.due.policy, "step": each.due.step, "repeat": each.due.repeat,
                       "fallbacks": list(each.due.fallbacks)}  # fmt: skip
            rows.append(_row(each.key, each.alert_id, each.due.channel, each.due.recipient, "trigger", now, content))
        if rows:
            connection.execute(notifications.insert(), rows)
    return len(new)


def plan_follow_ups(
    lease: Lease, config: OncallConfig, now: dt.datetime, busy: Collection[str] = (), among: Collection[int] | None = None
) -> set[int] | None:
    """Write down that those who were told of an alert are to hear that it is resolved or, where the channel knows that, acknowledged.

    :param lease: of the escalation
    :param config: what is in use
    :param now: the time, in UTC
    :param busy: channels that are sending just now; theirs waits
    :param among: the alerts of which there may be something to tell; None: any
    :returns: the alerts to come back to, since something is still being sent; None: there is more than was looked at
    """
    if among is not None and len(among) > _MOST_CLAIMED:
        among = None
    over = alerts.c.resolved_at.is_not(None)
    taken = (notifications.c.state == "sent") & alerts.c.state.in_(("acknowledged", "snoozed"))
    query = (
        sa.select(notifications, over.label("is_over"))
        .join(alerts, alerts.c.id == notifications.c.alert_id)
        .where(TOLD, notifications.c.action == "trigger", over | taken, *([] if among is None else [alerts.c.id.in_(sorted(among))]))
        .order_by(notifications.c.id)
        .limit(_MOST_CLAIMED)
    )
    with reading() as connection:
        if (among is not None and not among) or connection.execute(query.limit(1)).first() is None:
            return set()
    channels = {channel.name: channel for channel in config.channels}
    waiting: set[int] = set()
    new: list[dict[str, Any]] = []
    over_or_taken: dict[str, list[int]] = defaultdict(list)
    with writing() as connection:
        _hold(connection, lease)
        groups: dict[tuple[int, str, str], list[Any]] = defaultdict(list)
        rows = connection.execute(query).all()
        for row in rows:
            groups[row.alert_id, row.channel, row.recipient].append(row)
        is_all = len(rows) < _MOST_CLAIMED
        open_rows = _unsettled(connection, {alert_id for alert_id, _, _ in groups})
        states = _states(
            connection,
            {other for rows in groups.values() for row in rows for other in row.content.get("together", row.content.get("alerts", ()))},
        )
        known = _known(connection, [_follow_up_key(rows) for rows in groups.values()])
        for (alert_id, channel, recipient), rows in groups.items():
            if channel in busy or (alert_id, channel, recipient) in open_rows:
                waiting.add(alert_id)
                continue
            action = "resolve" if rows[0].is_over else "acknowledge"
            key = _follow_up_key(rows)
            incidents = settled_incidents(rows, REACHED[action], states)
            episode = max(row.content["episode"] for row in rows)
            declared = channels.get(channel)
            wanted = declared is not None and (action == "resolve" or declared.type in ACKNOWLEDGES)
            if declared is not None and declared.type in KEEPS_INCIDENTS and not incidents:
                wanted = False  # its incident is about other alerts, too, and ends with the last of them
            if wanted and key not in known:
                new.append(_row(key, alert_id, channel, recipient, action, now, {"episode": episode, "incidents": incidents}))
            over_or_taken["closed" if action == "resolve" else "acked"] += [row.id for row in rows]
        for state, ids in over_or_taken.items():
            for chunk in _chunks(ids):
                connection.execute(notifications.update().where(notifications.c.id.in_(chunk)).values(state=state))
        if new:
            connection.execute(notifications.insert(), new)
    return waiting if is_all else None


def claim(lease: Lease, config: OncallConfig, now: dt.datetime, busy: Collection[str] = ()) -> list[Batch]:
    """Take what is due, group it, and mark it as being sent.

    What a process that died was sending is sent again as it was. What fires no more is not sent.

    :param lease: of the escalation
    :param config: what is in use
    :param now: the time, in UTC
    :param busy: channels that are sending just now; theirs waits
    :returns: what to send, in the order in which it was planned
    """
    due = WAITS & (notifications.c.due_at <= now) & notifications.c.channel.not_in(busy)
    queues = sa.select(notifications.c.channel, notifications.c.recipient, notifications.c.action).where(due).distinct()
    with reading() as connection:
        if connection.execute(queues.limit(1)).first() is None:
            return []
    channels = {channel.name: channel for channel in config.channels}
    batches: list[Batch] = []
    with writing() as connection:
        _hold(connection, lease)
        sent = _sent_lately(connection, now)
        for channel, recipient, action in sorted(connection.execute(queues), key=lambda each: each.action != "trigger"):
            left = max(0, MOST_A_MINUTE - sent[channel, recipient])
            table = notifications.c
            mine = due & (table.channel == channel) & (table.recipient == recipient) & (table.action == action)
            if not left:
                mine &= table.attempts > 0  # what was tried before is no new message
            query = notifications.select().where(mine).order_by(notifications.c.id).limit(MOST_A_MINUTE * LARGEST_GROUP)
            rows = connection.execute(query).all()
            known = _alerts(connection, {row.alert_id for row in rows})
            rows = [row for row in rows if not _is_dropped(connection, row, known[row.alert_id], channels, now)]
            chosen = _grouped(rows, left)
            sent[channel, recipient] += len(chosen)
            for key, members in chosen.items():
                batches.append(_batch(connection, config, channels[channel], recipient, action, key, members, known, now))
    return batches


def _grouped(rows: Sequence[Any], left: int) -> dict[str, list[Any]]:
    """What is sent at once, by the key of the message: as it was before, or singly, or when that would be too many, in groups."""
    chosen: dict[str, list[Any]] = defaultdict(list)
    fresh = []
    for row in rows:
        if "batch" in row.content:
            chosen[row.content["batch"]].append(row)
        else:
            fresh.append(row)
    if len(fresh) <= left:
        return chosen | {row.key: [row] for row in fresh}
    groups = [fresh[start : start + LARGEST_GROUP] for start in range(0, len(fresh), LARGEST_GROUP)]
    return chosen | {f"group/{group[0].id}": group for group in groups[:left]}


def record_sent(lease: Lease, batch: Batch, now: dt.datetime) -> bool:
    """Mark what was delivered, and tell so in the alerts' timelines. The alert that the channel does not deliver is resolved.

    :param lease: of the escalation
    :param batch: what was sent
    :param now: the time, in UTC
    :returns: whether it was recorded: false when another process escalates now, which sends it again with the same key
    """
    with writing() as connection:
        if not holds(connection, lease):
            return False
        mine = notifications.c.id.in_(batch.rows) & (notifications.c.state == "sending")
        rows = connection.execute(notifications.select().where(mine)).all()
        connection.execute(notifications.update().where(mine).values(state="sent", sent_at=now, error=""))
        if batch.message.action == "trigger":
            grouped = f", with {len(batch.message.alerts) - 1} others" if len(batch.message.alerts) > 1 else ""
            text = f"{batch.message.recipient or 'Everybody there'} was told through {batch.channel.name}{grouped}."
            add_events(connection, dict.fromkeys(row.alert_id for row in rows), "notified", text, now=now)
            if batch.channel.type in KEEPS_INCIDENTS and rows:
                _resolve_superseded(connection, rows, now)
        key = f"notification/{batch.channel.name}"
        failing = connection.execute(alerts.select().where(alerts.c.key == key, alerts.c.resolved_at.is_(None))).first()
        if failing is not None:
            resolve_within(connection, Alert(**failing._mapping), f"{batch.channel.name} delivers again.")
    return True


def record_failed(lease: Lease, batch: Batch, error: UndeliveredError, config: OncallConfig, now: dt.datetime) -> bool:
    """Plan the next attempt of what was not delivered; when that may take long, use the next channel as well, and raise an alert.

    :param lease: of the escalation
    :param batch: what was sent in vain
    :param error: why
    :param config: what is in use
    :param now: the time, in UTC
    :returns: whether it was recorded: false when another process escalates now
    """
    wait: float = BACKOFF[min(batch.attempts, len(BACKOFF)) - 1]
    if error.permanent:
        wait = max(wait, BACKOFF[-1])
    if error.retry_after is not None:
        wait = min(max(error.retry_after, 1.0), LONGEST_RETRY_AFTER)
    gives_way = error.permanent or batch.attempts >= ATTEMPTS or wait > BACKOFF[2]
    text = redact(str(error))[:500]
    with writing() as connection:
        if not holds(connection, lease):
            return False
        mine = notifications.c.id.in_(batch.rows) & (notifications.c.state == "sending")
        rows = connection.execute(notifications.select().where(mine).order_by(notifications.c.id)).all()
        known = {channel.name for channel in config.channels}
        for row in rows:
            content = dict(row.content)
            if gives_way and row.action == "trigger" and not content.get("gave_way"):
                content["gave_way"] = True
                fallback = next((name for name in content["fallbacks"] if name in known), "")
                if fallback:
                    _fall_back(connection, row, fallback, now)
                advice = f"It is sent through {fallback}, and tried again." if fallback else "No other channel is left: it is tried again."
                add_event(connection, row.alert_id, "undelivered", f"{row.channel} did not deliver: {text} {advice}", now=now)
            values = {"state": "pending", "due_at": now + dt.timedelta(seconds=wait), "error": text, "content": content}
            connection.execute(notifications.update().where(notifications.c.id == row.id).values(**values))
        if gives_way and rows:
            message = f"The channel {batch.channel.name} does not deliver: {text}"
            raise_within(connection, Finding(f"notification/{batch.channel.name}", batch.message.severity, message, error=text))
    return True


def forget_old(now: dt.datetime) -> int:
    """Delete what was settled long ago.

    :param now: the time, in UTC
    :returns: how many notifications were deleted
    """
    settled = (notifications.c.state == "closed") | (notifications.c.action != "trigger")
    with writing() as connection:
        return connection.execute(notifications.delete().where(settled, notifications.c.sent_at < now - KEPT)).rowcount


def drop_removed(lease: Lease, config: OncallConfig) -> int:
    """Delete what waits for channels that are declared no more, so that it is planned anew.

    :param lease: of the escalation
    :param config: what is in use
    :returns: how many notifications were deleted
    """
    waits = WAITS
    removed = waits & notifications.c.channel.not_in([channel.name for channel in config.channels])
    with writing() as connection:
        _hold(connection, lease)
        return connection.execute(notifications.delete().where(removed)).rowcount


def told_of(alert: Alert, incident: str = "") -> Told:
    """Make of an alert what messages say of it: not the error's own words, which may quote anything.

    :param alert: as it was read
    :param incident: the key of its incident, where the channel keeps such
    :returns: what is told of it
    """
    return Told(
        id=alert.id,
        key=alert.key,
        kind=alert.kind,
        name=alert.model or alert.dataset,
        severity=alert.severity,
        state=alert.state,
        title=alert.meaning.title,
        message=redact(alert.message),
        meaning=alert.meaning.meaning,
        times=alert.times,
        first_at=alert.first_at,
        assignee=alert.assignee or "",
        incident=incident,
    )


def _hold(connection: sa.Connection, lease: Lease) -> None:
    if not holds(connection, lease):
        raise LostLeaseError


def _row(key: str, alert_id: int, channel: str, recipient: str, action: str, now: dt.datetime, content: dict[str, Any]) -> dict[str, Any]:
    return {"key": key, "alert_id": alert_id, "channel": channel, "recipient": recipient, "action": action, "state": "pending",
            "attempts": 0, "due_at": now, "error": "", "content": {**content, "planned_at": now.isoformat()}}  # fmt: skip


def _tellings(connection: sa.Connection, planned: Sequence[Planned]) -> set[str]:
    query = sa.select(notifications.c.key).where(notifications.c.action == "trigger")
    ids = sorted({each.alert_id for each in planned})
    keys = [key for chunk in _chunks(ids) for key in connection.execute(query.where(notifications.c.alert_id.in_(chunk))).scalars()]
    return {key.rsplit("/", 2)[0] for key in keys}


def _known(connection: sa.Connection, keys: Sequence[str]) -> set[str]:
    query = sa.select(notifications.c.key)
    return {key for chunk in _chunks(keys) for key in connection.execute(query.where(notifications.c.key.in_(chunk))).scalars()}


def _chunks(values: Sequence[Any], size: int = 500) -> Iterable[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _alerts(connection: sa.Connection, ids: set[int]) -> dict[int, Alert]:
    query = alerts.select()
    return {
        row.id: Alert(**row._mapping) for chunk in _chunks(sorted(ids)) for row in connection.execute(query.where(alerts.c.id.in_(chunk)))
    }


def _is_dropped(connection: sa.Connection, row: Any, alert: Alert, channels: dict[str, Any], now: dt.datetime) -> bool:
    """Whether it is not sent any more: the alert was taken meanwhile, the channel was removed, or it is no news."""
    if row.channel in channels and (row.action != "trigger" or alert.state == "firing") and not _is_old(row, now):
        return False
    this = notifications.c.id == row.id
    if row.state == "sending" and row.action == "trigger" and row.channel in channels:
        # what a process that died was sending may have arrived: it counts as told, so that its end is told, too
        connection.execute(notifications.update().where(this).values(state="sent", sent_at=now))
    else:
        connection.execute(notifications.delete().where(this))
    return True


def _is_old(row: Any, now: dt.datetime) -> bool:
    return row.action != "trigger" and now - dt.datetime.fromisoformat(row.content["planned_at"]) > FOLLOW_UPS_FOR


def _unsettled(connection: sa.Connection, ids: set[int]) -> set[tuple[int, str, str]]:
    query = sa.select(notifications.c.alert_id, notifications.c.channel, notifications.c.recipient).where(
        notifications.c.action == "trigger", notifications.c.state == "sending"
    )
    return {
        (row.alert_id, row.channel, row.recipient)
        for chunk in _chunks(sorted(ids))
        for row in connection.execute(query.where(notifications.c.alert_id.in_(chunk)))
    }


def _follow_up_key(rows: Sequence[Any]) -> str:
    episode = max(row.content["episode"] for row in rows)
    action = "resolve" if rows[0].is_over else "acknowledge"
    return f"{rows[0].alert_id}/{episode}/{action}/{rows[0].channel}/{rows[0].recipient}"


def _states(connection: sa.Connection, ids: set[int]) -> dict[int, str]:
    query = sa.select(alerts.c.id, alerts.c.state)
    return {row.id: row.state for chunk in _chunks(sorted(ids)) for row in connection.execute(query.where(alerts.c.id.in_(chunk)))}


def _sent_lately(connection: sa.Connection, now: dt.datetime) -> dict[tuple[str, str], int]:
    query = sa.select(notifications.c.channel, notifications.c.recipient, notifications.c.content).where(
        notifications.c.sent_at > now - _MINUTE
    )
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in connection.execute(query):
        found[row.channel, row.recipient].add(row.content.get("batch", ""))
    return defaultdict(int, {key: len(batches) for key, batches in found.items()})


def _batch(
    connection: sa.Connection,
    config: OncallConfig,
    channel: AnyChannel,
    recipient: str,
    action: Any,
    key: str,
    rows: Sequence[Any],
    known: dict[int, Alert],
    now: dt.datetime,
) -> Batch:
    members = sorted({row.alert_id for row in rows})
    is_incident = action == "trigger" and channel.type in KEEPS_INCIDENTS
    incidents = assign_incidents(connection, channel.name, rows, key) if is_incident else {}
    attempts = max(row.attempts for row in rows) + 1
    changed = [  # what was grouped once stays so, though some of it fires no more
        {
            "row_id": row.id,
            "new_content": {**row.content, "batch": key, "alerts": row.content.get("alerts") or members, **incidents.get(row.alert_id, {})},
        }
        for row in rows
    ]
    update = notifications.update().where(notifications.c.id == sa.bindparam("row_id"))
    connection.execute(update.values(state="sending", attempts=attempts, content=sa.bindparam("new_content")), changed)
    told = sorted((known[alert_id] for alert_id in members), key=lambda alert: (alert.severity, -alert.id))
    message = Message(
        key=key,
        action=action,
        recipient=recipient,
        address=_address(config, channel, recipient),
        alerts=tuple(told_of(alert, incidents.get(alert.id, {}).get("incident", "")) for alert in told),
        on_call=tuple(dict.fromkeys(turn.person for turn in on_call(config, now).values())),
        incidents=tuple(dict.fromkeys(incident for row in rows for incident in row.content.get("incidents", ()))),
    )
    return Batch(channel, message, tuple(row.id for row in rows), attempts)


def _address(config: OncallConfig, channel: AnyChannel, recipient: str) -> str:
    person = next((each for each in config.people if each.name == recipient), None)
    if person is None:
        return ""
    if isinstance(channel, Email):
        return person.email or ""
    return (person.slack or "") if isinstance(channel, Slack) else ""


def _resolve_superseded(connection: sa.Connection, rows: Sequence[Any], now: dt.datetime) -> None:
    """Tell that the earlier incidents of alerts are over, since later ones were triggered."""
    new = []
    for incident, row in supersede_incidents(connection, rows).items():
        key = f"{row.alert_id}/{row.content['episode']}/superseded/{row.channel}"
        content = {"episode": row.content["episode"], "incidents": [incident]}
        new.append(_row(key, row.alert_id, row.channel, row.recipient, "resolve", now, content))
    known = _known(connection, [each["key"] for each in new])
    if new := [each for each in new if each["key"] not in known]:
        connection.execute(notifications.insert(), new)


def _fall_back(connection: sa.Connection, row: Any, channel: str, now: dt.datetime) -> None:
    content = row.content
    key = f"{row.alert_id}/{content['episode']}/{content['policy']}.{content['step']}/{content['repeat']}/{channel}/{row.recipient}"
    if _known(connection, [key]):
        return
    rest = content["fallbacks"][content["fallbacks"].index(channel) + 1 :]
    kept = {name: content[name] for name in ("episode", "policy", "step", "repeat")}
    connection.execute(
        notifications.insert(), [_row(key, row.alert_id, channel, row.recipient, "trigger", now, {**kept, "fallbacks": rest})]
    )
