"""A content digest of rows: over every row, column and type, and over nothing else.

It does not depend on how Parquet encodes the rows or cuts them into groups, nor on their order where keys define one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class ContentDigest:
    """SHA-256 of rows that come a batch at a time; the same rows in the same order give the same digest however they are cut.

    :param schema: names and types of the columns, which are part of the digest
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = 0
        self._columns = [_ColumnDigest(field.name, field.type) for field in schema]

    def update(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Add rows behind those that were added before.

        :param batch: its columns are in the schema's order, and have the schema's types
        """
        for column, digest in zip(batch.columns, self._columns, strict=True):
            for chunk in getattr(column, "chunks", [column]):
                digest.update(chunk)
        self.rows += batch.num_rows

    def hexdigest(self) -> str:
        """Compute the digest of all rows so far; more may be added afterwards.

        :returns: SHA-256, as 64 hex digits
        """
        whole = hashlib.sha256(f"{self.rows}x{len(self._columns)}".encode())
        for column in self._columns:
            whole.update(column.digest())
        return whole.hexdigest()


def table_digest(table: pa.Table, keys: Sequence[str] = ()) -> str:
    """Digest a table's content.

    :param table: whose rows, columns and types count; how it is cut into chunks does not
    :param keys: names of the columns by which rows are put in order first; none: the order of the rows counts
    :returns: SHA-256, as 64 hex digits
    """
    digest = ContentDigest(table.schema)
    digest.update(in_order(table, keys))
    return digest.hexdigest()


def frame_digest(frame: pd.DataFrame, keys: Sequence[str] = ()) -> str:
    """Digest a data frame's content as `table_digest` does a table's.

    :param frame: its index does not count, and NaN is a missing value
    :param keys: names of the columns by which rows are put in order first; none: the order of the rows counts
    :returns: SHA-256, as 64 hex digits
    """
    import pyarrow as pa

    return table_digest(pa.Table.from_pandas(frame, preserve_index=False), keys)


def in_order(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Put rows in the order of their keys: the one that digests are blind to, so that it must not reach anyone's sums.

    :param table: the rows
    :param keys: names of the columns to sort by, ascending, missing values last; none: the rows stay as they are
    :returns: the sorted rows; ``table`` itself when it is in order already
    """
    if not keys or not table.num_rows:
        return table
    import pyarrow.compute as pc

    order = pc.sort_indices(table, sort_keys=[(key, "ascending") for key in keys])
    already = np.array_equal(order.to_numpy(), np.arange(table.num_rows, dtype=np.uint64))
    return table if already else table.take(order)


def document_digest(document: Any) -> str:
    """Digest a JSON document in its canonical form.

    :param document: as `canonical_json` takes it
    :returns: SHA-256, as 64 hex digits
    """
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()


def canonical_json(document: Any) -> str:
    """Write a JSON document as the one text of which digests are made.

    :param document: of Python's own types; dates and the like are written by ``str``
    :returns: the text in ASCII, with sorted keys and without blanks
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)


class _ColumnDigest:
    """One column: where it has no value, the values, and of text and lists the lengths, each hashed apart so that no cut shows.

    :param name: the column's name, which is part of the digest
    :param kind: the column's type, likewise; a dictionary counts as its values' type, large text as text; what
        a list holds is a column of its own
    """

    def __init__(self, name: str, kind: pa.DataType) -> None:
        self._head = f"|{name}|{_type_name(kind)}|".encode()
        self._rows = 0
        self._missing, self._values, self._lengths = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        self._within = _ColumnDigest("", kind.value_type) if _is_list(kind) else None

    def update(self, column: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if column.null_count:
            missing = np.flatnonzero(pc.is_null(column).to_numpy(zero_copy_only=False))
            self._missing.update(np.ascontiguousarray(missing + self._rows, dtype="<i8").data)
        self._rows += len(column)
        if pa.types.is_null(column.type):
            return
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            self._add_text(pc.fill_null(column, "") if column.null_count else column)
            return
        if self._within is not None:
            lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int64())
            self._lengths.update(np.ascontiguousarray(lengths.to_numpy(zero_copy_only=False), dtype="<i8").data)
            self._within.update(column.flatten())
            return
        if pa.types.is_temporal(column.type):
            column = column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())
        if column.null_count:
            column = pc.fill_null(column, pa.scalar(False if pa.types.is_boolean(column.type) else 0).cast(column.type))
        values = np.ascontiguousarray(column.to_numpy(zero_copy_only=False))
        if values.dtype.hasobject:  # whose addresses would be hashed, and not what they hold
            raise TypeError(f"no digest is defined of columns of the type {column.type}")
        self._values.update(values.data)

    def digest(self) -> bytes:
        within = self._within.digest() if self._within is not None else b""
        return self._head + self._missing.digest() + self._values.digest() + self._lengths.digest() + within

    def _add_text(self, column: pa.Array) -> None:
        width = "<i8" if str(column.type).startswith("large") else "<i4"
        _, offset_buffer, data = column.buffers()
        offsets = np.frombuffer(offset_buffer, dtype=width)[column.offset : column.offset + len(column) + 1] if len(column) else np.zeros(1)
        self._lengths.update(np.ascontiguousarray(np.diff(offsets), dtype="<i8").data)
        if data is not None:
            self._values.update(memoryview(data)[int(offsets[0]) : int(offsets[-1])])


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _type_name(kind: pa.DataType) -> str:
    import pyarrow as pa

    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if _is_list(plain):
        return f"list<{_type_name(plain.value_type)}>"
    return "string" if pa.types.is_large_string(plain) else str(plain)
