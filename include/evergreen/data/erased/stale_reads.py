"""Refuses stale reads: what was read before an erasure may hold erased rows, so it must not become current."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import sqlalchemy as sa

from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.state.database.tables import erasures


def refuse_stale_reads(connection: sa.Connection, datasets: Collection[str], read_at: dt.datetime, *, is_derived: bool = False) -> None:
    """Refuse, within the transaction that records what was made of ``datasets``, what people were erased from since it was read.

    :param connection: inside the writing transaction, so that an erasure either shows here or comes after the record
    :param datasets: the names of all datasets that were read
    :param read_at: the time (UTC) before which nothing of them was read
    :param is_derived: whether stored rows were read, rather than a source: these wait for the end of a running erasure,
        since until then the erased rows may still be there
    :raises DataError: when people were erased from one of ``datasets`` since ``read_at``: what was read may hold their rows
    :raises TransientError: when ``is_derived``, and an erasure from one of ``datasets`` is not finished
    """
    unfinished = sa.select(erasures).where(erasures.c.dataset.in_(datasets), erasures.c.status == "running").limit(1)
    if is_derived and (running := connection.execute(unfinished).first()) is not None:
        raise TransientError(
            f"{running.dataset}: an erasure by {running.columns}, begun {running.recorded_at:%Y-%m-%d %H:%M} UTC by "
            f"{running.detail['actor']}, is not finished. Wait for it, or give its command again if it was killed."
        )
    query = sa.select(erasures.c.dataset).where(erasures.c.dataset.in_(datasets), erasures.c.recorded_at >= read_at).limit(1)
    if (dataset := connection.execute(query).scalar()) is not None:
        raise DataError(
            f"{dataset}: rows were erased while this run was at work with rows that it had read before. Nothing was recorded. "
            f"Run it again from its first task (for an ingestion: fetch)."
        )
