"""Writes categories as text: by their value, and not by how a day's column happened to be typed.

One missing value turns a column of integers into floats, and 10 into 10.0: another category, which no model has seen.
"""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def as_categories(column: pd.Series) -> pd.Series:
    """Write a column's values as text, equal numbers alike: 10, 10.0 and a nullable 10 are ``10``.

    :param column: values of any type
    :returns: the texts, as pandas' ``string``, with the index of ``column``; missing values stay missing
    """
    import pandas as pd

    if pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty"):
        return column.astype("string")
    texts = [None if missing else category(value) for value, missing in zip(column.astype(object), column.isna(), strict=True)]
    return pd.Series(texts, index=column.index, dtype="string")


def category(value: Any) -> str:
    """Write one value as text.

    :param value: of any type, not missing
    :returns: of a whole number its digits; of a time ISO 8601; of a truth value ``True`` or ``False``; else what Python writes
    """
    import numpy as np

    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real | Decimal) and math.isfinite(value) and value == (whole := math.trunc(value)):
        return str(whole)
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value)
