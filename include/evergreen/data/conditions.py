"""Row filters: ``column=value`` conditions, typed as the dataset declares its columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.evergreen.config import DatasetConfig
from include.evergreen.config.models import Column
from include.evergreen.foundation.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Conditions:
    """Every column must have its value, exactly; None is a missing value."""

    values: dict[str, Any]

    def matches(self, rows: pa.Table | pa.RecordBatch) -> pa.BooleanArray:
        """Which of ``rows`` meet all of them: one boolean a row. Every named column must be there, in whatever type it was stored."""
        import pyarrow as pa
        import pyarrow.compute as pc

        chosen = pa.array([True]) if not rows.num_rows else None
        for name, value in self.values.items():
            column = rows.column(name)
            found = pc.fill_null(_equal(column, value), False)
            chosen = found if chosen is None else pc.and_(chosen, found)
        whole = chosen if rows.num_rows else pa.array([], pa.bool_())
        return whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole


def parse_conditions(dataset: DatasetConfig, texts: Sequence[str], *, extra: Sequence[str] = ()) -> Conditions:
    """What ``texts`` (``column=value``; nothing after the sign is a missing value) ask for.

    ``extra`` names text columns that are not declared. Raises `ConfigError`, without the value of a personal column.
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
    """A value as text that does not depend on the type in which it was stored: 5, 5.0 and '5' are the same."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    return None if value is None else str(value)


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
        return pc.equal(_as_text(column), canonical_text(value))


def _as_text(column: pa.Array | pa.ChunkedArray) -> Any:
    import pyarrow as pa

    return pa.array([canonical_text(each) for each in column.to_pylist()], pa.string())
