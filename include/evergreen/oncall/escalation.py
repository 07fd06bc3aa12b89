"""Escalation: alerts that nobody takes are told to more and more people. One process does it at a time, under a lease."""

from __future__ import annotations

import datetime as dt
import functools
import logging
import os
import secrets
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.settings import Settings
from include.evergreen.oncall import outbox
from include.evergreen.oncall.declaration import in_use
from include.evergreen.oncall.drills import end_drills
from include.evergreen.oncall.messages import UndeliveredError
from include.evergreen.oncall.outbox import Batch, LostLeaseError, Planned
from include.evergreen.oncall.steps import due_steps
from include.evergreen.oncall.subjects import subjects_of
from include.evergreen.state import leases
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import alert_events, alerts

if TYPE_CHECKING:
    from include.evergreen.config.oncall import OncallConfig
    from include.evergreen.oncall.messages import Send
    from include.evergreen.state.leases import Lease

log = logging.getLogger(__name__)
LEASE, LEASE_SECONDS = "escalation", 60
WAIT_SECONDS = 15  # for the channels of one round; those that take longer go on by themselves
BEGINS = ("raised", "reopened", "woke", "reminded", "unacknowledged", "worsened")  # lines of a timeline with which an alert fires anew
_CHUNK = 500
_FORGET_EVERY = dt.timedelta(hours=1)
_FULL_LOOK_EVERY = dt.timedelta(minutes=5)  # at all that fires; in between, at what has a new line in its timeline or is due
_OVERLAP = dt.timedelta(minutes=1)  # between two looks at timelines: clocks of other hosts, and lines that are committed late
_NO_CHANGES = ("notified", "undelivered", "commented")


@dataclass
class _Looked:
    """What was found when an alert was looked at last, and when there is more to find."""

    revision: int
    severity: str
    again_at: dt.datetime | None


class _Escalator:
    """What a process remembers between two rounds. All of it may be lost."""

    def __init__(self) -> None:
        self.busy: dict[str, threading.Thread] = {}
        self.looked: dict[int, _Looked] = {}
        self.looked_at: dt.datetime | None = None  # at timelines; none: at all that fires
        self.full_at: dt.datetime | None = None
        self.told: deque[int] = deque()  # alerts that were told of since
        self.to_follow_up: set[int] | None = None  # none: any
        self.config: OncallConfig | None = None
        self.forgot_at: dt.datetime | None = None
        self.lock = threading.Lock()

    def escalate(self, send: Send, now: dt.datetime) -> int:
        try:
            return self._do_round(send, now)
        except BaseException:  # what was to be looked at may not have been
            self.forget()
            raise

    def _do_round(self, send: Send, now: dt.datetime) -> int:
        lease = leases.acquire(LEASE, _holder(os.getpid()), LEASE_SECONDS)
        if lease is None:
            self.forget()
            return 0
        config = in_use()
        if config != self.config:
            outbox.drop_removed(lease, config)
            self.forget()
            self.config = config
        self.busy = {channel: thread for channel, thread in self.busy.items() if thread.is_alive()}
        end_drills(now)
        started, changed = clock.now(), self._changed(now)
        planned, looked = self._due(config, now, changed)
        outbox.plan(lease, planned, now)
        self.looked = looked  # only now is what was found written down
        candidates = None if changed is None or self.to_follow_up is None else changed | self.to_follow_up
        left = outbox.plan_follow_ups(lease, config, now, self.busy, candidates)
        self.to_follow_up = None if changed is None else left  # what a process that died was sending is settled in the first round
        self.looked_at = started
        delivered = self._send(lease, config, outbox.claim(lease, config, now, self.busy), send, now)
        if self.forgot_at is None or now - self.forgot_at > _FORGET_EVERY:
            outbox.forget_old(now)
            self.forgot_at = now
        return delivered

    def forget(self) -> None:
        """Look at everything in the next round."""
        self.looked, self.looked_at, self.to_follow_up = {}, None, None

    def _changed(self, now: dt.datetime) -> set[int] | None:
        """The alerts that changed or were told of since the last look; None: look at all."""
        told = {self.told.popleft() for _ in range(len(self.told))}
        if self.looked_at is None or self.full_at is None or not self.full_at <= now < self.full_at + _FULL_LOOK_EVERY:
            self.full_at = now
            return None
        line = alert_events.c
        changes = (line.recorded_at >= self.looked_at - _OVERLAP, line.kind.not_in(_NO_CHANGES))
        with reading() as connection:
            return told.union(connection.execute(sa.select(line.alert_id).where(*changes)).scalars())

    def _due(self, config: OncallConfig, now: dt.datetime, changed: set[int] | None) -> tuple[list[Planned], dict[int, _Looked]]:
        firing = sa.select(alerts.c.id, alerts.c.revision, alerts.c.severity).where(
            alerts.c.resolved_at.is_(None), alerts.c.state == "firing"
        )
        with reading() as connection:
            if changed is None:
                rows = list(connection.execute(firing))
                looked = {row.id: self.looked[row.id] for row in rows if row.id in self.looked}
            else:
                asked = sorted(changed.union(number for number, at in self.looked.items() if at.again_at and at.again_at <= now))
                chunks = (asked[start : start + _CHUNK] for start in range(0, len(asked), _CHUNK))
                rows = [row for chunk in chunks for row in connection.execute(firing.where(alerts.c.id.in_(chunk)))]
                over = set(asked) - {row.id for row in rows}
                looked = {number: found for number, found in self.looked.items() if number not in over}
            ids = sorted(row.id for row in rows if self._is_to_be_looked_at(row, now))
            planned: list[Planned] = []
            for start in range(0, len(ids), _CHUNK):
                planned += _due_of(connection, config, ids[start : start + _CHUNK], now, looked)
        return planned, looked

    def _is_to_be_looked_at(self, row: Any, now: dt.datetime) -> bool:
        known = self.looked.get(row.id)
        if known is None or (known.revision, known.severity) != (row.revision, row.severity):
            return True
        return known.again_at is not None and known.again_at <= now

    def _send(self, lease: Lease, config: OncallConfig, batches: list[Batch], send: Send, now: dt.datetime) -> int:
        """Each channel sends in a thread of its own, one message after the other, so that one that hangs holds up no other."""
        queues: dict[str, list[Batch]] = defaultdict(list)
        for batch in batches:
            queues[batch.channel.name].append(batch)
        delivered: list[int] = []
        threads = []
        for channel, queue in queues.items():
            thread = threading.Thread(
                target=_deliver, args=(lease, config, queue, send, now, delivered, self.told), name=f"evergreen-{channel}", daemon=True
            )
            self.busy[channel] = thread
            threads.append(thread)
            thread.start()
        deadline = clock.now() + dt.timedelta(seconds=WAIT_SECONDS)
        for thread in threads:
            thread.join(max(0.0, (deadline - clock.now()).total_seconds()))
        return len(delivered)


