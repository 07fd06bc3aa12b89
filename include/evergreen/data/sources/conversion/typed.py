"""Whole columns of Arrow's numbers, booleans and moments, wherever nothing is lost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from include.evergreen.config.datasets import Column
from include.evergreen.data.sources.conversion.cells import one_by_one
from include.evergreen.data.sources.conversion.errors import ALLOWED, Where, refuse_cells
from include.evergreen.data.sources.conversion.rules import EXACT_IN_A_FLOAT, LARGEST_INTEGER, arrow_type
from include.evergreen.data.sources.conversion.timestamps import from_moments
from include.evergreen.foundation.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def from_typed(array: pa.Array, column: Column, where: Where) -> pa.Array:
    """Convert a column of Arrow's that is no text.

    :param array: in any type but text and bytes, and stored plainly
    :param column: as it is declared
    :param where: says where a row came from, by its index
    :returns: as many values, in the type of `arrow_type`
    :raises DataError: when the type cannot be read without loss, or a cell cannot; names the type, or the first bad cell
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if kind.equals(arrow_type(column)) and column.type in {"integer", "boolean"}:
        return array
    if pa.types.is_decimal(kind) and column.type in {"integer", "number"}:
        return one_by_one(array.to_pylist(), column, where, ())
    if column.type == "timestamp" and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return from_moments(array, column, where)
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if numeric and column.type in {"integer", "number", "boolean"}:
        return _from_numbers(array, column, where)
    if pa.types.is_floating(kind) and pc.all(pc.is_nan(array.cast(pa.float64()).fill_null(math.nan))).as_py():
        return pa.nulls(len(array), arrow_type(column))  # what pandas makes of a column without values
    raise DataError(
        f"{where(0)}: {column.label} is of the type {kind}, which cannot be read as {column.type} without loss; "
        f"allowed: {ALLOWED[column.type]}. Fix it at its source, or change the column's type in dataset.yaml."
    )


def _from_numbers(array: pa.Array, column: Column, where: Where) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    floating = pa.types.is_floating(array.type)
    if floating:
        array = array.cast(pa.float64())
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array)
    if column.type == "number" and not floating and pc.any(_beyond(array)).as_py():
        return one_by_one(array.to_pylist(), column, where, ())
    if column.type == "number":
        bad, why = pc.is_inf(array.cast(pa.float64())), "it is infinite"
    elif column.type == "boolean":
        bad, why = pc.invert(pc.or_(pc.equal(array, 0), pc.equal(array, 1))), "it is neither 0 nor 1"
    elif floating:
        beyond = pc.greater_equal(pc.abs(array), EXACT_IN_A_FLOAT)  # 2^53 may be what 2^53 + 1 was rounded to
        bad, why = pc.or_(beyond, pc.not_equal(pc.floor(array), array)), "it has a fraction, or is past what a float holds exactly"
    elif pa.types.is_uint64(array.type):
        bad, why = pc.greater(array, pa.scalar(LARGEST_INTEGER, array.type)), "it is past 64 bits"
    else:
        return array.cast(pa.int64())
    refuse_cells(bad, array, column, where, why)
    return pc.equal(array, 1) if column.type == "boolean" else array.cast(arrow_type(column))


def _beyond(array: pa.Array) -> pa.Array:
    """Which numbers are so large that floats skip some of their neighbours."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(array.type) and array.type.bit_width < 64:
        return pa.repeat(False, len(array))
    if pa.types.is_unsigned_integer(array.type):
        return pc.greater(array, pa.scalar(EXACT_IN_A_FLOAT, array.type))
    return pc.or_(pc.greater(array, EXACT_IN_A_FLOAT), pc.less(array, -EXACT_IN_A_FLOAT))
