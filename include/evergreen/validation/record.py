"""The newest validation of each partition, kept for the people who ask what was checked."""

from __future__ import annotations

import datetime as dt
from typing import Any

from include.evergreen import clock
from include.evergreen.database import reading, writing
from include.evergreen.database.tables import validations
from include.evergreen.database.upsert import upsert


def record_validation(dataset: str, partition: dt.date, raw_digest: str, result: dict[str, Any]) -> None:
    """Keep ``result``, in place of the partition's earlier one."""
    values = {"raw_digest": raw_digest, "verdict": result["verdict"], "result": result, "recorded_at": clock.now()}
    with writing() as connection:
        upsert(connection, validations, {"dataset": dataset, "partition": partition}, values)


def latest_validation(dataset: str, partition: dt.date) -> dict[str, Any] | None:
    """The newest validation of a partition with ``raw_digest`` and ``recorded_at``, or None."""
    query = validations.select().where(validations.c.dataset == dataset, validations.c.partition == partition)
    with reading() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    return {**row.result, "raw_digest": row.raw_digest, "recorded_at": row.recorded_at}
