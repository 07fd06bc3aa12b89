"""What was read before an erasure may hold the rows of who was erased: it must not become current."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import sqlalchemy as sa

from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.state.database.tables import erasures


def refuse_what_was_read_before_an_erasure(
    connection: sa.Connection, datasets: Collection[str], read_at: dt.datetime, *, is_derived: bool = False
) -> None:
    """Within a transaction that records what was made of ``datasets``: `DataError` when people were erased from one since.

    What was read before may hold their rows, and must not become current. What is derived from stored rows, rather than
    fetched, waits for the erasure's end too (`TransientError`): until then the rows may still be there.
    """
    unfinished = sa.select(erasures).where(erasures.c.dataset.in_(datasets), erasures.c.status == "running").limit(1)
    if is_derived and (running := connection.execute(unfinished).first()) is not None:
        raise TransientError(
            f"{running.dataset}: an erasure by {running.columns}, begun {running.recorded_at:%Y-%m-%d %H:%M} UTC by "
            f"{running.detail['actor']}, is not finished. Wait for it, or give its command again if it was killed."
        )
    query = sa.select(erasures.c.dataset).where(erasures.c.dataset.in_(datasets), erasures.c.recorded_at >= read_at).limit(1)
    if (found := connection.execute(query).scalar()) is not None:
        raise DataError(
            f"{found}: rows were erased while this run was at work with rows that it had read before. Nothing was recorded. "
            f"Run it again from its first task (for an ingestion: fetch)."
        )
