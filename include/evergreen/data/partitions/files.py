"""Writes rows into one Parquet file, a batch at a time, sorted by key and digested on the way.

Memory is bounded by `SORTED_IN_MEMORY` bytes of rows and, beyond that, by the key columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from include.evergreen.config import DatasetConfig
from include.evergreen.foundation.digest import ContentDigest, in_order
from include.evergreen.state import storage

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 262_144  # of a Parquet row group, and of the batches that are read
GROUP_BYTES = 256 * 1024**2  # in memory, at which a group is full though it has fewer rows
SORTED_IN_MEMORY = 256 * 1024**2
Rows = Callable[[Sequence[str] | None], "Iterator[pa.RecordBatch]"]
"""Gives the same rows in the same order each time that it is asked: all their columns, or those that are named."""
PANDAS_TYPES = {
    "integer": "Int64",
    "number": "float64",
    "string": "string",
    "boolean": "boolean",
    "timestamp": "datetime64[us, UTC]",
}


def arrow_schema(dataset: DatasetConfig) -> pa.Schema:
    """Say in which Arrow types the rows of a dataset are kept, and how pandas reads them.

    :param dataset: which declares the columns
    :returns: its columns in their order, as int64, double, string, bool or timestamp[us, UTC]; with the metadata that pandas reads
    """
    import pandas as pd
    import pyarrow as pa

    empty = {column.name: pd.Series([], dtype=PANDAS_TYPES[column.type]) for column in dataset.columns}
    return pa.Schema.from_pandas(pd.DataFrame(empty), preserve_index=False)


class RowWriter:
    """Writes batches of one schema to a scratch file; `keep` gives it its place in the storage.

    Leaving it without `keep` leaves nothing behind. Raises `TransientError` when the disk refuses.

    :param schema: of all rows that are written
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._digest = ContentDigest(schema)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0
        self._leaving = ExitStack()
        self._encoding: Future[None] | None = None

    def __enter__(self) -> RowWriter:
        import pyarrow.parquet as pq

        self._scratch = self._leaving.enter_context(storage.scratch_file())
        with storage.refusals(str(self._scratch)):
            self._parquet = pq.ParquetWriter(self._scratch, self._schema, use_dictionary=_repeating(self._schema))
        self._leaving.callback(self._close)
        self._encoder = self._leaving.enter_context(ThreadPoolExecutor(1, "encode-parquet"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leaving.close()

    @property
    def rows(self) -> int:
        """How many rows were written so far."""
        return self._digest.rows

    def digest(self) -> str:
        """Compute the content digest of all rows so far; more may be written afterwards.

        :returns: SHA-256, as 64 hex digits
        """
        return self._digest.hexdigest()

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Append rows; they reach the disk about `GROUP_ROWS` at a time.

        :param rows: in the writer's schema
        """
        self._digest.update(rows)
        for batch in rows.to_batches() if hasattr(rows, "to_batches") else [rows]:
            self._waiting.append(batch)
            self._waiting_rows += batch.num_rows
            self._waiting_bytes += batch.nbytes
        if self._waiting_rows >= GROUP_ROWS or self._waiting_bytes >= GROUP_BYTES:
            self._flush()

    def finish(self) -> Path:
        """Close the file, which is then whole; nothing may be written afterwards.

        :returns: where it lies until it is kept or left
        """
        self._flush()
        self._await_encoded()
        with storage.refusals(str(self._scratch)):
            self._parquet.close()
        return self._scratch

    def keep(self, path: str) -> None:
        """Finish, and give the file its place in the storage.

        :param path: of the file, below the storage's root; one that is there is replaced
        """
        storage.keep_file(self.finish(), path)

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            table = pa.Table.from_batches(self._waiting, self._schema)
            self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0
            self._await_encoded()
            self._encoding = self._encoder.submit(self._parquet.write_table, table, row_group_size=GROUP_ROWS)

    def _await_encoded(self) -> None:
        """One group is encoded while the next one is read and digested: no more than two are in memory."""
        if self._encoding is not None:
            with storage.refusals(str(self._scratch)):
                self._encoding.result()
            self._encoding = None

    def _close(self) -> None:
        """For a writer that was left half-way: a disk that is full refuses the footer too, which nobody needs."""
        try:
            self._parquet.close()
        except OSError:
            return


def _repeating(schema: pa.Schema) -> list[str]:
    """The columns of which a dictionary may be worth its making: text. Numbers rarely repeat, and it costs a third of the writing."""
    import pyarrow as pa

    return [field.name for field in schema if pa.types.is_string(field.type)]


def read_batches(file: Path, columns: Sequence[str] | None = None, *, most_rows: int = GROUP_ROWS) -> Iterator[pa.RecordBatch]:
    """Read the rows of a local Parquet file, a row group or ``most_rows`` at a time. Raises `DataError` when it is damaged.

    :param file: where it lies
    :param columns: the names of those to read, and nothing else of the file; None for all
    :param most_rows: how many rows a batch has at most
    :yields: the rows in the file's order, with the columns in the order in which they are named
    """
    with _opened(file), storage.damage(str(file)):
        yield from _batches(file, columns, most_rows)


def read_stored_batches(path: str, columns: Sequence[str] | None = None, *, most_rows: int = GROUP_ROWS) -> Iterator[pa.RecordBatch]:
    """Read the rows of a file of the storage as `read_batches` does, without a copy of a remote one. Raises as `storage.opened`, too.

    :param path: of the file, below the storage's root
    :param columns: the names of those to fetch; None for all
    :param most_rows: how many rows a batch has at most
    :yields: the rows, as `read_batches`
    """
    with storage.opened(path) as file, storage.damage(path):
        yield from _batches(file, columns, most_rows)


def _batches(file: Path | BinaryIO, columns: Sequence[str] | None, most_rows: int) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, pre_buffer=False) as parquet:  # pre-buffering would hold the whole file, as it was read
        wanted = list(columns) if columns is not None else None
        for group in range(parquet.num_row_groups):  # each was made to fit into memory
            yield from parquet.iter_batches(most_rows, row_groups=[group], columns=wanted, use_threads=True)


def read_schema(file: Path) -> pa.Schema:
    """Read the columns of a local Parquet file. Raises `DataError` when it is damaged.

    :param file: where it lies
    :returns: their names and types, in the file's order
    """
    import pyarrow.parquet as pq

    with _opened(file), storage.damage(str(file)):
        return pq.read_schema(file)


def _opened(file: Path) -> BinaryIO:
    """What the disk has against it, Arrow would say without a number, as it does of damaged bytes."""
    with storage.refusals(str(file), doing="read"):
        return file.open("rb")


def write_in_order(writer: RowWriter, rows: Rows, keys: Sequence[str]) -> None:
    """Write rows in the order of their keys.

    :param writer: open; it is not finished here
    :param rows: the rows; asked for more than once where they do not fit into `SORTED_IN_MEMORY`
    :param keys: names of the columns to sort by, ascending, missing values last; none: the rows are written as they come
    """
    if not keys:
        for batch in rows(None):
            writer.write(batch)
        return
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    size = 0
    for batch in rows(None):
        held.append(batch)
        size += batch.nbytes
        if size > SORTED_IN_MEMORY:
            break
    else:
        if held:
            writer.write(in_order(pa.Table.from_batches(held), keys))
        return
    bytes_a_row = size / sum(batch.num_rows for batch in held)
    del held, batch
    _write_in_buckets(writer, rows, keys, bytes_a_row)


def _write_in_buckets(writer: RowWriter, rows: Rows, keys: Sequence[str], bytes_a_row: float) -> None:
    """Rank the rows by their keys alone, deal them into buckets of neighbouring ranks on disk, and sort each bucket."""
    import pyarrow as pa
    import pyarrow.compute as pc

    key_columns = pa.Table.from_batches(list(rows(keys)))
    ranked = pc.sort_indices(key_columns, sort_keys=[(key, "ascending") for key in keys]).to_numpy()
    del key_columns
    buckets = math.ceil(len(ranked) * bytes_a_row / SORTED_IN_MEMORY)
    bucket_of = np.empty(len(ranked), dtype=np.int16)
    for number, members in enumerate(np.array_split(ranked, buckets)):
        bucket_of[members] = number
    del ranked, members
    with ExitStack() as leaving:
        parts = [leaving.enter_context(storage.scratch_file()) for _ in range(buckets)]
        _deal(rows, parts, bucket_of)
        for part in parts:
            with storage.refusals(str(part)), pa.memory_map(str(part)) as source:
                table = pa.ipc.open_stream(source).read_all()
                writer.write(in_order(table, keys))
                del table
            part.unlink()


def _deal(rows: Rows, parts: Sequence[Path], bucket_of: np.ndarray) -> None:
    import pyarrow as pa

    with ExitStack() as open_files, storage.refusals(str(parts[0])):
        sinks = [open_files.enter_context(pa.OSFile(str(part), "wb")) for part in parts]
        streams: list[pa.ipc.RecordBatchStreamWriter] = []
        first = 0
        for batch in rows(None):
            streams = streams or [open_files.enter_context(pa.ipc.new_stream(sink, batch.schema)) for sink in sinks]
            chosen = bucket_of[first : first + batch.num_rows]
            first += batch.num_rows
            for number in np.unique(chosen):
                streams[number].write_batch(batch.filter(pa.array(chosen == number)))
