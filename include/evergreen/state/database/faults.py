"""What databases complain of, by who must act: ours, and those that datasets are read from."""

from __future__ import annotations

import re

import sqlalchemy as sa

LOCKED_STATE, IDLE_STATE, FORBIDDEN_STATE = "55P03", "25P03", "42501"
# Drivers give no SQLSTATE for an attempt to connect. None of these mends itself.
LOGIN_FAULT = (
    r"(database|role|user) \S+ does not exist|authentication failed|access denied|no pg_hba\.conf entry|unknown database"
    r"|not permitted to log in|no password supplied"
)
_LOGIN_FAULT = re.compile(LOGIN_FAULT, re.IGNORECASE)
_FORBIDDEN = re.compile(r"permission denied|readonly database", re.IGNORECASE)


def sqlstate(error: sa.exc.DBAPIError) -> str:
    """Read the five characters by which SQL names an error.

    :param error: as SQLAlchemy wraps the driver's
    :returns: the SQLSTATE; empty where the driver has none, as SQLite's and at connecting
    """
    return str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or "")


def is_locked(error: sa.exc.DBAPIError) -> bool:
    """Tell whether a lock was waited for longer than allowed.

    :param error: as SQLAlchemy wraps the driver's
    :returns: whether it is that
    """
    return sqlstate(error) == LOCKED_STATE or "database is locked" in str(error.orig)


def schema_fault(error: sa.exc.DBAPIError) -> str | None:
    """Tell what the schema lacks for a query.

    :param error: as SQLAlchemy wraps the driver's
    :returns: the end of a sentence that begins with the database: it lacks all tables, or one of this release's columns; else None
    """
    if sqlstate(error) == "42P01" or "no such table" in str(error.orig):
        return "has no tables yet"
    is_column = sqlstate(error) == "42703" or "no such column" in str(error.orig)
    return "has tables of another release" if is_column else None


def is_permanent(error: sa.exc.DBAPIError) -> bool:
    """Tell whether trying again is no use: there is no such database, or this user may not do that in it.

    :param error: as SQLAlchemy wraps the driver's
    :returns: whether somebody has to change something first
    """
    said = str(error.orig)
    state = sqlstate(error)
    return bool((not state and _LOGIN_FAULT.search(said)) or _FORBIDDEN.search(said) or state[:2] in {"28", "3D"})


def is_gone(error: sa.exc.DBAPIError) -> bool:
    """Tell whether the database, or the connection to it, was lost or refused, and may be there again in a moment.

    :param error: as SQLAlchemy wraps the driver's; one for which `is_permanent` holds may be among them, so ask that first
    :returns: whether it is worth a retry
    """
    return (
        isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) or error.connection_invalidated or sqlstate(error) == IDLE_STATE
    )
