"""One cell at a time, in Python: for columns that Arrow does not take whole, and to find which cell is bad, and why."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from include.evergreen.config.datasets import Column
from include.evergreen.data.sources.conversion.errors import Where, bad_cell
from include.evergreen.data.sources.conversion.rules import (
    BLANKS,
    EPOCH,
    EXACT_IN_A_FLOAT,
    FIRST_MOMENT,
    LARGEST_INTEGER,
    LAST_MOMENT,
    MICROSECOND,
    arrow_type,
)
from include.evergreen.foundation.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

INEXACT = "it does not fit a 64-bit float exactly; have the source write fewer digits, or declare the column as integer or string"
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[ T]([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?)?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def one_by_one(values: Sequence[object], column: Column, where: Where, missing: Collection[str]) -> pa.Array:
    """Convert a column of Python's values cell by cell.

    :param values: text, bytes, numbers, booleans, dates or None
    :param column: as it is declared
    :param where: says where a row came from, by its index
    :param missing: texts that stand for no value, once the blanks around them are gone; those in string columns are kept
    :returns: as many values, in the type of `arrow_type`
    :raises DataError: when a cell is not of the column's type; names the first one, and why
    """
    import pyarrow as pa

    cells: list[object] = []
    bad: list[int] = []
    why = ""
    for row, value in enumerate(values):
        try:
            cells.append(None if value is None else _cell(value, column, missing))
        except _Refused as refused:
            bad.append(row)
            why = why or str(refused)
    if bad:
        raise DataError(bad_cell(values[bad[0]], column, where(bad[0]), why=why, cells=len(bad), rows=len(values)))
    if column.type == "timestamp":
        return pa.array(cells, pa.int64()).cast(pa.timestamp("us", "UTC"))
    return pa.array(cells, arrow_type(column))


class _Refused(Exception):
    """A cell that is not of its column's type; says why."""


def _cell(value: object, column: Column, missing: Collection[str]) -> object:
    """One value in the column's type (timestamps as microseconds since 1970), None when it means that there is none."""
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            value = bytes(value).decode()
        except UnicodeDecodeError:
            raise _Refused("it is not UTF-8") from None
    if isinstance(value, str):
        if column.type == "string":
            return _string(value)
        value = value.strip(BLANKS)
        return None if value in missing else _TEXT[column.type](value, column)
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, decimal.Decimal) and value.is_nan():
        return None
    return _value(value, column)


def _value(value: object, column: Column) -> object:
    """A Python value that is not text."""
    kind = column.type
    if isinstance(value, bool):
        if kind == "boolean":
            return value
    elif isinstance(value, int | float | decimal.Decimal):
        if kind in {"integer", "number", "boolean"}:
            return _numeric(value, kind)
    elif kind == "timestamp" and isinstance(value, dt.date):
        moment = value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time())
        return _microseconds(moment, column)
    elif kind == "string" and isinstance(value, uuid.UUID):
        return str(value)
    raise _Refused(f"it is of the type {type(value).__name__}")


def _numeric(value: float | decimal.Decimal, kind: str) -> object:
    if not (value.is_finite() if isinstance(value, decimal.Decimal) else isinstance(value, int) or math.isfinite(value)):
        raise _Refused("it is infinite")
    if kind == "boolean":
        if value not in {0, 1}:
            raise _Refused("it is neither 0 nor 1")
        return bool(value)
    if kind == "number":
        return _number(value)
    if isinstance(value, float) and (value != math.floor(value) or abs(value) >= EXACT_IN_A_FLOAT):
        raise _Refused("it has a fraction, or is past what a float holds exactly")
    if not -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER:
        raise _Refused("it is past 64 bits")
    if value != int(value):
        raise _Refused("it has a fraction")
    return int(value)


def _number(value: float | decimal.Decimal) -> float:
    """The float that a number is, rounded in its fraction alone: a large one that is written out must be held exactly."""
    try:
        number = _finite(float(value))
    except OverflowError:
        raise _Refused(INEXACT) from None
    if abs(decimal.Decimal(value)) > EXACT_IN_A_FLOAT and number != value:
        raise _Refused(INEXACT)
    return number


