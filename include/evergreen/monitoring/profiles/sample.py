"""A few rows of each partition, each value as the number of the bin or cell that it is in: what one column alone does not show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from include.evergreen.monitoring.profiles.layout import Bins, Cells

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 200  # of a partition
MISSING = 255  # of a number; of a category, missing has a cell
DRAW = 20130209  # the same rows of a partition every time


@dataclass(frozen=True)
class Sample:
    """Drawn rows, those of a partition in random order: ``codes`` by row and column, and how many rows each partition has."""

    codes: np.ndarray
    sizes: np.ndarray

    def merge(self, *others: Self) -> Self:
        """Put partitions side by side.

        :param *others: of the same columns
        :returns: a new sample, its own partitions first
        """
        samples = (self, *others)
        return type(self)(np.concatenate([each.codes for each in samples]), np.concatenate([each.sizes for each in samples]))

    def pick(self, places: np.ndarray) -> Self:
        """Choose partitions.

        :param places: their numbers, in the order wanted
        :returns: a new sample
        """
        ends = np.cumsum(self.sizes)
        rows = [np.arange(ends[place] - self.sizes[place], ends[place]) for place in places]
        return type(self)(self.codes[np.concatenate([np.zeros(0, np.int64), *rows])], self.sizes[places])

    def first(self, rows: int) -> Self:
        """Take no more than so many rows of each partition.

        :param rows: at most
        :returns: a new sample
        """
        place = np.arange(len(self.codes)) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        return type(self)(self.codes[place < rows], np.minimum(self.sizes, rows))


def drawn(rows: int) -> np.ndarray:
    """Choose which rows of a partition are sampled.

    :param rows: how many it has
    :returns: their numbers, in random order
    """
    return np.random.default_rng(DRAW).choice(rows, min(rows, MOST_ROWS), replace=False)


def code_numbers(bins: Bins, numbers: np.ndarray) -> np.ndarray:
    """Say in which bin numbers are.

    :param bins: of their column
    :param numbers: NaN for missing
    :returns: a code for each
    """
    codes = np.searchsorted(bins.edges, numbers, side="right")
    return np.where(np.isnan(numbers), MISSING, codes).astype(np.uint8)


def code_categories(cells: Cells, values: pa.Array) -> np.ndarray:
    """Say in which cell categories are.

    :param cells: of their column
    :param values: texts; null for missing
    :returns: a code for each
    """
    known = values.is_valid().to_numpy(zero_copy_only=False)
    codes = np.full(len(values), cells.count - 1, dtype=np.uint8)
    codes[known] = cells.place(values.drop_null())
    return codes
