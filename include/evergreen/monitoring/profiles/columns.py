"""What is counted of one column, partition by partition: row i of each array is about partition i."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np

from include.evergreen.monitoring.profiles.layout import Bins, Cells


@dataclass(frozen=True)
class NumericColumn:
    """Counts of a number. ``sums`` and ``squares`` are of distances from the origin of ``bins``, of its finite values.

    ``least`` and ``greatest`` are NaN where a partition has no finite value; ``distinct`` counts its different
    values, and estimates very many.
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


Column = NumericColumn | CategoryColumn


def _arrays(column: Any, layout: str) -> list[str]:
    return [each.name for each in fields(column) if each.name not in (layout, "unseen")]


def _side_by_side(layout: str, *columns: Any) -> list[np.ndarray]:
    return [np.concatenate([getattr(column, name) for column in columns]) for name in _arrays(columns[0], layout)]
