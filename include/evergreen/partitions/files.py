"""Rows of any number into one Parquet file: written a batch at a time, digested on the way, in the order of their keys.

Memory is bounded by `SORTED_IN_MEMORY` bytes of rows and, beyond that, by the key columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen import storage
from include.evergreen.config import DatasetConfig
from include.evergreen.partitions.digest import ContentDigest, in_order

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 262_144  # of a Parquet row group, and of the batches that are read
SORTED_IN_MEMORY = 256 * 1024**2
PANDAS_TYPES = {
    "integer": "Int64",
    "number": "float64",
    "string": "string",
    "boolean": "boolean",
    "timestamp": "datetime64[us, UTC]",
}


def arrow_schema(dataset: DatasetConfig) -> pa.Schema:
    """The declared columns in Arrow's types (int64, double, string, bool, timestamp[us, UTC]); it says how pandas reads them too."""
    import pandas as pd
    import pyarrow as pa

    empty = {column.name: pd.Series([], dtype=PANDAS_TYPES[column.type]) for column in dataset.columns}
    return pa.Schema.from_pandas(pd.DataFrame(empty), preserve_index=False)


class RowWriter:
    """Writes batches of one schema to a scratch file; `keep` gives it its place in the storage.

    Leaving it without `keep` leaves nothing behind. Raises `TransientError` when the disk refuses.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._digest = ContentDigest(schema)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._leaving = ExitStack()

    def __enter__(self) -> RowWriter:
        import pyarrow.parquet as pq

        self._scratch = self._leaving.enter_context(storage.scratch_file())
        with storage.refusals(str(self._scratch)):
            self._parquet = pq.ParquetWriter(self._scratch, self._schema)
        self._leaving.callback(self._close)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leaving.close()

    @property
    def rows(self) -> int:
        return self._digest.rows

    def digest(self) -> str:
        """Of all rows so far."""
        return self._digest.hexdigest()

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        self._digest.update(rows)
        for batch in rows.to_batches() if hasattr(rows, "to_batches") else [rows]:
            self._waiting.append(batch)
            self._waiting_rows += batch.num_rows
        if self._waiting_rows >= GROUP_ROWS:
            self._flush()

    def finish(self) -> Path:
        """Close the file, which is then whole, and lies where this says until it is kept or left."""
        self._flush()
        with storage.refusals(str(self._scratch)):
            self._parquet.close()
        return self._scratch

    def keep(self, path: str) -> None:
        """Finish, and make the file the content of ``path`` in the storage."""
        storage.keep_file(self.finish(), path)

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            table = pa.Table.from_batches(self._waiting, self._schema)
            self._waiting, self._waiting_rows = [], 0
            with storage.refusals(str(self._scratch)):
                self._parquet.write_table(table, row_group_size=GROUP_ROWS)

    def _close(self) -> None:
        """For a writer that was left half-way: a disk that is full refuses the footer too, which nobody needs."""
        try:
            self._parquet.close()
        except OSError:
            return


def batches_of(file: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a local Parquet file, `GROUP_ROWS` at most at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        yield from parquet.iter_batches(GROUP_ROWS, columns=list(columns) if columns is not None else None, use_threads=True)


def write_in_order(writer: RowWriter, batches: Iterable[pa.RecordBatch], keys: Sequence[str]) -> None:
    """Write the rows in the order of ``keys``; as they come, when there are none."""
    if not keys:
        for batch in batches:
            writer.write(batch)
        return
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    coming = iter(batches)
    for batch in coming:
        held.append(batch)
        if sum(each.nbytes for each in held) > SORTED_IN_MEMORY:
            _write_in_buckets(writer, _chained(held, coming), keys)
            return
    if held:
        writer.write(in_order(pa.Table.from_batches(held), keys))


def _write_in_buckets(writer: RowWriter, batches: Iterator[pa.RecordBatch], keys: Sequence[str]) -> None:
    """Set the rows aside on disk, rank them by their keys alone, deal them into buckets of neighbouring ranks, and sort each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with ExitStack() as leaving:
        aside = leaving.enter_context(storage.scratch_file())
        key_columns, rows, size = _set_aside(aside, batches, keys)
        order = pc.sort_indices(key_columns, sort_keys=[(key, "ascending") for key in keys]).to_numpy()
        del key_columns
        buckets = math.ceil(size / SORTED_IN_MEMORY)
        bucket_of = np.empty(rows, dtype=np.int16)
        bucket_of[order] = np.arange(rows) * buckets // rows
        del order
        parts = [leaving.enter_context(storage.scratch_file()) for _ in range(buckets)]
        _deal(aside, parts, bucket_of)
        for part in parts:
            with storage.refusals(str(part)), pa.memory_map(str(part)) as source:
                table = pa.ipc.open_stream(source).read_all()
            writer.write(in_order(table, keys))


def _set_aside(aside: Path, batches: Iterator[pa.RecordBatch], keys: Sequence[str]) -> tuple[pa.Table, int, int]:
    """Write the batches to ``aside``; returns their key columns, and how many rows and bytes there are."""
    import pyarrow as pa

    first = next(batches)
    key_parts, rows, size = [], 0, 0
    with storage.refusals(str(aside)), pa.OSFile(str(aside), "wb") as sink, pa.ipc.new_stream(sink, first.schema) as stream:
        for batch in _chained([first], batches):
            stream.write_batch(batch)
            key_parts.append(batch.select(list(keys)))
            rows += batch.num_rows
            size += batch.nbytes
    return pa.Table.from_batches(key_parts), rows, size


def _deal(aside: Path, parts: Sequence[Path], bucket_of: np.ndarray) -> None:
    import pyarrow as pa

    with ExitStack() as open_files, storage.refusals(str(aside)):
        source = pa.ipc.open_stream(open_files.enter_context(pa.OSFile(str(aside), "rb")))
        sinks = [open_files.enter_context(pa.OSFile(str(part), "wb")) for part in parts]
        streams = [open_files.enter_context(pa.ipc.new_stream(sink, source.schema)) for sink in sinks]
        first = 0
        for batch in source:
            chosen = bucket_of[first : first + batch.num_rows]
            first += batch.num_rows
            for number in np.unique(chosen):
                streams[number].write_batch(batch.filter(pa.array(chosen == number)))


def _chained(held: list[pa.RecordBatch], coming: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while held:
        yield held.pop(0)
    yield from coming
