"""The one switch that holds all automatic promotion and retraining, with a reason, and an end by the wall clock.

The newest pause counts: a new one replaces what stands. People go on promoting and rolling back by hand.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.reasons import checked_reason
from include.evergreen.state import ledger
from include.evergreen.state.database import reading, writing
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
    def words(self) -> str:
        return f"{self.actor} paused automatic promotion and retraining until {self.until:%Y-%m-%d %H:%M} UTC: {self.reason}"


def pause(*, hours: float, actor: str, reason: str, since: dt.datetime | None = None) -> Pause:
    """Pause from now on, until ``hours`` after ``since`` (by default now). The same pause again finds the one that stands.

    Raises `ConfigError` for a reason or a length that the ledger cannot stand behind.
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
        standing = standing_within(connection)
        if standing and (standing.actor, standing.reason, standing.until) == (actor, reason, until):
            return standing
        connection.execute(pauses.insert().values(actor=actor, reason=reason, recorded_at=clock.now(), until=until))
        ledger.append(connection, kind="pause", model="", body={"actor": actor, "reason": reason, "until": until.isoformat()})
        made = standing_within(connection)
    assert made is not None
    log.warning("%s", made.words)
    return made


def lift(*, actor: str, reason: str) -> Pause | None:
    """End the pause that stands before its time; None when none stands."""
    reason = checked_reason("resume", reason)
    with writing() as connection:
        standing = standing_within(connection)
        if standing is None:
            return None
        connection.execute(pauses.update().where(pauses.c.id == standing.id).values(lifted_at=clock.now(), lifted_by=actor))
        ledger.append(connection, kind="resume", model="", body={"actor": actor, "reason": reason, "paused_by": standing.actor})
    log.warning("%s resumed automatic promotion and retraining: %s", actor, reason)
    return standing


def standing_pause() -> Pause | None:
    """The pause that stands now."""
    with reading() as connection:
        return standing_within(connection)


def standing_within(connection: sa.Connection) -> Pause | None:
    """As `standing_pause`, within the caller's transaction."""
    row = connection.execute(pauses.select().order_by(pauses.c.id.desc()).limit(1)).first()
    if row is None or row.lifted_at is not None or row.until <= clock.now():
        return None
    return Pause(**row._mapping)
