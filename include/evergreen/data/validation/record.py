"""The newest validation result of each partition, as it is recorded."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import Partition
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import validations
from include.evergreen.state.database.upsert import upsert


def record_validation(
    dataset: str, partition: Partition, raw_digest: str, result: dict[str, Any], *, delivered_at: dt.datetime | None = None
) -> None:
    """Keep the result of a partition's validation in place of its earlier one, unless that is of a newer delivery.

    :param dataset: name of the dataset
    :param partition: the partition's date
    :param raw_digest: the digest of the raw rows
    :param result: as `Validation.summary` gives it
    :param delivered_at: when the source began to be read for the rows; None: now
    """
    now = clock.now()
    delivered = delivered_at or now
    values = {"raw_digest": raw_digest, "verdict": result["verdict"], "result": result, "recorded_at": now, "delivered_at": delivered}
    with writing() as connection:
        row = connection.execute(validations.select().filter_by(dataset=dataset, partition=partition)).first()
        if row is None or (row.delivered_at or row.recorded_at) <= delivered:
            upsert(connection, validations, {"dataset": dataset, "partition": partition}, values)


def latest_validation(dataset: str, partition: Partition) -> dict[str, Any] | None:
    """Look up the newest validation of a partition.

    :param dataset: name of the dataset
    :param partition: the partition's date
    :returns: what `Validation.summary` gave, with ``partition``, ``raw_digest`` and ``recorded_at``; None when it was never validated
    """
    query = validations.select().where(validations.c.dataset == dataset, validations.c.partition == partition)
    with reading() as connection:
        row = connection.execute(query).first()
    return _validation(row) if row else None


def recent_validations(dataset: str, before: Partition, limit: int = 30) -> list[dict[str, Any]]:
    """Look up the newest validation of each of the newest partitions before a day.

    :param dataset: name of the dataset
    :param before: the day, exclusive
    :param limit: the most partitions
    :returns: one for each partition, as `latest_validation` gives it, oldest partition first
    """
    query = (
        validations.select()
        .where(validations.c.dataset == dataset, validations.c.partition < before)
        .order_by(validations.c.partition.desc())
        .limit(limit)
    )
    with reading() as connection:
        return [_validation(row) for row in connection.execute(query)][::-1]


def next_validated(dataset: str, after: Partition) -> Partition | None:
    """Find the first partition after a day that was validated.

    :param dataset: name of the dataset
    :param after: the day, exclusive
    :returns: the partition's date; None when there is none
    """
    query = sa.select(sa.func.min(validations.c.partition)).where(validations.c.dataset == dataset, validations.c.partition > after)
    with reading() as connection:
        partition: Partition | None = connection.execute(query).scalar()
    return partition


def _validation(row: sa.Row[Any]) -> dict[str, Any]:
    return {**row.result, "partition": row.partition, "raw_digest": row.raw_digest, "recorded_at": row.recorded_at}
