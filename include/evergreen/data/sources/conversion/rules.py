"""What all ways of converting share: each declared type in Arrow, its bounds, and the blanks that do not count."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from include.evergreen.config.datasets import Column

if TYPE_CHECKING:
    import pyarrow as pa

BLANKS = " \t"
LARGEST_INTEGER = 2**63 - 1
EXACT_IN_A_FLOAT = 2**53
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
FIRST_MOMENT = (dt.datetime.min.replace(tzinfo=dt.UTC) - EPOCH) // MICROSECOND
LAST_MOMENT = (dt.datetime.max.replace(tzinfo=dt.UTC) - EPOCH) // MICROSECOND


def arrow_type(column: Column) -> pa.DataType:
    """Tell the Arrow type of a column's values, as `arrow_schema` has it.

    :param column: as it is declared
    :returns: int64, double, string, bool or timestamp[us, UTC]
    """
    import pyarrow as pa

    return {
        "integer": pa.int64(),
        "number": pa.float64(),
        "string": pa.string(),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us", "UTC"),
    }[column.type]
