"""Uniqueness checks on large partitions: finds rows that may be duplicates without holding their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.data.validation.rows import RawRows

if TYPE_CHECKING:
    import pyarrow as pa

_MIX = np.uint64(0x9E3779B97F4A7C15)


def possible_duplicates(raw: RawRows, columns: Sequence[str]) -> np.ndarray:
    """Find all rows that equal another row in some columns, and a few that only share a hash with one. Holds two 64-bit integers a row.

    :param raw: the partition's rows
    :param columns: the names of those that are compared; missing values equal each other
    :returns: the rows' positions, int64, sorted
    """
    hashes = np.empty(raw.rows, dtype=np.uint64)
    for first, table in raw.tables(columns):
        part = np.zeros(table.num_rows, dtype=np.uint64)
        for name in columns:
            part *= np.uint64(31)
            part += _hashes(table.column(name))
            part ^= part >> np.uint64(29)
            part *= _MIX
        hashes[first : first + table.num_rows] = part
    in_order = np.sort(hashes)
    shared = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    del in_order
    if not len(shared):
        return np.empty(0, dtype=np.int64)
    place = np.searchsorted(shared, hashes).clip(max=len(shared) - 1)
    return np.flatnonzero(shared[place] == hashes)


def _hashes(column: pa.ChunkedArray) -> np.ndarray:
    """A hash for each value: the same for values that are equal, whatever their bits."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        encoded = pc.dictionary_encode(column).combine_chunks()
        encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
        texts = pd.util.hash_array(encoded.dictionary.to_numpy(zero_copy_only=False), categorize=False)
        of_row: np.ndarray = np.append(texts, np.uint64(1))[pc.fill_null(encoded.indices, len(texts)).to_numpy(zero_copy_only=False)]
        return of_row
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    missing = column.is_null().to_numpy() if column.null_count else None
    if missing is not None:
        column = pc.fill_null(column, pa.scalar(False if pa.types.is_boolean(column.type) else 0).cast(column.type))
    values = column.to_numpy()
    if values.dtype.kind == "f":
        missing = np.isnan(values) if missing is None else missing | np.isnan(values)
        values = np.where(missing, 0.0, values) + 0.0  # -0.0 equals 0.0
    else:
        values = values.astype(np.int64)
    hashes: np.ndarray = values.view(np.uint64) * _MIX
    hashes ^= hashes >> np.uint64(32)
    if missing is not None:
        hashes[missing] = 1
    return hashes
