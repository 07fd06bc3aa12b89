"""A content digest of a frame: over every row, column and type, and over nothing else.

It does not depend on how Parquet encodes the rows, nor on their order where keys define one.
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


def frame_digest(frame: pd.DataFrame, keys: Sequence[str] = ()) -> str:
    """SHA-256, in hex, of ``frame``'s content; rows are put in the order of ``keys`` first."""
    import pyarrow as pa

    ordered = frame.sort_values(list(keys), kind="stable") if keys else frame
    table = pa.Table.from_pandas(ordered, preserve_index=False)
    hasher = hashlib.sha256(f"{table.num_rows}x{table.num_columns}".encode())
    for name in table.column_names:
        _add_column(hasher, name, table.column(name).combine_chunks())
    return hasher.hexdigest()


def document_digest(document: Any) -> str:
    """SHA-256, in hex, of a JSON document in canonical form (sorted keys, no blanks)."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()


def canonical_json(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)


def _add_column(hasher: hashlib._Hash, name: str, column: pa.Array | pa.ChunkedArray) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):  # combine_chunks keeps chunks for an empty column
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    hasher.update(f"|{name}|{column.type}|".encode())
    hasher.update(np.packbits(pc.is_null(column).to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        filled = pc.fill_null(column, "")
        hasher.update(pc.cast(pc.binary_length(filled), pa.int64()).to_numpy(zero_copy_only=False).tobytes())
        hasher.update("".join(filled.to_pylist()).encode())
    elif pa.types.is_null(column.type):
        return
    elif pa.types.is_timestamp(column.type):
        hasher.update(pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False).tobytes())
    else:
        zero = pa.scalar(False if pa.types.is_boolean(column.type) else 0).cast(column.type)
        hasher.update(np.ascontiguousarray(pc.fill_null(column, zero).to_numpy(zero_copy_only=False)).tobytes())
