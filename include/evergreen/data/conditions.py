"""Row filters: ``column=value`` conditions, typed as the dataset declares its columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.evergreen.config import DatasetConfig
from include.evergreen.config.datasets import Column
from include.evergreen.foundation.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Conditions:
    """Every column must have its value, exactly; None is a missing value."""

    values: dict[str, Any]

    def matches(self, rows: pa.Table | pa.RecordBatch) -> pa.BooleanArray:
        """Say which rows meet all conditions.

        :param rows: they have the named columns, in whatever type they were stored
        :returns: one boolean for each row, never missing
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        mask = pa.repeat(True, rows.num_rows)
        for name, value in self.values.items():
            mask = pc.and_(mask, pc.fill_null(_equal(rows.column(name), value), False))
        return mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask


def parse_conditions(dataset: DatasetConfig, texts: Sequence[str], *, extra: Sequence[str] = ()) -> Conditions:
    """Parse the row filters that a person gave on the command line, typed as ``dataset`` declares its columns.

    :param dataset: whose rows are filtered
    :param texts: one ``column=value`` for each condition; nothing after the sign stands for a missing value
    :param extra: names of text columns that the rows have and ``dataset`` does not declare
    :returns: the conditions, all of which a row must meet
    :raises ConfigError: when a text has no ``=``, names an unknown column or one twice, or has a value that is not of the
        column's type; the value of a personal column is not shown
    """
    columns = {**{column.name: column for column in dataset.columns}, **{name: None for name in extra}}
    values: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"{dataset.name}: a condition has no '='. Write column=value, such as {next(iter(columns))}=...")
        if name not in columns:
            raise ConfigError(f"{dataset.name} has no column {name!r}. Its columns: {', '.join(columns)}.")
        if name in values:
            raise ConfigError(f"{dataset.name}: column {name!r} is given twice; a row has one value in it. Give it once.")
        column = columns[name]
        values[name] = None if not value else _typed(dataset, column, value) if column else value
    return Conditions(values)


def canonical_text(value: Any) -> str | None:
    """Write a value as text that does not depend on the type in which it was stored: 5, 5.0 and '5' are the same.

    :param value: a cell, as Arrow gives it to Python; times are aware
    :returns: its text, of times ISO 8601 in UTC; None for None
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    return None if value is None else str(value)


def as_texts(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Write each value of a column as `canonical_text` does, once for all rows that have it.

    :param column: of any type that a declared column may have
    :returns: as many texts, in the same order; missing values stay missing
    """
    import pyarrow as pa

    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    distinct = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    return pa.array([canonical_text(value) for value in distinct.dictionary.to_pylist()], pa.string()).take(distinct.indices)


def _typed(dataset: DatasetConfig, column: Column, text: str) -> Any:
    """The value as a source's cell of this text would have it."""
    from include.evergreen.data.sources.conversion import ALLOWED, convert

    try:
        return convert([text], column, lambda _: dataset.name).to_pylist()[0]
    except DataError:
        shown = "the value given" if column.personal else repr(text[:80])
        raise ConfigError(f"{dataset.name}: {column.name} is a {column.type}, and {shown} is none. Write {ALLOWED[column.type]}.") from None


def _equal(column: pa.Array | pa.ChunkedArray, value: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if value is None:
        return pc.is_null(column, nan_is_null=True)
    try:
        return pc.equal(column, pa.scalar(value, column.type))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):  # it was stored when the column had another type
        return pc.equal(as_texts(column), canonical_text(value))
