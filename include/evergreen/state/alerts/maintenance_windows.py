"""Maintenance windows: a planned outage of a dataset or model, during which its alerts are snoozed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.reasons import checked_reason
from include.evergreen.state import ledger
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import maintenance_windows

LONGEST_HOURS = 24 * 14


@dataclass(frozen=True)
class MaintenanceWindow:
    """``name`` is a dataset's or model's; ``lifted_at`` says that somebody ended it before its time."""

    id: int
    name: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    actor: str
    reason: str
    recorded_at: dt.datetime
    lifted_at: dt.datetime | None
    lifted_by: str | None


def plan_maintenance(name: str, *, hours: float, actor: str, reason: str, starts_at: dt.datetime | None = None) -> MaintenanceWindow:
    """Plan an outage: what fires for the dataset or model while it lasts is snoozed until it ends. Repeated, it is one.

    :param name: of the dataset or model; the caller checks that it is declared
    :param hours: how long it lasts, more than 0 and at most `LONGEST_HOURS`
    :param actor: who plans it, for the ledger
    :param reason: why, for the ledger
    :param starts_at: a time (UTC); by default now
    :returns: the window
    :raises ConfigError: when the reason or the length is not allowed
    """
    reason = checked_reason(f"maintenance of {name}", reason)
    if not 0 < hours <= LONGEST_HOURS:
        raise ConfigError(
            f"maintenance of {name}: {hours:g} hours; give more than 0 and at most {LONGEST_HOURS}. A longer one is planned again."
        )
    now = clock.now()
    starts_at = starts_at or now
    window = {"name": name, "starts_at": starts_at, "ends_at": starts_at + dt.timedelta(hours=hours), "actor": actor, "reason": reason}
    with writing() as connection:
        same = maintenance_windows.select().filter_by(**window, lifted_at=None)
        row = connection.execute(same).first()
        if row is None:
            connection.execute(maintenance_windows.insert().values(**window, recorded_at=now))
            ledger.append(
                connection, kind="maintenance", model=name, body={**window, "starts_at": str(starts_at), "ends_at": str(window["ends_at"])}
            )
            row = connection.execute(same).one()
    return MaintenanceWindow(**row._mapping)


def end_maintenance(window_id: int, *, actor: str) -> None:
    """End a window before its time. One that is over, or was ended, stays as it is.

    :param window_id: its number
    :param actor: who ends it, for the ledger
    :raises ConfigError: when there is no such window
    """
    with writing() as connection:
        row = connection.execute(maintenance_windows.select().filter_by(id=window_id)).first()
        if row is None:
            raise ConfigError(f"There is no maintenance window {window_id}. `evergreen on-call maintenance` lists them.")
        if row.lifted_at is None and row.ends_at > clock.now():
            connection.execute(maintenance_windows.update().filter_by(id=window_id).values(lifted_at=clock.now(), lifted_by=actor))
            ledger.append(connection, kind="maintenance", model=row.name, body={"ended": window_id, "actor": actor})


def planned_maintenance() -> list[MaintenanceWindow]:
    """List the windows that are not over.

    :returns: the one that begins first first
    """
    table = maintenance_windows.c
    query = maintenance_windows.select().where(table.ends_at > clock.now(), table.lifted_at.is_(None)).order_by(table.starts_at, table.id)
    with reading() as connection:
        return [MaintenanceWindow(**row._mapping) for row in connection.execute(query)]


def window_over(connection: sa.Connection, names: Collection[str], now: dt.datetime) -> MaintenanceWindow | None:
    """Find the window that is over something now.

    :param connection: any that reads
    :param names: datasets and models; a window over one of them counts when it is over all of them
    :param now: the time, in UTC
    :returns: the one that ends first; None when one of the names is under no maintenance
    """
    if not names:
        return None
    table = maintenance_windows.c
    active = (table.name.in_(names), table.starts_at <= now, table.ends_at > now, table.lifted_at.is_(None))
    rows = connection.execute(maintenance_windows.select().where(*active).order_by(table.ends_at)).all()
    return MaintenanceWindow(**rows[0]._mapping) if {row.name for row in rows} == set(names) else None
