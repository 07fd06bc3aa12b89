"""Pauses: stop all automatic promotion and retraining, for every model, with a reason and an end in wall-clock time.

Only the newest pause counts: a new one replaces the active one. People can still promote and roll back by hand.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.reasons import checked_reason
from include.evergreen.state import ledger
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import pauses

log = logging.getLogger(__name__)
LONGEST_HOURS = 24 * 90


@dataclass(frozen=True)
class Pause:
    """Who paused, why, from when and until when; who lifted it before that, and when."""

    id: int
    actor: str
    reason: str
    recorded_at: dt.datetime
    until: dt.datetime
    lifted_at: dt.datetime | None
    lifted_by: str | None

    @property
    def message(self) -> str:
        """Who paused what until when, and why, as one sentence for people."""
        return f"{self.actor} paused automatic promotion and retraining until {self.until:%Y-%m-%d %H:%M} UTC: {self.reason}"


def pause(*, hours: float, actor: str, reason: str, since: dt.datetime | None = None) -> Pause:
    """Pause automatic promotion and retraining of every model, from now on; replaces an active pause.

    :param hours: how long the pause lasts, counted from ``since``; more than 0, and at most `LONGEST_HOURS`
    :param actor: who pauses, for the ledger
    :param reason: why, for the ledger
    :param since: a time (UTC); by default now
    :returns: the pause; the active one, when it has the same actor, reason and end
    :raises ConfigError: when the reason or the duration is not allowed, or the pause would be over already
    """
    reason = checked_reason("pause", reason)
    if not 0 < hours <= LONGEST_HOURS:
        raise ConfigError(
            f"pause: {hours:g} hours; give more than 0 and at most {LONGEST_HOURS}. A pause that nobody lifts must end by itself."
        )
    until = (since or clock.now()) + dt.timedelta(hours=hours)
    if until <= clock.now():
        raise ConfigError(f"pause: it would have ended at {until:%Y-%m-%d %H:%M} UTC, which is over. Pause again.")
    with writing() as connection:
        active = active_pause_within(connection)
        if active and (active.actor, active.reason, active.until) == (actor, reason, until):
            return active
        row = pauses.insert().values(actor=actor, reason=reason, recorded_at=clock.now(), until=until).returning(pauses.c.id)
        ledger.bind(connection, pauses, {"id": connection.execute(row).scalar_one()}, kind="pause")
        active = active_pause_within(connection)
    assert active is not None
    log.warning("%s", active.message)
    return active


def lift(*, actor: str, reason: str) -> Pause | None:
    """Lift the active pause before its time. Raises `ConfigError` for an invalid reason.

    :param actor: who lifts it, for the ledger
    :param reason: why, for the ledger; see `checked_reason`
    :returns: the pause that was lifted, as it was before; None when none was active, and then nothing is recorded
    """
    reason = checked_reason("resume", reason)
    with writing() as connection:
        active = active_pause_within(connection)
        if active is None:
            return None
        connection.execute(pauses.update().where(pauses.c.id == active.id).values(lifted_at=clock.now(), lifted_by=actor))
        ledger.bind(connection, pauses, {"id": active.id}, kind="resume", evidence={"lifted_because": reason})
    log.warning("%s resumed automatic promotion and retraining: %s", actor, reason)
    return active


def active_pause() -> Pause | None:
    """Read the pause that is active now.

    :returns: the pause; None when there is none
    """
    with reading() as connection:
        return active_pause_within(connection)


def refuse_changed_pauses(connection: sa.Connection) -> None:
    """Refuse to do by itself what a pause would stop, when the ledger says otherwise of the newest pause than the database.

    :param connection: any that reads
    :raises DataError: when it was changed, removed or put in
    """
    row = connection.execute(pauses.select().order_by(pauses.c.id.desc()).limit(1)).first()
    entry = ledger.newest_bound_entry(connection, pauses, "")
    problem = ledger.why_unbound(connection, pauses, id=row.id) if row else ""
    if not problem and (entry.sequence if entry else None) != (row.entry if row else None):
        problem = f"the newest pause is entry {entry.sequence} in the ledger, and another one in the database" if entry else ""
    if problem:
        raise DataError(
            f"{problem}, so nothing is promoted or retrained by itself. Find out who changed the database; pause, or pause and resume, to "
            f"say anew what is to be."
        )


def active_pause_within(connection: sa.Connection) -> Pause | None:
    """Read the pause that is active now, within the caller's transaction.

    :param connection: any that reads
    :returns: the pause; None when there is none
    """
    row = connection.execute(pauses.select().order_by(pauses.c.id.desc()).limit(1)).first()
    if row is None or row.lifted_at is not None or row.until <= clock.now():
        return None
    return as_record(Pause, row)