def _due_of(
    connection: sa.Connection, config: OncallConfig, ids: Sequence[int], now: dt.datetime, looked: dict[int, _Looked]
) -> list[Planned]:
    subjects = subjects_of(connection, ids)
    newest = (
        sa.select(sa.func.max(alert_events.c.id))
        .where(alert_events.c.alert_id.in_(ids), alert_events.c.kind.in_(BEGINS))
        .group_by(alert_events.c.alert_id)
    )
    began = {
        row.alert_id: row
        for row in connection.execute(
            sa.select(alert_events.c.alert_id, alert_events.c.id, alert_events.c.recorded_at).where(alert_events.c.id.in_(newest))
        )
    }
    planned = []
    for row in connection.execute(alerts.select().where(alerts.c.id.in_(ids))):
        start = began.get(row.id)  # none: of before there were timelines
        episode, since = (start.id, start.recorded_at) if start else (0, row.first_at)
        due, again_at = due_steps(config, subjects[row.id], since, now)
        planned += [Planned(row.id, row.revision, episode, each) for each in due]
        looked[row.id] = _Looked(row.revision, row.severity, again_at)
    return planned


def _deliver(
    lease: Lease, config: OncallConfig, queue: list[Batch], send: Send, now: dt.datetime, delivered: list[int], told: deque[int]
) -> None:
    for batch in queue:
        try:
            try:
                send(batch.channel, batch.message)
            except UndeliveredError as error:
                outbox.record_failed(lease, batch, error, config, now)
            except Exception as error:  # a fault of ours in a channel; the others go on, and this one is tried again
                log.exception("the channel %s failed", batch.channel.name)
                outbox.record_failed(lease, batch, UndeliveredError(f"{type(error).__name__}: {error}"), config, now)
            else:
                if outbox.record_sent(lease, batch, now):
                    delivered.append(1)
                told.extend(alert.id for alert in batch.message.alerts)
        except Exception:  # our database: what was sent and not marked is sent again, with the same key
            log.exception("what became of a message through %s could not be recorded", batch.channel.name)


@functools.cache
def _escalator(database: str, process: int) -> _Escalator:
    return _Escalator()


@functools.cache
def _holder(process: int) -> str:
    return f"{socket.gethostname()[:100]}:{process}:{secrets.token_hex(4)}"


def escalate(send: Send, now: dt.datetime | None = None) -> int:
    """Do one round: plan what is due, send it, and record what became of it. To be called every few seconds by each process that could.

    Of several processes one does it, and of several threads of a process. It may die at any line: the next round goes on from there.

    :param send: delivers one message through one channel within seconds, or raises `UndeliveredError`; called in threads
    :param now: the time, in UTC; None: by the clock
    :returns: how many messages were delivered in this round
    """
    escalator = _escalator(Settings.from_environment().database_url, os.getpid())
    if not escalator.lock.acquire(blocking=False):
        return 0
    try:
        return escalator.escalate(send, now or clock.now())
    except LostLeaseError:
        return 0
    finally:
        escalator.lock.release()
