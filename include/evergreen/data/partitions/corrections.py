"""Corrections of knowledge times: what was said of when versions were known, until a person said it otherwise."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation.errors import OvertakenError
from include.evergreen.foundation.grain import Partition
from include.evergreen.state.database.tables import knowledge_corrections


def known_before_corrections(
    connection: sa.Connection, dataset: str, first: Partition, last: Partition, said_at: dt.datetime
) -> dict[tuple[Partition, int], dict[str, Any]]:
    """The knowledge of the versions of some partitions as it was said at a time, of those for which it was corrected since.

    :param connection: any that reads
    :param dataset: name of the dataset
    :param first: the first partition, inclusive
    :param last: the last partition, inclusive
    :param said_at: the time (UTC)
    :returns: ``knowledge_time`` and ``knowledge_column``, by partition and version
    """
    table = knowledge_corrections.c
    query = knowledge_corrections.select().where(table.dataset == dataset, table.recorded_at > said_at)
    within = query.where(table.first <= last, table.last >= first).order_by(table.id)
    said: dict[tuple[Partition, int], dict[str, Any]] = {}
    for row in connection.execute(within):
        for partition, version, time, column in row.before:
            values = {"knowledge_time": dt.datetime.fromisoformat(time), "knowledge_column": column}
            said.setdefault((Partition(partition), version), values)  # the first correction since names what stood then
    return said


def refuse_corrected(connection: sa.Connection, datasets: Collection[str], read_at: dt.datetime) -> None:
    """Refuse, within the transaction that records what was made of ``datasets``, what was read before a correction of them.

    :param connection: inside the writing transaction
    :param datasets: the names of all datasets that were read
    :param read_at: the time (UTC) before which nothing of them was read
    :raises OvertakenError: when knowledge times of one of them were corrected since
    """
    table = knowledge_corrections.c
    query = sa.select(table.dataset).where(table.dataset.in_(datasets), table.recorded_at >= read_at).limit(1)
    if (dataset := connection.execute(query).scalar()) is not None:
        raise OvertakenError(f"{dataset}: it was corrected when its partitions were known, while they were read")
