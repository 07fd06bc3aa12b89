"""Counters of a dataset's partitions and rows, updated with each change, so that no page sums up years."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.evergreen.state.database.tables import dataset_totals
from include.evergreen.state.database.upsert import insert_once

if TYPE_CHECKING:
    from include.evergreen.data.partitions.version import PartitionVersion


def count_change(connection: sa.Connection, before: PartitionVersion | None, after: PartitionVersion) -> None:
    """Count a version as the current one of its partition, within the transaction that makes it so.

    :param connection: inside a writing transaction; nothing is committed here
    :param before: the version that it replaces, in the same partition; None when it is the first
    :param after: the version that is current from now on
    """
    totals = dataset_totals.c
    first = {"partitions": 0, "latest": after.partition, "rows": 0, "quarantined": 0}
    insert_once(connection, dataset_totals, {"dataset": after.dataset}, first)
    later = sa.case((totals.latest < after.partition, after.partition), else_=totals.latest)
    changed = {
        "partitions": totals.partitions + (0 if before else 1),
        "latest": later,
        "rows": totals.rows + after.rows - (before.rows if before else 0),
        "quarantined": totals.quarantined + after.quarantined - (before.quarantined if before else 0),
    }
    connection.execute(dataset_totals.update().where(totals.dataset == after.dataset).values(**changed))


def all_totals(connection: sa.Connection) -> dict[str, dict[str, Any]]:
    """Return the counters of every dataset that ever had a partition, by its name.

    :param connection: any that reads
    :returns: for each dataset ``partitions`` (how many), ``latest`` (the newest one's date), ``rows`` (accepted) and ``quarantined``
    """
    return {row.dataset: {name: row._mapping[name] for name in ("partitions", "latest", "rows", "quarantined")}
            for row in connection.execute(dataset_totals.select())}  # fmt: skip
