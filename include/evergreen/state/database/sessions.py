"""Who is connected to our database: what our own sessions say of themselves, and who holds what others wait for."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

WRITE_LOCK = 20_130_209  # any number, the same in every process of ours
NAME_BYTES = 63  # of an application_name; PostgreSQL cuts off what is longer
MOST_SHOWN = 3
_PROGRAM, _VERB = re.compile(r"\w[\w.-]*"), re.compile(r"[a-z][a-z-]*")
_SQLITE_WRITER = ("120", "120")  # first and last byte of what a writer locks of the -shm file (sqlite.org/walformat.html, 2.3.1)
# Sessions that have the write lock; if none has it, those whose transactions have been open longest, for a table may be locked too.
_POSTGRESQL_HOLDERS = sa.text(
    """
    SELECT a.pid, a.application_name, a.usename, a.client_addr, a.state, a.xact_start, h.pid IS NOT NULL AS holds
    FROM pg_stat_activity a
    LEFT JOIN pg_locks h ON h.pid = a.pid AND h.locktype = 'advisory' AND h.granted AND h.objid = :lock AND h.objsubid = 1
         AND h.database = a.datid
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND (h.pid IS NOT NULL OR a.xact_start IS NOT NULL)
    ORDER BY holds DESC, a.xact_start LIMIT :most
    """
)


def session_name() -> str:
    """Say what this process is, for whoever looks at the database's sessions.

    :returns: Airflow's DAG and task if it runs one, else its program and verb; then the machine and the process id
    """
    task = "/".join(filter(None, (os.environ.get("AIRFLOW_CTX_DAG_ID"), os.environ.get("AIRFLOW_CTX_TASK_ID"))))
    where = f" {socket.gethostname()[:20]}:{os.getpid()}"
    what = f"evergreen {task}" if task else _command(sys.argv)
    return what.encode("ascii", "replace").decode()[: NAME_BYTES - len(where)] + where


def describe_holders(engine: sa.Engine) -> str:
    """Say who holds what this process waited for.

    :param engine: of the database
    :returns: sentences for people; they say so when nobody can be named
    """
    with contextlib.suppress(sa.exc.SQLAlchemyError, OSError, ValueError):  # an answer that is not to be had hides no error
        if holders := _on_postgresql(engine) if engine.dialect.name == "postgresql" else _on_sqlite(str(engine.url.database)):
            return holders
    return "Who holds it cannot be seen, or it was just let go."


def _on_postgresql(engine: sa.Engine) -> str:
    with engine.connect() as connection:
        rows = connection.execute(_POSTGRESQL_HOLDERS, {"lock": WRITE_LOCK, "most": MOST_SHOWN}).all()
    holders = [row for row in rows if row.holds] or rows
    if not holders:
        return ""
    has = "It is held by" if holders[0].holds else "Transactions are open of"
    return (
        f"{has} {'; '.join(map(_describe, holders))}. If that is stuck, end it: "
        f"{' '.join(f'SELECT pg_terminate_backend({row.pid});' for row in holders)}"
    )


def _describe(row: sa.Row[Any]) -> str:
    since = f", since {row.xact_start.astimezone():%F %T %Z}" if row.xact_start else ""
    state = f", {row.state}" if row.state else ""
    where = f" from {row.client_addr}" if row.client_addr else ""
    return f"session {row.pid} ({row.application_name or 'without a name'}) of {row.usename}{where}{since}{state}"


def _on_sqlite(path: str) -> str:
    """The kernel knows which process has locked the writer's byte."""
    file = os.stat(f"{path}-shm")
    for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines():
        _, kind, _, mode, pid, inode, start, end = [part for part in line.split() if part != "->"][:8]
        if (kind, mode, start, end) == ("POSIX", "WRITE", *_SQLITE_WRITER) and inode.endswith(f":{file.st_ino}"):
            interpreter, *arguments = Path("/proc", pid, "cmdline").read_text(errors="replace", encoding="utf-8").split("\0")
            is_python = Path(interpreter).name.startswith("python")
            arguments = [argument for argument in arguments if argument != "-m"] if is_python else [interpreter, *arguments]
            return f"It is held by process {pid} ({_command(arguments)}). If that is stuck, end it: kill {pid}"
    return ""


def _command(arguments: Sequence[str]) -> str:
    """The program and its verb, and no more: further arguments may name a person."""
    program = Path(arguments[0] if arguments else "")
    name = (
        program.parent.name
        if program.name == "__main__.py"
        else program.name.rpartition(".")[2]
        if "/" not in str(program)
        else program.name
    )
    verb = arguments[1] if len(arguments) > 1 and _VERB.fullmatch(arguments[1]) else ""
    return " ".join(filter(None, (name if _PROGRAM.fullmatch(name) else "python", verb)))
