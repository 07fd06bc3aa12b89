"""The status of each stage of each model for each partition; `why` and `status` read it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import EARLIEST, LATEST, Partition
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import stage_records
from include.evergreen.state.database.upsert import upsert

Stage = Literal["score", "monitor"]
STAGES: tuple[Stage, ...] = ("score", "monitor")
Status = Literal["done", "waiting", "skipped", "failed"]


@dataclass(frozen=True)
class StageRecord:
    """``since`` is when the status began, ``recorded_at`` when it was last confirmed."""

    model: str
    stage: str
    partition: Partition
    status: str
    detail: dict[str, Any]
    since: dt.datetime
    recorded_at: dt.datetime

    @property
    def message(self) -> str:
        """Why the stage has this status, for people; empty when nothing was said."""
        return str(self.detail.get("message", ""))


def record_stage(
    model: str, stage: Stage, partition: Partition, status: Status, detail: dict[str, Any], *, since: dt.datetime | None = None
) -> None:
    """Record the status of a stage in place of its earlier one.

    :param model: name of the model
    :param stage: ``score`` or ``monitor``
    :param partition: the partition's date
    :param status: what became of the stage
    :param detail: facts, as a JSON document; ``message`` in it says why, for people
    :param since: when the status began (UTC), by default now; a status that is unchanged keeps its own
    """
    key = {"model": model, "stage": stage, "partition": partition}
    timestamp = clock.now()
    values = {"status": status, "detail": detail, "since": since or timestamp, "recorded_at": timestamp}
    with writing() as connection:
        condition = [stage_records.c[name] == value for name, value in key.items()]
        existing = connection.execute(sa.select(stage_records.c.status).where(*condition)).scalar()
        upsert(connection, stage_records, key, values, keep=("since",) if existing == status else ())


def find_stage(model: str, stage: Stage, partition: Partition) -> StageRecord | None:
    """Look up the status of one stage of one partition.

    :param model: name of the model
    :param stage: ``score`` or ``monitor``
    :param partition: the partition's date
    :returns: the record; None when the stage was never begun
    """
    return next(iter(list_stages(model, first=partition, last=partition, stages=(stage,))), None)


def list_stages(model: str, first: Partition = EARLIEST, last: Partition = LATEST, stages: Sequence[Stage] = STAGES) -> list[StageRecord]:
    """List the status of a model's stages over some partitions.

    :param model: name of the model
    :param first: the first partition, inclusive
    :param last: the last partition, inclusive
    :param stages: which stages; by default all
    :returns: the records, oldest partition first, and of one partition by the stage's name; none for a stage that was never begun
    """
    table = stage_records.c
    query = (
        stage_records.select()
        .where(table.model == model, table.stage.in_(stages), table.partition.between(first, last))
        .order_by(stage_records.c.partition, stage_records.c.stage)
    )
    with reading() as connection:
        rows = connection.execute(query).all()
    return [as_record(StageRecord, row) for row in rows]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a stage: ``done``, ``unchanged``, ``waiting`` or ``skipped``, with a message that says why."""

    status: str
    message: str
    facts: dict[str, Any]

    @property
    def is_done(self) -> bool:
        """Whether the partition needs nothing more from the stage."""
        return self.status in {"done", "unchanged"}
