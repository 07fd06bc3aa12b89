"""What the rows of a column are counted in: bins of numbers and cells of categories, as a champion's reference draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

INNER_BINS = 64  # between the reference's least and greatest value, of equal shares
TAIL_BINS = 12  # beyond them on either side, each four times as wide as the one before
TRIM = 0.02  # the share of values at either end that no measure follows: an absurd value is among them
HEAVY_SHARE = 0.01  # of the reference's rows, from which a category has a cell of its own
MOST_HEAVY = 50


@dataclass(frozen=True)
class Bins:
    """Bins of a number: ``edges`` ascend strictly, and a bin holds its lower edge.

    The first bin is what lies below all edges, the last what lies above. ``origin`` is a value amid the reference: sums are of
    distances from it, so that values that lie far from 0 and close together lose nothing.
    """

    edges: np.ndarray
    origin: float

    @property
    def count(self) -> int:
        """How many bins there are."""
        return len(self.edges) + 1

    @classmethod
    def of(cls, values: np.ndarray) -> Bins:
        """Draw the bins of a column.

        :param values: the reference's finite values, in any order
        :returns: a bin for each distinct value where those are few, else bins of equal shares; without values, a single edge at 0
        """
        if not len(values):
            return cls(np.zeros(1), 0.0)
        ordered = np.sort(values)
        distinct = np.unique(ordered)
        if len(distinct) > INNER_BINS:
            distinct = np.unique(np.quantile(ordered, np.linspace(0, 1, INNER_BINS + 1), method="inverted_cdf"))
        origin = float(ordered[len(ordered) // 2])
        width = spread(ordered) or abs(origin) or 1.0
        with np.errstate(over="ignore"):
            steps = width * 4.0 ** np.arange(TAIL_BINS)
            edges = np.concatenate([distinct[0] - steps, distinct, [np.nextafter(distinct[-1], np.inf)], distinct[-1] + steps])
        return cls(np.unique(edges[np.isfinite(edges)]), origin)


@dataclass(frozen=True)
class Cells:
    """Cells of a category: one for each of ``heavy``, then one for the other ``known`` ones, one for unseen ones, one for missing."""

    heavy: tuple[str, ...]
    known: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many cells there are."""
        return len(self.heavy) + 3

    @property
    def names(self) -> tuple[str, ...]:
        """What people call the cells, in their order."""
        return (*self.heavy, "(other)", "(unseen)", "(missing)")

    def place(self, categories: pa.Array) -> np.ndarray:
        """Say in which cell each category is counted.

        :param categories: texts, none of them null
        :returns: the number of its cell, for each
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        known = pa.array([*self.heavy, *self.known], type=pa.string())
        found = pc.index_in(categories, value_set=known).fill_null(len(known)).to_numpy(zero_copy_only=False)
        others = len(self.heavy)
        return np.asarray(np.where(found < others, found, np.where(found < len(known), others, others + 1)))


def spread(ordered: np.ndarray) -> float:
    """The standard deviation of values whose outermost hundredths are taken for the nearest others, or else of all of them.

    :param ordered: values in ascending order, at least one
    :returns: 0 only where all values are equal
    """
    low, high = ordered[int(TRIM * (len(ordered) - 1))], ordered[int(np.ceil((1 - TRIM) * (len(ordered) - 1)))]
    return float(np.std(ordered.clip(low, high))) or float(np.std(ordered))
