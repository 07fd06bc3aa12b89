"""The record of an erasure: begun before anything goes, counted across restarts, and in the ledger once all is gone.

Its ``key`` is the dataset, the columns that name the person, and the keyed hash of their values.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import sqlalchemy as sa

from include.evergreen.data.erased.secret import fingerprint
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.state import ledger
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import erasures
from include.evergreen.state.database.upsert import insert_once

log = logging.getLogger(__name__)
LEDGER_KIND = "erasure"


def begin(key: dict[str, str], *, actor: str, reason: str) -> None:
    """Record the person: from now on nothing that was read before can become current.

    Raises `TransientError` while another erasure is unfinished.
    """
    moment = clock.now()
    detail = {"secret": fingerprint(), "actor": actor, "reason": reason, "counts": {}}
    is_this = [erasures.c[name] == value for name, value in key.items()]
    with writing() as connection:
        other = connection.execute(erasures.select().where(erasures.c.status == "running", sa.not_(sa.and_(*is_this)))).first()
        if other is not None:
            raise TransientError(
                f"An erasure from {other.dataset} by {other.columns}, begun {other.recorded_at:%Y-%m-%d %H:%M} UTC by "
                f"{other.detail['actor']}, is not finished. Wait for it, or give its command again if it was killed."
            )
        if not insert_once(connection, erasures, key, {"status": "running", "detail": detail, "recorded_at": moment}):
            standing = connection.execute(erasures.select().where(*is_this)).one()
            if standing.detail["secret"] != detail["secret"]:  # cannot be: another secret gives another hash
                raise ConfigError("An erasure of the same person stands under another secret.")
            if standing.status == "done":
                values = {"status": "running", "detail": detail, "recorded_at": moment}
                connection.execute(sa.update(erasures).where(*is_this).values(**values))


def count(key: dict[str, str], counts: dict[str, int], **facts: Any) -> None:
    """Like `add_counts`, in a transaction of its own."""
    with writing() as connection:
        add_counts(connection, key, counts, **facts)


def add_counts(connection: sa.Connection, key: dict[str, str], counts: dict[str, int], **facts: Any) -> None:
    """Add to what was counted, across restarts, so that the ledger has the sum; ``facts`` are set as they are."""
    this = [erasures.c[name] == value for name, value in key.items()]
    detail = connection.execute(sa.select(erasures.c.detail).where(*this)).scalar_one()
    total = Counter(detail["counts"]) + Counter(counts)
    connection.execute(sa.update(erasures).where(*this).values(detail={**detail, **facts, "counts": dict(total)}))


def finish(key: dict[str, str], *, actor: str, reason: str) -> None:
    """Say that it is done, and write its entry in the ledger; a second time does nothing."""
    this = [erasures.c[name] == value for name, value in key.items()]
    with writing() as connection:
        standing = connection.execute(erasures.select().where(*this)).one()
        if standing.status == "done":
            return  # the same command, given twice at once
        connection.execute(sa.update(erasures).where(*this).values(status="done"))
        body = {
            "dataset": key["dataset"],
            "columns": key["columns"].split(","),
            "subject": key["subject_hash"],
            "counts": standing.detail["counts"],
            "unsearched_files": standing.detail.get("unsearched", 0),
            "actor": actor,
            "reason": reason,
        }
        ledger.append(connection, kind=LEDGER_KIND, model="", body=body)
    log.info("%s: erasure done: %s", key["dataset"], body["counts"])
