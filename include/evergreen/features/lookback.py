"""Lookback features: trailing aggregates by group, and the latest row at or before a timestamp (as-of join)."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Aggregation = Literal["count", "sum", "mean", "rate", "missing"]
NO_GROUP = -1
_TIME, _GROUP, _MOMENT, _ROW = "\0time", "\0group", "\0moment", "\0row"  # beside a dataset's own columns, of which none has such a name


def trailing_values(
    rows: pd.DataFrame, window: pd.DataFrame, *, keys: Sequence[str], column: str, agg: Aggregation, threshold: float | None
) -> pd.Series:
    """Compute what `PointInTimeReader.trailing` documents.

    :param rows: the rows that get a figure
    :param window: the rows of the past that the figures are over
    :param keys: the columns of both that say which rows belong together; none: all of them do
    :param column: the column of ``window`` that the figure is of
    :param agg: which figure
    :param threshold: for ``rate``, the number that a value must exceed
    :returns: one float for each of ``rows``, with their index
    """
    import pandas as pd

    if window.empty:
        return pd.Series(np.nan, index=rows.index, dtype="float64")
    wanted, given = group_numbers([rows, window], keys)
    groups = max(wanted.max(initial=NO_GROUP), given.max()) + 1
    belongs = given != NO_GROUP
    there = belongs & window[column].notna().to_numpy()
    counts = np.bincount(given[there], minlength=groups).astype("float64")
    with np.errstate(invalid="ignore"):  # 0 of 0 is missing, as documented
        if agg == "count":
            figures = counts
        elif agg == "missing":
            of_all = np.bincount(given[belongs], minlength=groups)
            figures = (of_all - counts) / of_all
        else:
            values = window[column].to_numpy(dtype="float64", na_value=np.nan)
            if agg == "rate":
                figures = np.bincount(given[there & (values > threshold)], minlength=groups) / counts
            else:
                sums = np.where(counts > 0, _exact_sums(values[there], given[there], groups), np.nan)
                figures = sums if agg == "sum" else sums / counts
    nothing = 0.0 if agg == "count" else np.nan
    return pd.Series(np.append(figures, nothing)[wanted], index=rows.index, dtype="float64")  # NO_GROUP finds the last


def latest_rows(
    rows: pd.DataFrame,
    window: pd.DataFrame,
    *,
    keys: Sequence[str],
    time: str,
    columns: Sequence[str],
    moments: pd.Series | dt.datetime,
    tolerance: dt.timedelta | None,
    known: Sequence[str] = (),
) -> pd.DataFrame:
    """Compute what `PointInTimeReader.latest` documents.

    :param rows: the rows that get columns
    :param window: the rows of the past among which the latest is looked for
    :param keys: the columns of both that say which rows belong together; none: all of them do
    :param time: the timestamp column of ``window``
    :param columns: the columns of ``window`` to give
    :param moments: the timestamp of each of ``rows``, or one for all of them
    :param tolerance: how long before it the latest row may be; None: however long
    :param known: the column of ``window`` that says when each row was known, which decides between rows of one time; none: values do
    :returns: ``columns`` for each of ``rows``, with their index; missing where there is no such row
    """
    import pandas as pd

    if window.empty:
        return pd.DataFrame(np.nan, index=rows.index, columns=list(columns))
    wanted, given = group_numbers([rows, window], keys)
    # merge_asof wants one unit of time on both sides, and takes the last of several at one timestamp
    asking = pd.DataFrame({_GROUP: wanted, _MOMENT: _in_one_unit(pd.Series(moments, index=rows.index)), _ROW: np.arange(len(rows))})
    given_rows = window[[*columns, *known]].copy()
    given_rows[_TIME], given_rows[_GROUP] = _in_one_unit(window[time]), given
    usable = given_rows[_TIME].notna() & (given_rows[_GROUP] != NO_GROUP)
    joined = pd.merge_asof(
        asking[asking[_MOMENT].notna() & (asking[_GROUP] != NO_GROUP)].sort_values(_MOMENT),
        given_rows[usable].sort_values([_TIME, *known, *columns], na_position="first"),
        left_on=_MOMENT,
        right_on=_TIME,
        by=_GROUP,
        tolerance=pd.Timedelta(tolerance) if tolerance is not None else None,
    )
    return joined.set_index(_ROW)[list(columns)].reindex(range(len(rows))).set_axis(rows.index)


def valid_rows(
    rows: pd.DataFrame,
    table: pd.DataFrame,
    *,
    keys: Sequence[str],
    valid_from: str,
    valid_to: str | None,
    columns: Sequence[str],
    moments: pd.Series | dt.datetime,
    known: Sequence[str] = (),
) -> pd.DataFrame:
    """Find for each row the one whose values hold at its moment: a join with a dimension that changes slowly (type 2).

    :param rows: the rows that get columns
    :param table: the rows among which it is looked for
    :param keys: the columns of both that say which rows belong together; none: all of them do
    :param valid_from: the timestamp column of ``table`` from which on a row holds, itself included
    :param valid_to: that until which it holds, itself excluded; missing in a row: it holds on. None: until the next one begins
    :param columns: the columns of ``table`` to give
    :param moments: the timestamp of each of ``rows``, or one for all of them
    :param known: as `latest_rows` takes it
    :returns: ``columns`` for each of ``rows``, with their index; missing where no row holds
    """
    import pandas as pd

    asked = list(dict.fromkeys([*columns, *filter(None, [valid_to])]))
    found = latest_rows(rows, table, keys=keys, time=valid_from, columns=asked, moments=moments, tolerance=None, known=known)
    return valid_only(found, None if table.empty else valid_to, pd.Series(moments, index=rows.index))[list(columns)]


def valid_only(found: pd.DataFrame, valid_to: str | None, moments: pd.Series) -> pd.DataFrame:
    """Leave out what no longer holds.

    :param found: for each row what last began to hold, with the column ``valid_to``
    :param valid_to: the timestamp column until which it holds, itself excluded; None: it holds on
    :param moments: the timestamp of each row, in the same order
    :returns: the same columns, missing where nothing holds
    """
    import pandas as pd

    if valid_to is None:
        return found
    is_over = (_in_one_unit(found[valid_to]) <= _in_one_unit(moments)).to_numpy()
    return pd.DataFrame({name: found[name].mask(is_over) for name in found.columns}, index=found.index)


def looked_up(rows: pd.DataFrame, table: pd.DataFrame, *, keys: Sequence[str], columns: Sequence[str]) -> pd.DataFrame | None:
    """Find for each row the one of a table that has its keys.

    :param rows: the rows that get columns
    :param table: the rows among which it is looked for
    :param keys: the columns of both that must be equal
    :param columns: the columns of ``table`` to give
    :returns: ``columns`` for each of ``rows``, with their index, missing where there is no such row; None when several rows of the table
        share their keys
    """
    wanted, given = group_numbers([rows, table], keys)
    places = np.flatnonzero(given != NO_GROUP)
    if len(np.unique(given[places])) < len(places):
        return None
    place_of = np.full(max(wanted.max(initial=NO_GROUP), given.max(initial=NO_GROUP)) + 2, -1)  # NO_GROUP finds the last
    place_of[given[places]] = places
    return table[list(columns)].reset_index(drop=True).reindex(place_of[wanted]).set_axis(rows.index)


def group_numbers(frames: Sequence[pd.DataFrame], keys: Sequence[str]) -> list[np.ndarray]:
    """Number the groups that rows of several frames fall into.

    :param frames: the frames, all with the columns ``keys``
    :param keys: the columns that say which rows belong together; none: all of them do
    :returns: for each frame the group of each of its rows, from 0: equal keys have one number, in all frames; `NO_GROUP` where one is
        missing
    """
    import pandas as pd

    if not keys:
        return [np.zeros(len(frame), dtype=np.int64) for frame in frames]
    numbers, *others = [_value_numbers([frame[name] for frame in frames]) for name in keys]
    for other in others:
        is_missing = (numbers == NO_GROUP) | (other == NO_GROUP)
        numbers = pd.factorize(numbers * (other.max(initial=0) + 1) + other)[0]
        numbers[is_missing] = NO_GROUP
    return np.split(numbers, np.cumsum([len(frame) for frame in frames])[:-1])


def _value_numbers(columns: Sequence[pd.Series]) -> np.ndarray:
    """The number of each value, as `group_numbers` gives them, of one column after the other."""
    import pandas as pd

    return pd.factorize(pd.concat(columns, ignore_index=True))[0].astype(np.int64, copy=False)  # which says -1 for a missing one


def _in_one_unit(moments: pd.Series) -> pd.Series:
    return moments.astype("datetime64[us, UTC]")


def _exact_sums(values: np.ndarray, groups: np.ndarray, number: int) -> np.ndarray:
    """The sum of each group's values, rounded once: the same to the last bit in whatever order they come."""
    order = np.argsort(groups, kind="stable")
    ends = np.searchsorted(groups[order], np.arange(number), side="right")
    parts = np.split(values[order], ends[:-1])
    return np.array([math.fsum(part) for part in parts], dtype="float64")
