"""From what sources give (text, Python's values, Arrow's columns) to the declared types: exactly, or not at all.

A column is converted whole by Arrow where Arrow takes it. Where it does not, the cells are read one by one in Python:
that reads the few spellings which Arrow does not know, or finds the first bad cell and names it. Both accept the same
cells with the same results:

- ``integer``: digits with an optional sign, within 64 bits; other numbers where they are whole.
- ``number``: a decimal number, exponents too. What is written out (without an exponent, and not a float) past 2^53 only if a float
  holds it exactly; fractions below that are rounded. Never an infinity. NaN in text is refused; in binary data it is a missing value.
- ``string``: text without NUL characters.
- ``timestamp``: ISO 8601 with Z or an offset, in the years 1 to 9999, no finer than a microsecond. Without a zone only where
  the column declares one, and then neither in the hour that comes twice nor in the one that never comes.
- ``boolean``: true, false, 1 and 0, in any case.

Blanks around cells of text count for strings alone.

Whole columns: `text`, `typed` (Arrow's other types) and `moments` (timestamps of both). Single cells: `cells`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from include.evergreen.config import DatasetConfig
from include.evergreen.config.datasets import Column
from include.evergreen.data.partitions.files import arrow_schema
from include.evergreen.data.sources.conversion.cells import one_by_one
from include.evergreen.data.sources.conversion.errors import ALLOWED, Where, bad_cell
from include.evergreen.data.sources.conversion.rules import arrow_type
from include.evergreen.data.sources.conversion.text import from_text
from include.evergreen.data.sources.conversion.typed import from_typed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ALLOWED", "Where", "bad_cell", "convert", "convert_batch"]


def convert_batch(
    dataset: DatasetConfig, columns: Mapping[str, pa.Array | Sequence[object]], where: Where, *, missing: Collection[str] = ()
) -> pa.RecordBatch:
    """Convert some rows to the declared types and order of columns, for a source to deliver; other columns are left.

    Raises `DataError` that names the first bad cell of the first bad column.

    :param dataset: which declares the columns
    :param columns: all declared ones and perhaps others, by the source's names; each has one value for each row, None where there is none
    :param where: says where a row came from, by its index
    :param missing: texts that stand for no value, once the blanks around them are gone; those in string columns are kept
    :returns: a batch in the schema of `arrow_schema`
    """
    import pyarrow as pa

    arrays = [convert(columns[column.source_name], column, where, missing=missing) for column in dataset.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(dataset))


def convert(values: pa.Array | Sequence[object], column: Column, where: Where, *, missing: Collection[str] = ()) -> pa.Array:
    """Convert one column of some rows to its declared type; raises `DataError` that names the first bad cell.

    :param values: Arrow's, or Python's with None for what is missing
    :param column: as it is declared
    :param where: says where a row came from, by its index
    :param missing: texts that stand for no value, as in `convert_batch`
    :returns: as many values, in the type of `arrow_type`
    """
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not isinstance(values, pa.Array):
        array = _inferred(values)
        if array is None:
            return one_by_one(values, column, where, missing)
        values = array
    array = _plain(values)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), arrow_type(column))
    if _is_text(array.type):
        return from_text(array, column, where, missing)
    return from_typed(array, column, where)


def _inferred(values: Sequence[object]) -> pa.Array | None:
    """Python's values as Arrow's, when they are of one simple kind: of mixed kinds Arrow would take some for others."""
    import pyarrow as pa

    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    simple = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}
    if len(kinds) > 1 or (kind := kinds.pop()) not in simple:
        return None
    try:
        return pa.array(values, simple[kind])
    except (pa.ArrowException, OverflowError, UnicodeError):
        return None


def _plain(array: pa.Array) -> pa.Array:
    """Without the ways in which Arrow stores values more compactly."""
    import pyarrow as pa

    while True:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        elif pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        elif pa.types.is_run_end_encoded(array.type):
            array = pa.compute.run_end_decode(array)
        else:
            return array


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    tests = (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
        pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view,
    )  # fmt: skip
    return any(test(kind) for test in tests)
