"""Look-backs of rows that are scored at their own times: of each, what was known then.

A fact (a row of another partition, or of the same one) is seen from one moment until another: from when it was known, until it is corrected
or its partition leaves the window. All rows are looked up together, however many moments there are. Moments are whole microseconds since
1970, in arrays.
"""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.data.partitions import PartitionVersion
from include.evergreen.features.lookback import NO_GROUP, Aggregation, group_numbers
from include.evergreen.foundation.grain import Partition

if TYPE_CHECKING:
    import pandas as pd

NEVER = np.iinfo(np.int64).max
MISSING = np.iinfo(np.int64).min  # a moment that is not there, as NumPy and pandas write it
LONGEST_BLOCK = 10  # facts that are passed over together: two to the power of it, at most
_TIME, _GROUP = "\0time", "\0group"  # beside a dataset's own columns, of which none has such a name
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Reads:
    """From a moment on, rows read the partitions of an input from ``first`` to ``newest``, until the next such moment."""

    begins: dt.datetime
    first: Partition
    newest: Partition


@dataclass(frozen=True)
class SeenVersion:
    """A version of a partition, and from when until when it is the one that is seen; ``until`` is excluded."""

    version: PartitionVersion
    since: int
    until: int


@dataclass(frozen=True)
class Facts:
    """Rows of an input, with from when until when each is seen, and from when until when anything of the input is.

    ``rows``, ``since``, ``until`` and ``version``, a number of the one that a row is of, are of one length; ``there`` has two arrays of
    moments, each in order: at which a version came into sight, and at which one went out of it.
    """

    rows: pd.DataFrame
    since: np.ndarray
    until: np.ndarray
    version: np.ndarray
    there: tuple[np.ndarray, np.ndarray]

    def is_there(self, moments: np.ndarray) -> np.ndarray:
        """Tell whether any partition of the input was known.

        :param moments: the rows' own times
        :returns: a mask of them
        """
        came, went = (np.searchsorted(each, moments, side="right") for each in self.there)
        return came > went


def microseconds(moment: dt.datetime) -> int:
    """Count the microseconds since 1970.

    :param moment: aware
    :returns: the number
    """
    return (moment - _EPOCH) // dt.timedelta.resolution


def as_microseconds(moments: pd.Series) -> np.ndarray:
    """Count the microseconds since 1970.

    :param moments: timestamps with a zone
    :returns: the numbers; `MISSING` where there is none
    """
    return moments.astype("datetime64[us, UTC]").to_numpy(dtype="datetime64[us]").view(np.int64)


def seen_versions(
    reads: Sequence[Reads], versions: Mapping[Partition, Sequence[PartitionVersion]], *, newest_alone: bool = False
) -> list[SeenVersion]:
    """Find from when until when each version is seen.

    :param reads: which partitions are read from when on, in the order of time; neither ``first`` nor ``newest`` ever goes back
    :param versions: of each partition, in the order in which they supersede one another
    :param newest_alone: whether a newer partition that is known takes the place of all before it, as in a table that is replaced
    :returns: those that are seen at any time, by partition and version
    """
    begins, firsts, newests = (list(each) for each in zip(*((read.begins, read.first, read.newest) for read in reads), strict=True))
    seen: list[SeenVersion] = []
    replaced = NEVER  # from when on a newer partition is known
    for partition in sorted(versions, reverse=True):
        enters, leaves = bisect_left(newests, partition), bisect_right(firsts, partition)
        if enters >= leaves:
            continue
        entry = microseconds(begins[enters])
        exit_ = min(microseconds(begins[leaves]) if leaves < len(begins) else NEVER, replaced if newest_alone else NEVER)
        superseded = NEVER
        for version in reversed(versions[partition]):
            known = microseconds(version.knowledge_time)
            since, until = max(entry, known), min(exit_, superseded)
            if since < until:
                seen.append(SeenVersion(version, since, until))
            superseded = min(superseded, known)
        replaced = min(replaced, max(entry, superseded))
    return seen[::-1]


def make_facts(parts: Sequence[tuple[SeenVersion, pd.DataFrame, np.ndarray]], columns: Sequence[str]) -> Facts:
    """Put the rows of several versions together.

    :param parts: of each version its rows, and from when on each of them is a fact that is known
    :param columns: the columns of the rows, for the case that there are no versions
    :returns: the facts that are seen at any time
    """
    import pandas as pd

    came = np.sort(np.array([each.since for each, _, _ in parts], dtype=np.int64))
    went = np.sort(np.array([each.until for each, _, _ in parts], dtype=np.int64))
    if not parts:
        nothing = np.empty(0, dtype=np.int64)
        return Facts(pd.DataFrame({name: [] for name in columns}), nothing, nothing, nothing, (came, went))
    rows = pd.concat([frame for _, frame, _ in parts], ignore_index=True)
    since = np.concatenate([np.maximum(known, each.since) for each, _, known in parts])
    until = np.concatenate([np.full(len(frame), each.until) for each, frame, _ in parts])
    version = np.repeat(np.arange(len(parts)), [len(frame) for _, frame, _ in parts])
    if not (is_seen := since < until).all():
        rows, since, until, version = rows[is_seen].reset_index(drop=True), since[is_seen], until[is_seen], version[is_seen]
    return Facts(rows, since, until, version, (came, went))


