"""The raw rows of a partition, read a few columns at a time for validation, since they may not all fit in memory."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.evergreen.foundation.grain import Partition

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CHUNK_ROWS = 1_048_576  # of the chunks in which rows are judged that need not be judged together


@dataclass(frozen=True)
class Delivered:
    """What is known of a delivery besides its rows.

    ``live`` is False in a backfill; ``arrived`` is when it was fetched; ``undeclared`` has the columns that were not kept.
    """

    partition: Partition
    live: bool
    arrived: dt.datetime
    undeclared: tuple[str, ...] = ()


class RawRows:
    """The rows of one local Parquet file, numbered from 0 in its order.

    :param file: where it lies, for as long as rows are read
    """

    def __init__(self, file: Path) -> None:
        import pyarrow.parquet as pq

        self.file = file
        self._metadata = pq.read_metadata(file)
        self.rows = int(self._metadata.num_rows)

    def frame(self, columns: Sequence[str], *, declared_types: bool = False) -> pd.DataFrame:
        """Read some columns of all rows, in the types of `chunks`.

        :param columns: the names of those to read
        :param declared_types: nullable types even where no value is missing
        :returns: one row for each of the file's; the index has their positions
        """
        return self._pandas(self._groups(range(self._metadata.num_row_groups), columns), declared_types)

    def no_rows(self, columns: Sequence[str]) -> pd.DataFrame:
        """Make a frame of columns alone, for expectations to be declared on.

        :param columns: their names
        :returns: a frame without rows, in the declared types
        """
        return self._pandas(self._groups([], columns), declared_types=True)

    def chunks(self, columns: Sequence[str]) -> Iterator[tuple[int, pd.DataFrame]]:
        """Read some columns, about `CHUNK_ROWS` rows at a time.

        A column without a missing value in the whole file has NumPy's type, so that checks are quick; any other integers
        and booleans have pandas' nullable types, so that they stay exact. Texts are Arrow's, a few bytes each.

        :param columns: the names of those to read
        :yields: the position of a chunk's first row, and the chunk, whose own index begins with 0
        """
        for first, table in self.tables(columns):
            yield first, self._pandas(table, declared_types=False)

    def tables(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
        """Read some columns as `chunks` does, in Arrow's types.

        :param columns: the names of those to read
        :yields: the position of a chunk's first row, and the chunk
        """
        first, rows, groups = 0, 0, list[int]()
        for group in range(self._metadata.num_row_groups):
            groups.append(group)
            rows += self._metadata.row_group(group).num_rows
            if rows >= CHUNK_ROWS or group == self._metadata.num_row_groups - 1:
                yield first, self._groups(groups, columns)
                first, rows, groups = first + rows, 0, []

    def take(self, columns: Sequence[str], positions: Any, *, declared_types: bool = False) -> pd.DataFrame:
        """Read some columns of some rows.

        :param columns: the names of those to read
        :param positions: of the rows, sorted
        :param declared_types: nullable types even where no value is missing
        :returns: one row for each position; the index has the positions
        """
        import numpy as np
        import pandas as pd
        import pyarrow as pa

        parts = [self._groups([], columns)]
        for first, table in self.tables(columns) if len(positions) else ():
            within = positions[slice(*np.searchsorted(positions, [first, first + table.num_rows]))]
            parts.append(table.take(pa.array(within - first)))
        frame = self._pandas(pa.concat_tables(parts), declared_types=declared_types)
        return frame.set_axis(pd.Index(positions), axis=0)

    def narrowest(self, columns: Sequence[str]) -> str:
        """Name the column that takes the fewest bytes.

        :param columns: the names to choose from, at least one
        :returns: one of them
        """
        return min(columns, key=lambda column: self._bytes[column])

    @cached_property
    def _with_missing(self) -> set[str]:
        """The columns of which a value is missing, or of which the file does not tell."""
        return {column.path_in_schema for column in self._column_chunks() if column.statistics is None or column.statistics.null_count != 0}

    @cached_property
    def _bytes(self) -> Counter[str]:
        sizes: Counter[str] = Counter()
        for column in self._column_chunks():
            sizes[column.path_in_schema] += column.total_uncompressed_size
        return sizes

    def _column_chunks(self) -> Iterator[Any]:
        for group in map(self._metadata.row_group, range(self._metadata.num_row_groups)):
            yield from map(group.column, range(group.num_columns))

    def _groups(self, groups: Sequence[int], columns: Sequence[str]) -> pa.Table:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.file) as parquet:
            return parquet.read_row_groups(list(groups), columns=list(columns), use_threads=True)

    def _pandas(self, table: pa.Table, declared_types: bool) -> pd.DataFrame:
        import pandas as pd
        import pyarrow as pa

        text = pd.StringDtype("pyarrow", na_value=float("nan"))  # it compares like texts that Python holds: missing equals nothing
        texts = {pa.string(): text, pa.large_string(): text}
        nullable = {**texts, pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
        series = {}
        for name in table.column_names:
            exact = declared_types or name in self._with_missing or not self._metadata.num_row_groups
            series[name] = table.column(name).to_pandas(types_mapper=(nullable if exact else texts).get)
        return pd.DataFrame(series, index=pd.RangeIndex(table.num_rows), copy=False)
