"""The AUC of each class against the rest, in a time that does not grow with the number of classes.

A row names its likeliest classes (`serving.likeliest`); all others have the same probability, its rest. So the rests are sorted once for
all classes, and of each class only the rows that name it are looked at, and those that are of it: however many classes there are, a row
is looked at `KEPT` times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from include.evergreen.serving.likeliest import numbers, probability, values

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class OfClass:
    """One class: the numbers of its ``rows`` and how likely each is to be of it; of the rows that name it, the same two."""

    number: int
    rows: np.ndarray
    scores: np.ndarray
    named: np.ndarray
    values: np.ndarray


class OneVersusRest:
    """Rows of several classes, each class against all others.

    :param labels: one number a row, as a float
    :param predicted: as `serving.likeliest` has it
    :param known: by number, whether the version knows the class
    """

    def __init__(self, labels: np.ndarray, predicted: np.ndarray, known: np.ndarray) -> None:
        import numpy as np

        self._labels, self._predicted, self._known = labels.astype("int64"), predicted, known
        self.count, self.rest = len(labels), predicted[:, -1]
        self.classes = np.unique(self._labels)

    @cached_property
    def _sorted_rest(self) -> np.ndarray:
        import numpy as np

        in_order: np.ndarray = np.sort(self.rest)
        return in_order

    def knows(self, number: int) -> bool:
        """Whether the version knows a class; one that it does not know is as likely in every row, so its AUC is a half.

        :param number: of one of ``classes``
        :returns: whether it does
        """
        return 0 <= number < len(self._known) and bool(self._known[number])

    def each(self) -> Iterator[OfClass]:
        """Find the rows of each class that has any, and that the version knows.

        :yields: the classes, by their number
        """
        import numpy as np

        width = numbers(self._predicted).shape[1]
        flat = numbers(self._predicted).astype("int16").ravel()  # of which numpy's stable sort is by radix
        entries = np.argsort(flat, kind="stable")
        by_label = np.argsort(self._labels, kind="stable")
        scores = probability(self._predicted, self._labels, self._known)
        for number in filter(self.knows, self.classes.tolist()):
            first, end = np.searchsorted(flat, [number, number + 1], sorter=entries)
            named, place = np.divmod(entries[first:end], width)
            own = by_label[slice(*np.searchsorted(self._labels, [number, number + 1], sorter=by_label))]
            yield OfClass(number, own, scores[own], named, values(self._predicted)[named, place])

    def twice_below(self, of: OfClass) -> np.ndarray:
        """Count the rows of any class to which a class is less likely than to each of its own; ties, itself among them, by half.

        :param of: the class
        :returns: twice the count, of each of its rows
        """
        import numpy as np

        found = twice_below(of.scores, np.sort(of.values))
        if len(of.named) < self.count:
            found = found + twice_below(of.scores, self._sorted_rest) - twice_below(of.scores, np.sort(self.rest[of.named]))
        return found

    def area(self, of: OfClass) -> float:
        """Measure how often a row of a class gets a higher probability of it than another row, ties by half.

        :param of: the class
        :returns: the area under the ROC curve; NaN where there are no other rows
        """
        own = len(of.rows)
        pairs = own * (self.count - own)
        return float(self.twice_below(of).sum() - own**2) / 2 / pairs if pairs else math.nan

    def mean(self) -> float:
        """Average the areas over the classes that have rows.

        (F. Provost and P. Domingos, "Well-Trained PETs", 2000, but each class weighs the same.)

        :returns: the mean; NaN of rows of one class
        """
        if len(self.classes) < 2:
            return math.nan
        areas = [self.area(of) for of in self.each()]
        return (sum(areas) + 0.5 * (len(self.classes) - len(areas))) / len(self.classes)

    def influence(self) -> np.ndarray:
        """Say what each row adds to the mean area, to the first order.

        (B. Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", 1982, chapter 6: the infinitesimal jackknife; the shares of
        pairs that a row is in are the placement values of E. DeLong et al., 1988.)

        :returns: one float a row, of mean 0; there are rows of two classes at least
        """
        import numpy as np

        classes = list(self.each())
        added = np.zeros(self.count)
        steps, weights = [], []
        for of in classes:
            area, own = self.area(of), len(of.rows)
            weight = self.count / (self.count - own)
            below = np.sort(of.scores)
            won = (self.twice_below(of) - twice_below(of.scores, below)) / 2 / (self.count - own)
            added += weight * (1 - area)
            added[of.rows] += (won - area) * self.count / own - weight * (1 - area)
            is_own = np.isin(of.named, of.rows)
            unnamed = np.setdiff1d(of.rows, of.named, assume_unique=True)
            for rows in (of.named, unnamed):  # whose rests are no probability of a row of another class
                added[rows] += weight * twice_below(self.rest[rows], below) / 2 / own
            added[of.named[~is_own]] -= weight * twice_below(of.values[~is_own], below) / 2 / own
            steps.append(of.scores)
            weights.append(np.full(own, weight / own))
        if classes:
            added -= _weight_below(self.rest, np.concatenate(steps), np.concatenate(weights))
        return added / len(self.classes)


def twice_below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Count for each score the others below it, ties by half.

    :param scores: any floats
    :param others: floats in ascending order
    :returns: twice the count, of each score
    """
    import numpy as np

    counted: np.ndarray = np.searchsorted(others, scores, "left") + np.searchsorted(others, scores, "right")
    return counted


def _weight_below(scores: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weight of the others below each score, ties by half."""
    import numpy as np

    order = np.argsort(others, kind="stable")
    running = np.concatenate([[0.0], np.cumsum(weights[order])])
    below, up_to = (running[np.searchsorted(others[order], scores, side)] for side in ("left", "right"))
    total: np.ndarray = (below + up_to) / 2
    return total
