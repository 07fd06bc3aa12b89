"""Referential integrity: rows that refer to another dataset's rows (an airport, a customer, an order)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.config import DatasetConfig
from include.evergreen.config.datasets import Reference
from include.evergreen.data.partitions import current_partitions
from include.evergreen.data.partitions.files import read_schema
from include.evergreen.data.validation.checks import EXAMPLES_SHOWN, CheckResult, Failure, shown
from include.evergreen.data.validation.rows import Delivered, RawRows
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.state import storage

if TYPE_CHECKING:
    import pyarrow as pa

POSITION = "\0position"  # no column can be called so


def check_reference(dataset: DatasetConfig, reference: Reference, raw: RawRows, delivered: Delivered) -> tuple[CheckResult, Failure | None]:
    """Find every row that refers to a row which the other dataset's current partitions do not have.

    Raises `ConfigError` for columns that the other dataset has not, or has in another type.

    :param dataset: whose rows refer to others; values of its personal columns are not shown
    :param reference: the columns, the other dataset, and which of its partitions are looked into
    :param raw: the partition's rows; one with a missing value in these columns refers to nothing
    :param delivered: what else is known of the partition
    :returns: the result, not evaluated when no partition to look into is there; and the rows that fail, if the reference
        quarantines and any do
    """
    calendar = dataset.schedule.calendar
    last = calendar.minus(delivered.partition, reference.lag)
    first = calendar.first_of(last, reference.window)
    arguments = {"columns": list(reference.columns), **reference.model_dump(mode="json", exclude_defaults=True, exclude={"on_fail"})}
    looked_into = current_partitions(reference.dataset, first, last)
    if not looked_into:
        period = f"{last}" if first == last else f"from {first} to {last}"
        message = f"{reference.dataset} has no partition {period}; ingest it first, then this one again"
        return CheckResult("reference", arguments, reference.on_fail, "not_evaluated", observed=message), None
    there = _there(dataset, reference, [version.path for version in looked_into], raw)
    positions = np.concatenate(
        [_absent(table, there, first_row) for first_row, table in raw.tables(reference.columns)] or [np.empty(0, int)]
    )
    label = f"reference({', '.join(reference.columns)} -> {reference.dataset})"
    personal = bool(dataset.personal_columns.intersection(reference.columns))
    check = CheckResult(
        expectation="reference",
        arguments=arguments,
        on_fail=reference.on_fail,
        status="failed" if len(positions) else "passed",
        failed_rows=len(positions),
        observed=f"looked into {len(looked_into)} of {len(calendar.made(first, last))} partitions, {there.num_rows} values",
        examples=() if personal else _examples(reference, raw, positions),
    )
    return check, Failure(label, positions) if len(positions) and reference.on_fail == "quarantine" else None


def _there(dataset: DatasetConfig, reference: Reference, paths: list[str], raw: RawRows) -> pa.Table:
    """What can be referred to: each combination once, under this dataset's names and in its types."""
    import pyarrow as pa

    names = reference.to or reference.columns
    schema = read_schema(raw.file)
    wanted = pa.schema([pa.field(column, schema.field(column).type) for column in reference.columns])
    there: pa.Table | None = None
    for path in paths:
        table = storage.read_table(path, list(dict.fromkeys(names)))
        if absent := [name for name in names if name not in table.column_names]:
            raise ConfigError(
                f"{dataset.name}: a reference asks {reference.dataset} for {', '.join(absent)}, which it has not; "
                f"name its columns with `to`, in the same order as {', '.join(reference.columns)}."
            )
        renamed = pa.table([table.column(name) for name in names], names=list(reference.columns))
        try:
            renamed = renamed.cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ConfigError(
                f"{dataset.name}: {', '.join(reference.columns)} cannot refer to {', '.join(names)} of {reference.dataset}, "
                f"which has other types: {', '.join(map(str, table.schema.types))} instead of {', '.join(map(str, wanted.types))}."
            ) from error
        both = renamed if there is None else pa.concat_tables([there, renamed])
        there = both.group_by(list(reference.columns), use_threads=False).aggregate([]).select(list(reference.columns))
    assert there is not None
    return there


def _absent(table: pa.Table, there: pa.Table, first_row: int) -> np.ndarray:
    """The sorted positions of the rows that are not ``there``; a row with a missing value is not asked."""
    import pyarrow as pa
    import pyarrow.compute as pc

    asked = None
    for column in table.columns:
        present = pc.is_valid(column) if not pa.types.is_floating(column.type) else pc.invert(pc.is_null(column, nan_is_null=True))
        asked = present if asked is None else pc.and_(asked, present)
    positions = pa.array(np.arange(first_row, first_row + table.num_rows))
    if len(table.column_names) == 1:
        lost = pc.and_(asked, pc.invert(pc.is_in(table.column(0), value_set=there.column(0).combine_chunks())))
        return np.asarray(positions.filter(lost.combine_chunks()))
    rows = table.append_column(POSITION, positions).filter(asked)
    lost_rows = rows.join(there, table.column_names, join_type="left anti").column(POSITION).to_numpy()
    return np.sort(lost_rows)


def _examples(reference: Reference, raw: RawRows, positions: np.ndarray) -> tuple[str, ...]:
    rows = raw.take(reference.columns, positions[:EXAMPLES_SHOWN], declared_types=True)
    return tuple(shown(", ".join(str(row[column]) for column in reference.columns)) for row in rows.to_dict("records"))
