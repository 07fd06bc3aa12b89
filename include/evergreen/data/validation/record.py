"""The newest validation of each partition, kept for the people who ask what was checked."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import validations
from include.evergreen.state.database.upsert import upsert


def record_validation(dataset: str, partition: dt.date, raw_digest: str, result: dict[str, Any]) -> None:
    """Keep ``result``, in place of the partition's earlier one."""
    values = {"raw_digest": raw_digest, "verdict": result["verdict"], "result": result, "recorded_at": clock.now()}
    with writing() as connection:
        upsert(connection, validations, {"dataset": dataset, "partition": partition}, values)


def latest_validation(dataset: str, partition: dt.date) -> dict[str, Any] | None:
    """The newest validation of a partition with ``partition``, ``raw_digest`` and ``recorded_at``, or None."""
    query = validations.select().where(validations.c.dataset == dataset, validations.c.partition == partition)
    with reading() as connection:
        row = connection.execute(query).first()
    return _found(row) if row else None


def recent_validations(dataset: str, before: dt.date, limit: int = 30) -> list[dict[str, Any]]:
    """The newest validations of the ``limit`` newest partitions before a day, as `latest_validation` gives them, oldest first."""
    query = (
        validations.select()
        .where(validations.c.dataset == dataset, validations.c.partition < before)
        .order_by(validations.c.partition.desc())
        .limit(limit)
    )
    with reading() as connection:
        return [_found(row) for row in connection.execute(query)][::-1]


def next_validated(dataset: str, after: dt.date) -> dt.date | None:
    """The first partition after a day that was validated."""
    query = sa.select(sa.func.min(validations.c.partition)).where(validations.c.dataset == dataset, validations.c.partition > after)
    with reading() as connection:
        found: dt.date | None = connection.execute(query).scalar()
    return found


def _found(row: sa.Row[Any]) -> dict[str, Any]:
    return {**row.result, "partition": row.partition, "raw_digest": row.raw_digest, "recorded_at": row.recorded_at}