def trailing_of_each(
    rows: pd.DataFrame,
    moments: np.ndarray,
    facts: Facts,
    *,
    keys: Sequence[str],
    column: str,
    agg: Aggregation,
    threshold: float | None,
    time: str | None,
    span: dt.timedelta | None,
) -> pd.Series:
    """Compute what `PointInTimeReader.trailing` documents, of each row over what it sees at its own time.

    :param rows: the rows that get a figure
    :param moments: their own times
    :param facts: what may be seen
    :param keys: the columns of both that say which rows belong together; none: all of them do
    :param column: the column of the facts that the figure is of
    :param agg: which figure
    :param threshold: for ``rate``, the number that a value must exceed
    :param time: the timestamp column of the facts that says when they happened; None: those of the partitions that are read count
    :param span: how long before the row's own time they may have happened, itself excluded; None without ``time``
    :returns: one float for each of ``rows``, with their index
    """
    import pandas as pd

    is_there = facts.is_there(moments)
    if facts.rows.empty:
        return pd.Series(np.where(is_there & (agg == "count"), 0.0, np.nan), index=rows.index, dtype="float64")
    wanted, given = group_numbers([rows, facts.rows], keys)
    since, until = facts.since, facts.until
    if time is not None:
        assert span is not None
        happened = as_microseconds(facts.rows[time])
        since, until = np.maximum(since, happened), np.minimum(until, happened + span // dt.timedelta.resolution)
        given = np.where(happened == MISSING, NO_GROUP, given)
    belongs = (given != NO_GROUP) & (since < until)
    if agg != "missing":
        belongs &= facts.rows[column].notna().to_numpy()
    order = _Order(given[belongs], since[belongs], until[belongs], wanted, moments)
    chosen = facts.rows.loc[belongs, column]
    counts = order.sums(np.ones(len(chosen), dtype=np.int64)).astype("float64")
    with np.errstate(invalid="ignore"):  # 0 of 0 is missing, as documented
        if agg == "count":
            figures = counts
        elif agg == "missing":
            figures = order.sums(chosen.isna().to_numpy().astype(np.int64)) / counts
        else:
            values = chosen.to_numpy(dtype="float64", na_value=np.nan)
            if agg == "rate":
                figures = order.sums((values > threshold).astype(np.int64)) / counts
            else:
                sums = np.where(counts > 0, _exact_sums(order, values), np.nan)
                figures = sums if agg == "sum" else sums / counts
    return pd.Series(np.where(is_there, figures, np.nan), index=rows.index, dtype="float64")


class _Order:
    """Facts and rows in the order of their groups and moments, so that a running sum gives each row what it sees.

    Within a group, a fact counts from ``since`` on and no more from ``until`` on; a row comes after all that begins or ends at its moment.

    :param groups: that of each fact
    :param since: from when on each fact is seen
    :param until: from when on it no longer is
    :param wanted: the group of each row
    :param moments: of each row
    """

    def __init__(self, groups: np.ndarray, since: np.ndarray, until: np.ndarray, wanted: np.ndarray, moments: np.ndarray) -> None:
        self._rows = len(wanted)
        ends = 2 * len(groups)
        is_row = np.zeros(ends + self._rows, dtype=np.int8)
        is_row[ends:] = 1
        order = np.lexsort((is_row, np.concatenate([since, until, moments]), np.concatenate([groups, groups, wanted])))
        self._order, self._places = order, np.flatnonzero(order >= ends)
        self._which = order[self._places] - ends

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum what each row sees; of whole numbers, so that nothing is rounded.

        :param values: one for each fact, integers, of NumPy's or of Python's
        :returns: one for each row; 0 where it sees none, and in no group
        """
        steps = np.concatenate([values, -values, np.zeros(self._rows, dtype=values.dtype)])[self._order]
        found = np.empty(self._rows, dtype=values.dtype)
        found[self._which] = np.cumsum(steps)[self._places]
        return found


def _exact_sums(order: _Order, values: np.ndarray) -> np.ndarray:
    """The sum of what each row sees, rounded once: as whole numbers of the smallest unit that any of the values needs."""
    is_finite = np.isfinite(values)
    mantissas, exponents = np.frexp(np.where(is_finite, values, 0.0))
    whole, exponents = (mantissas * 2**53).astype(np.int64), exponents.astype(np.int64) - 53
    smallest = int(exponents[whole != 0].min(initial=0))
    units = whole.astype(object) << np.maximum(exponents - smallest, 0).astype(object)
    totals = order.sums(units)
    with_unit = totals * 2**smallest if smallest >= 0 else totals / 2**-smallest  # Python divides integers correctly rounded
    sums: np.ndarray = np.array(with_unit, dtype="float64")
    return sums if is_finite.all() else np.where(order.sums((~is_finite).astype(np.int64)) > 0, math.inf, sums)


def latest_of_each(
    rows: pd.DataFrame,
    moments: np.ndarray,
    facts: Facts,
    *,
    keys: Sequence[str],
    time: str | None,
    columns: Sequence[str],
    bounds: np.ndarray,
    tolerance: dt.timedelta | None,
    known: Sequence[str] = (),
) -> pd.DataFrame:
    """Compute what `PointInTimeReader.latest` documents, of each row among what it sees at its own time.

    :param rows: the rows that get columns
    :param moments: their own times, at which a fact must be seen
    :param facts: what may be seen
    :param keys: the columns of both that say which rows belong together; none: all of them do
    :param time: the timestamp column of the facts; None: they have none, and the one that is seen is meant
    :param columns: the columns of the facts to give
    :param bounds: the moment that the fact's ``time`` must not be after, of each row; `MISSING`: there is none
    :param tolerance: how long before it the fact may be; None: however long
    :param known: the column of the facts that says when each was known, which decides between several of one time; none: values do
    :returns: ``columns`` for each of ``rows``, with their index; missing where there is no such fact
    """
    import pandas as pd

    nothing = pd.DataFrame(np.nan, index=rows.index, columns=list(columns))
    if facts.rows.empty:
        return nothing
    wanted, given = group_numbers([rows, facts.rows], keys)
    happened = np.zeros(len(facts.rows), dtype=np.int64) if time is None else as_microseconds(facts.rows[time])
    usable = (given != NO_GROUP) & (happened != MISSING)
    if not usable.any():
        return nothing
    named = facts.rows[list(dict.fromkeys([*columns, *known]))].assign(
        **{_GROUP: given, _TIME: happened, "\0since": facts.since, "\0until": facts.until}
    )
    table = named[usable].sort_values([_GROUP, _TIME, *known, *columns], na_position="first", ignore_index=True)
    groups, times = table[_GROUP].to_numpy(), table[_TIME].to_numpy()
    is_row = np.repeat(np.array([0, 1], dtype=np.int8), [len(table), len(rows)])
    order = np.lexsort((is_row, np.concatenate([times, bounds]), np.concatenate([groups, wanted])))
    places = np.flatnonzero(order >= len(table))
    which, before = order[places] - len(table), np.cumsum(order < len(table))[places] - 1
    last = np.empty(len(rows), dtype=np.int64)
    last[which] = before
    first = np.searchsorted(groups, wanted, side="left")
    last[(wanted == NO_GROUP) | (bounds == MISSING)] = -1
    found = _last_seen(table["\0since"].to_numpy(), table["\0until"].to_numpy(), first, last, moments)
    if tolerance is not None:
        is_old = times[np.maximum(found, 0)] < bounds - tolerance // dt.timedelta.resolution
        found = np.where(is_old, -1, found)
    given_rows: pd.DataFrame = table[list(columns)].reindex(found).set_axis(rows.index)
    return given_rows


def _last_seen(since: np.ndarray, until: np.ndarray, first: np.ndarray, last: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Of each row the last fact from ``first`` to ``last`` that is seen at its moment; -1: none.

    Facts that are not seen are passed over in blocks of 1, 2, 4, ... of which none has come yet, or all are gone.
    """
    found = np.where(last >= first, last, -1)
    left = np.flatnonzero(found >= 0)
    blocks: list[tuple[np.ndarray, np.ndarray]] = []
    while True:
        at = found[left]
        left = left[(since[at] > moments[left]) | (until[at] <= moments[left])]
        if not len(left):
            return found
        blocks = blocks or _blocks(since, until)
        for power in range(len(blocks) - 1, -1, -1):
            earliest, longest = blocks[power]
            at = found[left]
            passed = (at >= 0) & ((earliest[at] > moments[left]) | (longest[at] <= moments[left]))
            found[left] = np.where(passed, np.maximum(at - 2**power, -1), at)
        found[left] = np.where(found[left] < first[left], -1, found[left])
        left = left[found[left] >= 0]


def _blocks(since: np.ndarray, until: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each power of two, of the block of so many facts that ends with each of them: the earliest ``since`` and the last ``until``."""
    blocks = [(since, until)]
    while len(blocks) <= LONGEST_BLOCK and 2 ** len(blocks) <= len(since):
        (earliest, longest), half = blocks[-1], 2 ** (len(blocks) - 1)
        earlier, longer = earliest.copy(), longest.copy()
        np.minimum(earliest[half:], earliest[:-half], out=earlier[half:])
        np.maximum(longest[half:], longest[:-half], out=longer[half:])
        blocks.append((earlier, longer))
    return blocks
