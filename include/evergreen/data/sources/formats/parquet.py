"""Parquet: types are checked as values are, and only the declared columns are read.

Sizes on disk say nothing of sizes in memory: a dictionary of one long text and five thousand references to it fill a
kilobyte, and a hundred gigabytes once each row has its copy. So texts are measured before they are decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from include.evergreen.data.sources.conversion import convert, convert_batch
from include.evergreen.data.sources.formats import Piece
from include.evergreen.foundation.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS = 131_072
BATCH_BYTES = 64 * 1024**2  # in memory, by the mean row
MOST_BATCH_BYTES = 1024**3  # in memory, if each row had the longest texts


def read(file: BinaryIO, piece: Piece) -> Iterator[pa.RecordBatch]:
    """Read the rows of a Parquet file.

    :param file: its bytes; it must be able to seek
    :param piece: what is read, and how many bytes it may have, unpacked and in memory
    :yields: batches in the schema of `arrow_schema`
    :raises DataError: when the file is damaged or too large, or has content that does not fit
    """
    rows = size = 0
    for batch in _told(_batches(file, piece), piece):
        size += batch.nbytes
        if piece.max_bytes is not None and size > piece.max_bytes:
            raise DataError(_too_large(piece, f"more than {size}"))
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        yield convert_batch(piece.dataset, columns, lambda row, first=rows: f"{piece.place}, row {first + row + 1}")  # type: ignore[misc]
        rows += batch.num_rows


def _too_large(piece: Piece, size: object, column: str = "") -> str:
    reason = f", of which the texts of {column!r} are the most, as each row has a copy of its own" if column else ""
    return piece.message(
        f"is {size} bytes large when unpacked into memory{reason}, and the source's max_bytes leaves {piece.max_bytes} of the partition "
        f"for it. Is it what was asked for? Raise max_bytes if it is."
    )


def _batches(file: BinaryIO, piece: Piece) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    names = piece.dataset.source_names
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        piece.check_columns(list(parquet.schema_arrow.names))
        _check_types(parquet.schema_arrow, piece)
        groups = [parquet.metadata.row_group(number) for number in range(parquet.metadata.num_row_groups)]
        if sum(group.num_rows for group in groups) != parquet.metadata.num_rows:
            raise ValueError(f"it tells {parquet.metadata.num_rows} rows, and its {len(groups)} row groups others")
        if piece.max_bytes is not None and (size := sum(group.total_byte_size for group in groups)) > piece.max_bytes:
            raise DataError(_too_large(piece, size))
        texts = [name for name in names if _is_text(parquet.schema_arrow.field(name).type)]
        with pq.ParquetFile(file, pre_buffer=False, read_dictionary=texts) as compact:
            longest = [_longest_texts(parquet, compact, number, texts) for number in range(len(groups))]
            if piece.max_bytes is not None:
                _measure(compact, longest, piece)
        for number, group in enumerate(groups):
            fixed = sum(_width(parquet.schema_arrow.field(name).type) for name in names)
            by_mean = BATCH_BYTES // max(group.total_byte_size // max(group.num_rows, 1) + fixed, 1)
            by_longest = MOST_BATCH_BYTES // max(sum(longest[number].values()) + fixed, 1)
            at_once = max(1, min(BATCH_ROWS, by_mean, by_longest))
            rows = 0
            for batch in parquet.iter_batches(at_once, row_groups=[number], columns=names, use_threads=True):
                rows += batch.num_rows
                yield batch
            if rows != group.num_rows:
                raise ValueError(f"row group {number} tells {group.num_rows} rows and has {rows}")


def _check_types(schema: pa.Schema, piece: Piece) -> None:
    """Refuse columns of the wrong type before anything of them is decoded, by converting no rows of them."""
    nothing = schema.empty_table()
    for column in piece.dataset.columns:
        convert(nothing[column.source_name], column, lambda _: piece.place)


def _longest_texts(parquet: pq.ParquetFile, compact: pq.ParquetFile, number: int, names: list[str]) -> dict[str, int]:
    """The most bytes that one text may have in a row group, by column, where one may stand for many rows.

    A chunk's metadata is looked at only once a row of it was read: of a damaged one the reader says so, where
    `RowGroupMetaData.column` ends the process (pyarrow 25: a C++ exception that nothing catches).
    """
    group = compact.metadata.row_group(number)
    positions = {compact.schema.column(position).path: position for position in range(group.num_columns)}
    longest = {}
    for name in names if group.num_rows else ():
        if next(parquet.iter_batches(1, row_groups=[number], columns=[name], use_threads=False), None) is None:
            raise ValueError(f"row group {number} tells {group.num_rows} rows and has none")
        chunk = group.column(positions[name])
        if "DELTA_BYTE_ARRAY" in chunk.encodings:  # each is told as what differs from the one before: it may have all that there is
            longest[name] = chunk.total_uncompressed_size
        else:  # the first value comes with the whole dictionary, if there is one
            first = next(compact.iter_batches(1, row_groups=[number], columns=[name], use_threads=False)).column(0)
            longest[name] = _longest(first.dictionary)
    return longest


def _measure(compact: pq.ParquetFile, longest: list[dict[str, int]], piece: Piece) -> None:
    """Refuse texts that would not fit once they are decoded; measured only where they might not."""
    room = piece.max_bytes or 0
    groups = [compact.metadata.row_group(number) for number in range(len(longest))]
    if sum(group.num_rows * sum(texts.values()) for group, texts in zip(groups, longest, strict=True)) <= room:
        return
    sizes: dict[str, int] = {}
    for name in sorted({name for texts in longest for name in texts}):
        sizes[name] = sum(_decoded_bytes(batch.column(0)) for batch in compact.iter_batches(BATCH_ROWS, columns=[name], use_threads=False))
        if sum(sizes.values()) > room:
            raise DataError(_too_large(piece, f"at least {sum(sizes.values())}", max(sizes, key=lambda name: sizes[name])))


def _decoded_bytes(texts: pa.DictionaryArray) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(pc.binary_length(texts.dictionary).cast("int64").take(texts.indices)).as_py() or 0)


def _longest(texts: pa.Array) -> int:
    import pyarrow.compute as pc

    return int(pc.max(pc.binary_length(texts)).as_py() or 0)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary))


def _width(kind: pa.DataType) -> int:
    """The bytes of one value in memory, without a text's characters."""
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return 8


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
