"""What is counted of one column, partition by partition: row i of each array is about partition i."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from include.evergreen.monitoring.profiles.layout import Bins, Cells

if TYPE_CHECKING:
    import pyarrow as pa

MOST_UNSEEN = 20  # names of unseen categories that a partition keeps, the most frequent ones
LOT_ROWS = 1_024  # that are sorted together: many short lots take a third of the time that a single long one does
LEAST_SLOTS, MOST_SLOTS = 2**16, 2**24  # of the table by which different values are counted
_LEAST = np.finfo(np.float64).min


@dataclass(frozen=True)
class NumericColumn:
    """Counts of a number. ``sums`` and ``squares`` are of distances from the origin of ``bins``, of its finite values.

    ``least`` and ``greatest`` are NaN where a partition has no finite value; ``distinct`` estimates how many
    different values there are, within a hundredth.
    """

    bins: Bins
    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    missing: np.ndarray
    infinite: np.ndarray
    distinct: np.ndarray
    least: np.ndarray
    greatest: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """The rows of each partition, whatever they hold."""
        return np.asarray(self.counts.sum(axis=1) + self.missing + self.infinite)

    @property
    def lost(self) -> np.ndarray:
        """Of each partition, the rows without a finite value."""
        return np.asarray(self.missing + self.infinite)

    def merge(self, *others: Self) -> Self:
        """Put partitions side by side.

        :param *others: on the same bins
        :returns: a new column, its own partitions first
        """
        return type(self)(self.bins, *_side_by_side("bins", self, *others))

    def pick(self, places: np.ndarray) -> Self:
        """Choose partitions.

        :param places: their numbers, in the order wanted
        :returns: a new column
        """
        return type(self)(self.bins, *(getattr(self, name)[places] for name in _arrays(self, "bins")))

    @classmethod
    def of(cls, bins: Bins, values: pa.Array | pa.ChunkedArray) -> NumericColumn:
        """Count one partition.

        :param bins: what to count in
        :param values: its values, of any type: what cannot be read as a number counts as missing
        :returns: a column of one partition
        """
        numbers = as_numbers(values)
        lots = _in_lots(numbers)  # all that follows is read off what is in order
        limits = np.concatenate([[_LEAST], bins.edges, [np.inf, np.nan]])  # below the first: -inf; above the last: what is missing
        ends = np.array([lot.searchsorted(limits) for lot in lots]).reshape(len(lots), len(limits))
        in_lots = np.diff(ends, axis=1, prepend=0, append=LOT_ROWS)
        counts = in_lots.sum(axis=0)
        infinite, missing = counts[0] + counts[-2], counts[-1] - (lots.size - len(numbers))
        lost = infinite + missing
        distinct = _distinct(numbers[np.isfinite(numbers)] if lost else numbers)
        least = greatest = np.nan
        if lost < len(numbers):
            filled = np.flatnonzero(ends[:, 0] < ends[:, -2])
            least, greatest = lots[filled, ends[filled, 0]].min(), lots[filled, ends[filled, -2] - 1].max()
        ordered, starts = lots.ravel(), np.pad(ends, ((0, 0), (1, 0))) + LOT_ROWS * np.arange(len(lots))[:, None]
        sums = np.zeros(in_lots.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            ordered -= bins.origin
            sums[in_lots > 0] = np.add.reduceat(ordered, starts[in_lots > 0]) if len(ordered) else 0.0
            ordered[~np.isfinite(ordered)] = 0.0
            squares = float(ordered @ ordered)
            columns = counts[1:-2], sums.sum(axis=0)[1:-2], squares, missing, infinite, distinct, least, greatest
        return cls(bins, *(np.asarray(each)[None] for each in columns))


@dataclass(frozen=True)
class CategoryColumn:
    """Counts of a category, in the order of ``cells``; ``unseen`` names the most frequent categories that the reference has not."""

    cells: Cells
    counts: np.ndarray
    distinct: np.ndarray
    unseen: tuple[dict[str, int], ...] = field(default=())

    @property
    def rows(self) -> np.ndarray:
        """The rows of each partition, whatever they hold."""
        return np.asarray(self.counts.sum(axis=1))

    @property
    def lost(self) -> np.ndarray:
        """Of each partition, the rows without a value."""
        return np.asarray(self.counts[:, -1])

    def merge(self, *others: Self) -> Self:
        """Put partitions side by side.

        :param *others: on the same cells
        :returns: a new column, its own partitions first
        """
        counts, distinct = _side_by_side("cells", self, *others)
        return type(self)(self.cells, counts, distinct, tuple(named for column in (self, *others) for named in column.unseen))

    def pick(self, places: np.ndarray) -> Self:
        """Choose partitions.

        :param places: their numbers, in the order wanted
        :returns: a new column
        """
        return type(self)(self.cells, self.counts[places], self.distinct[places], tuple(self.unseen[place] for place in places))

    @classmethod
    def of(cls, cells: Cells, values: pa.Array | pa.ChunkedArray) -> CategoryColumn:
        """Count one partition.

        :param cells: what to count in
        :param values: its values, of any type that can be written as text
        :returns: a column of one partition
        """
        categories, counts, missing = counted(values)
        place = cells.place(categories)
        found = np.bincount(place, weights=counts, minlength=cells.count).astype(np.int64)
        found[-1] = missing
        new = np.flatnonzero(place == cells.count - 2)
        most = new[np.argsort(-counts[new], kind="stable")][:MOST_UNSEEN]
        named = {categories[int(number)].as_py(): int(counts[number]) for number in most}
        return cls(cells, found[None], np.array([len(categories)]), (named,))


Column = NumericColumn | CategoryColumn


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
    :returns: a new array; NaN for null, and for all of a column that cannot be read as numbers
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
    return np.array(numbers, dtype=np.float64)


def _arrays(column: Any, layout: str) -> list[str]:
    return [each.name for each in fields(column) if each.name not in (layout, "unseen")]


def _side_by_side(layout: str, *columns: Any) -> list[np.ndarray]:
    return [np.concatenate([getattr(column, name) for column in columns]) for name in _arrays(columns[0], layout)]


def _in_lots(numbers: np.ndarray) -> np.ndarray:
    """A copy of the numbers in lots of `LOT_ROWS`, each in order, NaN last; the last lot is filled up with NaN."""
    lots = np.full((-(-len(numbers) // LOT_ROWS), LOT_ROWS), np.nan)
    lots.ravel()[: len(numbers)] = numbers
    lots.sort(axis=1)
    return lots


def _distinct(numbers: np.ndarray) -> int:
    """How many different values there are, within a hundredth.

    By linear counting: K. Whang, B. Vander-Zanden, H. Taylor, "A linear-time probabilistic counting algorithm for database
    applications", ACM Transactions on Database Systems 15 (1990).
    """
    from pandas.util import hash_array

    bits = int(np.clip(4 * len(numbers), LEAST_SLOTS, MOST_SLOTS) - 1).bit_length()
    taken = np.zeros(2**bits, np.bool_)
    taken[hash_array(numbers + 0.0) >> np.uint64(64 - bits)] = True  # + 0.0: there is one zero, and not a negative one beside it
    free = max(len(taken) - int(np.count_nonzero(taken)), 1)
    return min(len(numbers), round(len(taken) * math.log(len(taken) / free)))
