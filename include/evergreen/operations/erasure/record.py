"""The record of an erasure: started before anything is removed, counted across restarts, in the ledger when it is done.

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

    :param key: ``dataset``, ``columns`` (names, comma-separated) and ``subject_hash``
    :param actor: who asks for it, for the ledger
    :param reason: why, for the ledger
    :raises TransientError: while another erasure is unfinished
    :raises ConfigError: when the same person was recorded under another secret
    """
    detail = {"secret": fingerprint(), "actor": actor, "reason": reason}
    started = {"status": "running", "detail": detail, "progress": {"counts": {}}, "recorded_at": clock.now()}
    is_this = [erasures.c[name] == value for name, value in key.items()]
    with writing() as connection:
        other = connection.execute(erasures.select().where(erasures.c.status == "running", sa.not_(sa.and_(*is_this)))).first()
        if other is not None:
            raise TransientError(
                f"An erasure from {other.dataset} by {other.columns}, begun {other.recorded_at:%Y-%m-%d %H:%M} UTC by "
                f"{other.detail['actor']}, is not finished. Wait for it, or give its command again if it was killed."
            )
        is_new = insert_once(connection, erasures, key, started)
        if not is_new:
            existing = connection.execute(erasures.select().filter_by(**key)).one()
            if existing.detail["secret"] != detail["secret"]:  # cannot be: another secret gives another hash
                raise ConfigError("An erasure of the same person stands under another secret.")
            if is_new := existing.status == "done":
                connection.execute(erasures.update().filter_by(**key).values(started))
        if is_new:
            ledger.bind(connection, erasures, key, kind=LEDGER_KIND)


def count(key: dict[str, str], counts: dict[str, int], **facts: Any) -> None:
    """Add to what was counted, like `add_counts`, in a transaction of its own.

    :param key: of the erasure, as `begin` takes it
    :param counts: as `add_counts` takes them
    :param **facts: as `add_counts` takes them
    """
    with writing() as connection:
        add_counts(connection, key, counts, **facts)


def add_counts(connection: sa.Connection, key: dict[str, str], counts: dict[str, int], **facts: Any) -> None:
    """Add to what was counted, across restarts, so that the ledger has the sum.

    :param connection: inside a transaction; nothing is committed here
    :param key: of the erasure, as `begin` takes it
    :param counts: what went now, by kind; empty: only ``facts`` are set
    :param **facts: further entries of the record's ``progress``; each replaces the one of its name
    """
    progress = connection.execute(erasures.select().filter_by(**key)).one().progress
    total = Counter(progress["counts"]) + Counter(counts)
    connection.execute(erasures.update().filter_by(**key).values(progress={**progress, **facts, "counts": dict(total)}))


def finish(key: dict[str, str], *, actor: str, reason: str) -> None:
    """Record that an erasure is done, and write its entry in the ledger; a second time does nothing.

    :param key: of the erasure, as `begin` takes it
    :param actor: who asks for it, for the ledger
    :param reason: why, for the ledger
    """
    with writing() as connection:
        existing = connection.execute(erasures.select().filter_by(**key)).one()
        if existing.status == "done":
            return  # the same command, given twice at once
        connection.execute(erasures.update().filter_by(**key).values(status="done"))
        counts = existing.progress["counts"]
        evidence = {"counts": counts, "unsearched_files": existing.progress.get("unsearched", 0), "actor": actor, "reason": reason}
        ledger.bind(connection, erasures, key, kind=LEDGER_KIND, evidence=evidence)
    log.info("%s: erasure done: %s", key["dataset"], counts)
