"""Whole columns of timestamps by Arrow: of text, and of Arrow's own timestamps and dates."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, cast

from include.evergreen.config.datasets import Column
from include.evergreen.data.sources.conversion.cells import one_by_one
from include.evergreen.data.sources.conversion.errors import Where, refuse_cells
from include.evergreen.data.sources.conversion.rules import EPOCH, FIRST_MOMENT, LAST_MOMENT, MICROSECOND

if TYPE_CHECKING:
    import pyarrow as pa

_ZONES_KNOWN_UNTIL = (dt.datetime(2037, 1, 1, tzinfo=dt.UTC) - EPOCH) // MICROSECOND  # from then on Arrow forgets summer time


def whole_timestamps(text: pa.Array, column: Column) -> pa.Array | None:
    """Convert a column of text to timestamps by Arrow.

    :param text: in UTF-8
    :param column: as it is declared; its time zone is that of times without one
    :returns: as many moments, as timestamp[us, UTC]; None when Arrow does not take it all, or might take what it should not
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for unit in ("us", "ns"):
        for zone in ("UTC", None) if column.timezone else ("UTC",):
            try:
                moments = pc.cast(pc.cast(text, pa.timestamp(unit, zone)), pa.timestamp("us", zone))
            except pa.ArrowException:
                continue
            if unit == "ns" and not _within_nanoseconds(text):
                return None
            return _in_range(moments if zone else _localised(moments, cast(str, column.timezone)))
    return None


def from_moments(array: pa.Array, column: Column, where: Where) -> pa.Array:
    """Convert a column of Arrow's timestamps or dates; raises `DataError` that names the first bad cell.

    :param array: the moments, in any unit; a date is its midnight
    :param column: as it is declared; its time zone is that of times without one
    :param where: says where a row came from, by its index
    :returns: as many moments, as timestamp[us, UTC]
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s") if pa.types.is_date32(array.type) else pa.timestamp("ms"))
    zone, unit = array.type.tz, array.type.unit
    numbers = array.cast(pa.int64())
    per_second = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}[unit]
    if per_second > 10**6:
        whole = pc.divide(numbers, 1000)
        bad = pc.not_equal(pc.multiply(whole, 1000), numbers)
        refuse_cells(bad, numbers, column, where, "it is finer than a microsecond", show=lambda count: f"{count} ns since 1970")
        numbers = whole
    else:
        factor = 10**6 // per_second
        first, last = -((-FIRST_MOMENT) // factor), LAST_MOMENT // factor
        bad = pc.or_(pc.less(numbers, first), pc.greater(numbers, last))
        refuse_cells(bad, numbers, column, where, "its year is not among 1 to 9999", show=lambda count: f"{count} {unit} since 1970")
        numbers = pc.multiply(numbers, factor)
    if zone is not None:
        return numbers.cast(pa.timestamp("us", "UTC"))
    naive = numbers.cast(pa.timestamp("us"))
    if column.timezone and (moments := _in_range(_localised(naive, column.timezone))) is not None:
        return moments
    return one_by_one(naive.to_pylist(), column, where, ())


def _within_nanoseconds(text: pa.Array) -> bool:
    """Whether all cells name years that fit 64 bits of nanoseconds: Arrow does not notice when they do not."""
    import pyarrow.compute as pc

    years = pc.min_max(pc.utf8_slice_codeunits(text, 0, 4))
    return years["min"].as_py() is None or "1678" <= years["min"].as_py() <= years["max"].as_py() <= "2261"


def _in_range(moments: pa.Array | None) -> pa.Array | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if moments is None:
        return None
    numbers = pc.min_max(moments.cast(pa.int64()))
    first, last = numbers["min"].as_py(), numbers["max"].as_py()
    return moments if first is None or FIRST_MOMENT <= first <= last <= LAST_MOMENT else None


def _localised(moments: pa.Array, zone: str) -> pa.Array | None:
    """Moments of a zone's clocks in UTC, or None when one comes twice or never, or is too far off for Arrow."""
    import pyarrow as pa
    import pyarrow.compute as pc

    latest = pc.max(moments.cast(pa.int64())).as_py()
    if latest is not None and latest >= _ZONES_KNOWN_UNTIL:
        return None
    try:
        return pc.assume_timezone(moments, zone, ambiguous="raise", nonexistent="raise").cast(pa.timestamp("us", "UTC"))
    except pa.ArrowException:
        return None