def is_exact(text: str) -> bool:
    """Tell whether a number in text keeps its value as a float, as far as it claims to.

    :param text: a decimal number; with an exponent, or with a fraction and below 2^53, it claims no more than a float holds
    :returns: whether nothing is lost that it claims
    """
    number = float(text)
    return abs(number) < EXACT_IN_A_FLOAT or "e" in text.lower() or decimal.Decimal(text) == number


def _string(text: str) -> str:
    if "\0" in text:
        raise _Refused("it has a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Refused("it has half of a surrogate pair, which is no character") from None
    return text


def _text_to_integer(text: str, _: Column) -> int:
    if not _INTEGER.fullmatch(text):
        if (number := _NUMBER.fullmatch(text)) and number[2]:
            raise _Refused("it has a fraction")
        raise _Refused("it is no whole number")
    digits = text.lstrip("+-").lstrip("0") or "0"
    value = int(digits) if len(digits) < 20 else LARGEST_INTEGER + 2
    value = -value if text.startswith("-") else value
    if not -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER:
        raise _Refused("it is past 64 bits")
    return value


def _text_to_number(text: str, _: Column) -> float:
    if not _NUMBER.fullmatch(text):
        if text.lower().lstrip("+-") in {"nan", "inf", "infinity"}:
            raise _Refused("it is no finite number; if it means that there is no value, add it to the source's missing_values")
        raise _Refused("it is no number")
    number = _finite(float(text))
    if not is_exact(text):
        raise _Refused(INEXACT)
    return number


def _finite(number: float) -> float:
    if math.isinf(number):
        raise _Refused("it is past what a 64-bit float holds")
    return number


def _text_to_boolean(text: str, _: Column) -> bool:
    if text.isascii() and (value := _BOOLEANS.get(text.lower())) is not None:
        return value
    raise _Refused("it is neither true nor false")


def _text_to_timestamp(text: str, column: Column) -> int:
    parts = _TIMESTAMP.fullmatch(text)
    if parts is None:
        raise _Refused("it is not written as ISO 8601")
    fraction = parts[7] or ""
    if fraction[6:].strip("0"):
        raise _Refused("it is finer than a microsecond")
    try:
        moment = dt.datetime(
            int(parts[1]), int(parts[2]), int(parts[3]), int(parts[4] or 0), int(parts[5] or 0), int(parts[6] or 0),
            int(fraction[:6].ljust(6, "0")),
        )  # fmt: skip
    except ValueError:
        raise _Refused("there is no such moment") from None
    if parts[8] is None:
        return _microseconds(moment, column)
    if parts[8] == "Z":
        return _microseconds(moment.replace(tzinfo=dt.UTC), column)
    hours, minutes = int(parts[8][1:3]), int(parts[8][3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise _Refused("its offset from UTC is not within a day")
    offset = dt.timedelta(hours=hours, minutes=minutes)
    return _microseconds(moment.replace(tzinfo=dt.timezone(-offset if parts[8][0] == "-" else offset)), column)


def _microseconds(moment: dt.datetime, column: Column) -> int:
    if moment.tzinfo is None:
        if column.timezone is None:
            raise _Refused("it names no zone; if the source means one, declare it as the column's timezone")
        moment = moment.replace(tzinfo=ZoneInfo(column.timezone), fold=0)
        offsets = [moment.replace(fold=fold).utcoffset() or dt.timedelta() for fold in (0, 1)]
        if offsets[0] > offsets[1]:
            raise _Refused(f"the clocks of {column.timezone} show that moment twice; have the source write the offset")
        if offsets[0] < offsets[1]:
            raise _Refused(f"the clocks of {column.timezone} leave that moment out; have the source write the offset")
    # In integers: where an offset is subtracted, the moment may leave the calendar.
    local = (moment.replace(tzinfo=None) - EPOCH.replace(tzinfo=None)) // MICROSECOND
    count = local - (moment.utcoffset() or dt.timedelta()) // MICROSECOND
    if not FIRST_MOMENT <= count <= LAST_MOMENT:
        raise _Refused("its year is not among 1 to 9999")
    return count


_TEXT: dict[str, Callable[[str, Column], object]] = {
    "integer": _text_to_integer,
    "number": _text_to_number,
    "boolean": _text_to_boolean,
    "timestamp": _text_to_timestamp,
}
