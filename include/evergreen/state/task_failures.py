"""Failed attempts of tasks, as the tasks write them down: the error's own words, which Airflow keeps in a log file alone."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.redaction import redact
from include.evergreen.state.alerts.raising import LONGEST_ERROR
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import task_failures

_VARYING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # a UUID
    r"|\b[0-9a-f]{12,}\b|0x[0-9a-f]+"  # a digest, an address in memory
    r"|\d[\d.:,TZ+-]*",  # a number, a date, a time
    re.IGNORECASE,
)


def record_failure(
    *, dag_id: str, task_id: str, run_id: str, map_index: int, try_number: int, partition: str, error_class: str, error: str
) -> None:
    """Write down that an attempt failed and why; repeated, the first word stands.

    :param dag_id: of the task
    :param task_id: of the task
    :param run_id: of the run
    :param map_index: -1 for a task that is not mapped
    :param try_number: the attempt, from 1 on
    :param partition: the run's partition key; empty when it has none
    :param error_class: name of the exception's class
    :param error: its message, redacted and cut to `LONGEST_ERROR` characters; personal values must not be in it
    """
    key = {"dag_id": dag_id, "task_id": task_id, "run_id": run_id, "map_index": map_index, "try_number": try_number}
    values = {
        "partition": partition[:40],
        "error_class": error_class[:120],
        "error": redact(error)[:LONGEST_ERROR],
        "recorded_at": clock.now(),
    }
    with writing() as connection:
        if connection.execute(sa.select(task_failures.c.id).filter_by(**key)).first() is None:
            connection.execute(task_failures.insert().values(**key, **values))


def unsettled_failures(alert_id: int, limit: int = 500) -> list[sa.Row[Any]]:
    """List the failed attempts that an alert counts and that are not made good.

    :param alert_id: the alert's number
    :param limit: how many at most
    :returns: rows of `task_failures`, the newest first
    """
    query = task_failures.select().where(task_failures.c.alert_id == alert_id, task_failures.c.cleared_at.is_(None))
    with reading() as connection:
        return list(connection.execute(query.order_by(task_failures.c.id.desc()).limit(limit)))


def fingerprint(error_class: str, error: str, where: str) -> str:
    """Name the cause of a failure, so that what has one cause has one name.

    Numbers, dates, digests and addresses are left out, since they vary from one attempt to the next.

    :param error_class: name of the exception's class
    :param error: its message; its first line counts
    :param where: what else tells causes apart, such as a dataset; empty for what is the same everywhere, such as a server that is down
    :returns: 16 hexadecimal digits
    """
    line = next(iter(error.strip().splitlines()), "")
    text = "\n".join([error_class, _VARYING.sub("#", line)[:300], where])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
