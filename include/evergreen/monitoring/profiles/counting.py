"""Counts one column of one partition, batch by batch: what it holds of the rows does not grow with their number."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Self

import numpy as np

from include.evergreen.monitoring.profiles.columns import CategoryColumn, NumericColumn
from include.evergreen.monitoring.profiles.layout import Bins, Cells

if TYPE_CHECKING:
    import pyarrow as pa

LOT_ROWS = 1_024  # that are sorted together: many short lots take a third of the time that a single long one does
MOST_HASHES = 2**14  # of different values: up to so many are counted exactly, and more to less than a hundredth (a standard error)
MOST_UNSEEN = 20  # names of unseen categories that a partition keeps, the most frequent ones
MOST_NAMES = 10_000  # of unseen categories that are counted by name until then: with more, the rarer half is forgotten
_LEAST = np.finfo(np.float64).min
_ANY = np.uint64(2**64 - 1)


class NumericCounter:
    """Counts a number in bins.

    :param bins: what to count in
    """

    def __init__(self, bins: Bins) -> None:
        self._bins = bins
        self._counts, self._sums = np.zeros(bins.count, np.int64), np.zeros(bins.count)
        self._missing = self._infinite = 0
        self._squares, self._least, self._greatest = 0.0, np.inf, -np.inf
        self._different = _Different()

    def add(self, values: pa.Array | pa.ChunkedArray) -> Self:
        """Count some more rows.

        :param values: of any type: what cannot be read as a number counts as missing
        :returns: itself
        """
        numbers = as_numbers(values)
        if not len(numbers):
            return self
        lots = _in_lots(numbers)  # all that follows is read off what is in order
        limits = np.concatenate([[_LEAST], self._bins.edges, [np.inf, np.nan]])  # below the first: -inf; above the last: what is missing
        ends = np.array([lot.searchsorted(limits) for lot in lots])
        in_lots = np.diff(ends, axis=1, prepend=0, append=LOT_ROWS)
        counts = in_lots.sum(axis=0)
        infinite, missing = int(counts[0] + counts[-2]), int(counts[-1]) - (lots.size - len(numbers))
        self._different.add(numbers[np.isfinite(numbers)] + 0.0 if infinite or missing else numbers + 0.0)  # + 0.0: no negative zero
        known = np.flatnonzero(ends[:, 0] < ends[:, -2])
        self._least = min(self._least, lots[known, ends[known, 0]].min(initial=np.inf))
        self._greatest = max(self._greatest, lots[known, ends[known, -2] - 1].max(initial=-np.inf))
        ordered, starts = lots.ravel(), np.pad(ends, ((0, 0), (1, 0))) + LOT_ROWS * np.arange(len(lots))[:, None]
        sums = np.zeros(in_lots.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            ordered -= self._bins.origin
            sums[in_lots > 0] = np.add.reduceat(ordered, starts[in_lots > 0])
            ordered[~np.isfinite(ordered)] = 0.0
            self._squares += float(np.einsum("i,i", ordered, ordered))  # by one thread, as there may be one for each column
            self._sums += sums.sum(axis=0)[1:-2]
        self._counts += counts[1:-2]
        self._missing += missing
        self._infinite += infinite
        return self

    def column(self) -> NumericColumn:
        """Make the column of what was counted.

        :returns: a column of one partition
        """
        least, greatest = (self._least, self._greatest) if self._counts.any() else (np.nan, np.nan)
        distinct = min(self._different.number, int(self._counts.sum()))
        columns = self._counts, self._sums, self._squares, self._missing, self._infinite, distinct, least, greatest
        return NumericColumn(self._bins, *(np.asarray(each)[None] for each in columns))


class CategoryCounter:
    """Counts a category in cells.

    :param cells: what to count in
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._counts = np.zeros(cells.count, np.int64)
        self._unseen: Counter[str] = Counter()
        self._different = _Different()

    def add(self, values: pa.Array | pa.ChunkedArray) -> Self:
        """Count some more rows.

        :param values: of any type that can be written as text
        :returns: itself
        """
        categories, counts, missing = counted(values)
        place = self._cells.place(categories)
        self._counts += np.bincount(place, weights=counts, minlength=self._cells.count).astype(np.int64)
        self._counts[-1] += missing
        self._different.add(np.asarray(categories.to_pandas(), dtype=object))
        new = np.flatnonzero(place == self._cells.count - 2)
        self._unseen.update(dict(zip(categories.take(new).to_pylist(), counts[new].tolist(), strict=True)))
        if len(self._unseen) > MOST_NAMES:
            self._unseen = Counter(dict(self._unseen.most_common(MOST_NAMES // 2)))
        return self

    def column(self) -> CategoryColumn:
        """Make the column of what was counted.

        :returns: a column of one partition
        """
        distinct = min(self._different.number, int(self._counts[:-1].sum()))
        return CategoryColumn(self._cells, self._counts[None], np.array([distinct]), (dict(self._unseen.most_common(MOST_UNSEEN)),))


class _Different:
    """Estimates how many different values there are among some.

    By the least of their hashes: K. Beyer, P. Haas, B. Reinwald, Y. Sismanis, R. Gemulla, "On synopses for distinct-value estimation under
    multiset operations", SIGMOD 2007.
    """

    def __init__(self) -> None:
        self._least = np.empty(0, np.uint64)
        self._most = _ANY

    def add(self, values: np.ndarray) -> None:
        """Look at some more values.

        :param values: of one type, none of them missing
        """
        from pandas import unique
        from pandas.util import hash_array

        hashes = hash_array(values, categorize=False)
        hashes = hashes[hashes <= self._most]
        if len(hashes) > 8 * MOST_HASHES:  # the least quarter or less will do, if there are enough different ones among them
            least = np.asarray(unique(hashes[hashes < np.uint64(2**64 * 2 * MOST_HASHES // len(hashes))]))
            hashes = least if len(least) >= MOST_HASHES else hashes
        self._least = np.asarray(unique(np.concatenate([self._least, hashes])))
        if len(self._least) > MOST_HASHES:
            self._least = np.partition(self._least, MOST_HASHES - 1)[:MOST_HASHES]
            self._most = self._least.max()

    @property
    def number(self) -> int:
        """The estimate."""
        return len(self._least) if self._most == _ANY else round((MOST_HASHES - 1) / (int(self._most) / 2**64))


def counted(values: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, np.ndarray, int]:
    """Count the different values of a column.

    :param values: of any type that can be written as text
    :returns: the different values as text, how often each is there, and how many rows have none
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.value_counts(values)
    texts, counts = found.field("values"), found.field("counts").to_numpy(zero_copy_only=False)
    if pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_decode()
    if pa.types.is_null(texts.type):
        return pa.array([], pa.string()), np.zeros(0, np.int64), len(values)
    known = pc.is_valid(texts).to_numpy(zero_copy_only=False)
    return pc.cast(texts.filter(pa.array(known)), pa.string()), counts[known], int(counts[~known].sum())


def as_texts(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Read a column as texts.

    :param values: of any type that can be written as text
    :returns: one array of them; null for null
    """
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values.cast(pa.string()) if not pa.types.is_null(values.type) else pa.nulls(len(values), pa.string())


def as_numbers(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Read a column as numbers: false and true as 0 and 1, times as their count of units since 1970.

    :param values: of any type
    :returns: an array; NaN for null, and for all of a column that cannot be read as numbers
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if pa.types.is_temporal(values.type):
            values = pc.cast(values, pa.int32() if values.type.bit_width == 32 else pa.int64())
        if not pa.types.is_float64(values.type):
            values = pc.cast(values, pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return np.full(len(values), np.nan)
    numbers = values.to_numpy() if isinstance(values, pa.ChunkedArray) else values.to_numpy(zero_copy_only=False)
    return np.asarray(numbers, dtype=np.float64)


def _in_lots(numbers: np.ndarray) -> np.ndarray:
    """A copy of the numbers in lots of `LOT_ROWS`, each in order, NaN last; the last lot is filled up with NaN."""
    lots = np.full((-(-len(numbers) // LOT_ROWS), LOT_ROWS), np.nan)
    lots.ravel()[: len(numbers)] = numbers
    lots.sort(axis=1)
    return lots
