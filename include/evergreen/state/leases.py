"""A lease: of several processes that could do a work, one does it, until it lets go or stops renewing."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import leases


@dataclass(frozen=True)
class Lease:
    """Who holds it since when, when they renewed it last, and when it ends unless they do again. ``term`` grows with each new holder."""

    name: str
    holder: str
    term: int
    acquired_at: dt.datetime
    renewed_at: dt.datetime
    expires_at: dt.datetime

    @property
    def is_held(self) -> bool:
        """Whether it has not expired."""
        return self.expires_at > clock.now()


def acquire(name: str, holder: str, seconds: float) -> Lease | None:
    """Take a lease, or renew it.

    :param name: of the work
    :param holder: names the process, unlike any other; at most 200 characters
    :param seconds: how long it is held from now on
    :returns: the lease; None while somebody else holds it
    """
    now = clock.now()
    query = leases.select().where(leases.c.name == name)
    with writing() as connection:
        row = connection.execute(query).first()
        if row is not None and row.holder != holder and row.expires_at > now:
            return None
        values = {"renewed_at": now, "expires_at": now + dt.timedelta(seconds=seconds)}
        if row is None:
            connection.execute(leases.insert().values(name=name, holder=holder, term=1, acquired_at=now, **values))
        else:
            taken = {} if row.holder == holder else {"holder": holder, "term": row.term + 1, "acquired_at": now}
            connection.execute(leases.update().where(leases.c.name == name).values(**values, **taken))
        return Lease(**connection.execute(query).one()._mapping)


def release(name: str, holder: str) -> None:
    """Let a lease go before its time; what somebody else holds stays theirs.

    :param name: of the work
    :param holder: who held it
    """
    with writing() as connection:
        connection.execute(leases.update().where(leases.c.name == name, leases.c.holder == holder).values(expires_at=clock.now()))


def holds(connection: sa.Connection, lease: Lease) -> bool:
    """Tell whether a lease is still its holder's, before what is done under it is recorded.

    :param connection: inside a writing transaction; nothing is committed here
    :param lease: as it was acquired
    :returns: whether nobody else acquired it since
    """
    row = connection.execute(leases.select().where(leases.c.name == lease.name)).first()
    return row is not None and (row.holder, row.term) == (lease.holder, lease.term)


def read_lease(name: str) -> Lease | None:
    """Read who holds a lease, or held it last.

    :param name: of the work
    :returns: the lease; None when nobody ever held it
    """
    with reading() as connection:
        row = connection.execute(leases.select().where(leases.c.name == name)).first()
    return Lease(**row._mapping) if row else None
