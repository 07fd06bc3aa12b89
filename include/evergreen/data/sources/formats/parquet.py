"""Parquet: types are checked as values are, and only the declared columns are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from include.evergreen.data.sources.conversion import convert_batch
from include.evergreen.data.sources.formats import Piece
from include.evergreen.foundation.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 131_072
BATCH_BYTES = 64 * 1024**2


def read(file: BinaryIO, piece: Piece) -> Iterator[pa.RecordBatch]:
    """Read the rows of a Parquet file.

    :param file: its bytes; it must be able to seek.
    :param piece: what is read, and how many bytes it may have, unpacked.
    :yields: batches in the schema of `arrow_schema`.
    :raises DataError: when the file is damaged or too large, or has content that does not fit.
    """
    rows = size = 0
    for batch in _told(_batches(file, piece), piece):
        size += batch.nbytes
        if piece.max_bytes is not None and size > piece.max_bytes:
            raise DataError(too_large(piece, f"more than {size}"))
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        yield convert_batch(piece.dataset, columns, lambda row, first=rows: f"{piece.place}, row {first + row + 1}")  # type: ignore[misc]
        rows += batch.num_rows


def too_large(piece: Piece, size: object) -> str:
    """Write the error about a piece that has more bytes than are left for it."""
    return piece.message(
        f"is {size} bytes large when unpacked, and the source's max_bytes leaves {piece.max_bytes} of the partition for it. "
        f"Is it what was asked for? Raise max_bytes if it is."
    )


def _batches(file: BinaryIO, piece: Piece) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        names = list(parquet.schema_arrow.names)
        piece.check_columns(names)
        groups = [parquet.metadata.row_group(number) for number in range(parquet.metadata.num_row_groups)]
        size, rows = sum(group.total_byte_size for group in groups), parquet.metadata.num_rows
        if piece.max_bytes is not None and size > piece.max_bytes:
            raise DataError(too_large(piece, size))
        at_once = min(BATCH_ROWS, max(1, BATCH_BYTES * max(rows, 1) // max(size, 1)))
        yield from parquet.iter_batches(at_once, columns=piece.dataset.source_names, use_threads=True)


def _told(batches: Iterator[Any], piece: Piece) -> Iterator[Any]:
    """What Parquet's reader says about a file that is damaged, as `DataError`."""
    import pyarrow as pa

    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError, MemoryError) as error:
            raise piece.error(
                f"is no Parquet file, or is cut off or damaged: {str(error)[:200]}. Ask the source for a whole file."
            ) from error
        yield batch
