"""Whole columns of text by Arrow; what it does not take, or takes too freely, goes cell by cell."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.config.datasets import Column
from include.evergreen.data.sources.conversion.cells import is_exact, one_by_one
from include.evergreen.data.sources.conversion.errors import Where
from include.evergreen.data.sources.conversion.rules import BLANKS, EXACT_IN_A_FLOAT, arrow_type
from include.evergreen.data.sources.conversion.timestamps import whole_timestamps

if TYPE_CHECKING:
    import pyarrow as pa

_ALPHABETS = {"integer": b"+-0123456789", "number": b"+-.0123456789eE"}  # Arrow would take 0x1F, inf and nan too


def from_text(array: pa.Array, column: Column, where: Where, missing: Collection[str]) -> pa.Array:
    """Convert a column of text, or of bytes that should be text; raises `DataError` that names the first bad cell.

    :param array: in one of Arrow's types of text or bytes, and stored plainly
    :param column: as it is declared
    :param where: says where a row came from, by its index
    :param missing: texts that stand for no value, once the blanks around them are gone; those in string columns are kept
    :returns: as many values, in the type of `arrow_type`
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    text = _as_utf8(array)
    if text is None:
        return one_by_one(array.cast(pa.binary()).to_pylist(), column, where, missing)
    if (whole := _whole_column(text, column)) is not None:
        return whole
    if column.type != "string":
        trimmed = pc.utf8_trim(text, BLANKS)
        if missing:
            absent = pc.is_in(trimmed, pa.array(list(missing), pa.string()))
            trimmed = pc.if_else(absent, pa.scalar(None, pa.string()), trimmed)
        if (whole := _whole_column(trimmed, column)) is not None:
            return whole
    return one_by_one(text.to_pylist(), column, where, missing)


def _as_utf8(array: pa.Array) -> pa.Array | None:
    """As strings, or None when some cell is not UTF-8."""
    import pyarrow as pa

    try:
        text = array if pa.types.is_string(array.type) else array.cast(pa.string())
        text.validate(full=True)
    except pa.ArrowException:
        return None
    return text


def _whole_column(text: pa.Array, column: Column) -> pa.Array | None:
    """Convert a column of text by Arrow; None when it does not take it all, or might take what it should not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.type == "string":
        return None if (_text_bytes(text) == 0).any() else text
    if column.type == "timestamp":
        return whole_timestamps(text, column)
    try:
        typed = pc.cast(text, arrow_type(column))
    except pa.ArrowException:
        return None
    if column.type in _ALPHABETS and not _consists_of(text, _ALPHABETS[column.type]):
        return None
    return None if column.type == "number" and _loses(text, typed) else typed


def _loses(text: pa.Array, numbers: pa.Array) -> bool:
    """Whether one of these numbers is infinite, or so large that it was rounded."""
    import pyarrow.compute as pc

    large = pc.greater_equal(pc.abs(numbers), EXACT_IN_A_FLOAT)
    if not pc.any(large).as_py():
        return False
    return pc.any(pc.is_inf(numbers)).as_py() or not all(map(is_exact, text.filter(large).to_pylist()))


def _text_bytes(text: pa.Array) -> np.ndarray:
    """All characters of a column of text, those of missing cells too."""
    _, offsets, data = text.buffers()
    if data is None or not len(text):
        return np.zeros(0, dtype=np.uint8)
    ends = np.frombuffer(offsets, dtype=np.int32)
    return np.frombuffer(data, dtype=np.uint8)[ends[text.offset] : ends[text.offset + len(text)]]


def _consists_of(text: pa.Array, alphabet: bytes) -> bool:
    allowed = np.zeros(256, dtype=bool)
    allowed[list(alphabet)] = True
    return bool(allowed[_text_bytes(text)].all())
