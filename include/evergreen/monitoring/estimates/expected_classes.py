"""Metrics of several classes whose labels are known by their probabilities alone, or that are drawn by them.

Probabilities are rows x (k + 2): of each class that a row names (`serving.likeliest`), of another, and of one that the version does not
know. The expected confusion says of each class how many rows are called so, how many are expected to be of it, and how many both (NannyML,
"Confidence-based Performance Estimation", of several classes). A mean over the classes that rows have counts each as much as it is likely
to have any: a class of which m rows are expected has some with a probability of 1 - exp(-m).
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from include.evergreen.config.classes import recalled_class
from include.evergreen.serving.likeliest import decided, numbers, spread, values
from include.evergreen.training.class_metrics import BY_COUNTS, PROBABILITY_FLOOR
from include.evergreen.training.metrics import Measures

LEAST_EXPECTED = 1.0  # rows of a class, for its recall


class ExpectedClasses:
    """What is known of some rows but their labels.

    :param measures: the version's metrics, among all classes that may be; those that it knows come first
    :param predicted: as `serving.likeliest` has it
    """

    def __init__(self, measures: Measures, predicted: np.ndarray) -> None:
        self._classes, self._known, self._predicted = measures.classes, len(measures.own_classes), predicted
        self._named, self._called = numbers(predicted).astype("int64"), decided(predicted).astype("int64")
        self.count = len(measures.classes) + 1  # of numbers: the last is of a class that nobody has seen
        self._calls = np.bincount(self._called, minlength=self.count).astype("float64")
        self.names = [name for name, metric in measures.metrics.items() if metric.is_estimated]

    @cached_property
    def _losses(self) -> np.ndarray:
        """Of each row: of each class that it names, of another that the version knows, and of one that it does not know."""
        likely = np.concatenate([values(self._predicted), self._predicted[:, -1:]], axis=1).clip(PROBABILITY_FLOOR, 1)
        return np.concatenate([-np.log(likely), np.full((len(likely), 1), -math.log(PROBABILITY_FLOOR))], axis=1)

    @cached_property
    def _below(self) -> np.ndarray:
        """Of each row and class, how many other rows it is less likely for; ties by half."""
        from scipy.stats import rankdata

        below: np.ndarray = rankdata(spread(self._predicted, self._known), axis=0) - 1
        return below

    def expected(self, probabilities: np.ndarray, of_others: np.ndarray) -> dict[str, float]:
        """Expect each metric.

        :param probabilities: rows x (k + 2)
        :param of_others: 2 x count, as `Beliefs.of_others` has it
        :returns: by name; NaN where it is undefined
        """
        named = probabilities[:, :-2]
        there = (
            np.bincount(self._named.ravel(), weights=named.ravel(), minlength=self.count) + probabilities[:, -2:].sum(axis=0) @ of_others
        )
        hits = np.bincount(self._called, weights=named[:, 0], minlength=self.count)
        found = {}
        for name in self.names:
            if name == "log_loss":
                found[name] = float((probabilities * self._losses).sum(axis=1).mean())
            elif name == "accuracy":
                found[name] = float(hits.sum() / len(named))
            elif name == "auc_ovr":
                found[name] = self._expected_auc(probabilities, there)
            else:
                found[name] = self._expected_of_counts(name, hits, there)
        return found

    def _expected_of_counts(self, name: str, hits: np.ndarray, there: np.ndarray) -> float:
        text = recalled_class(name)
        if text is not None:
            number = self._classes.index(text) if text in self._classes else self.count - 1
            return float(hits[number] / there[number]) if there[number] >= LEAST_EXPECTED else math.nan
        some = -np.expm1(-there)
        if name == "balanced_accuracy":
            recalls = np.divide(hits, there, out=np.zeros(self.count), where=there > 0)
            return float((some * recalls).sum() / some.sum())
        f1 = np.divide(2 * hits, self._calls + there, out=np.zeros(self.count), where=self._calls + there > 0)
        weight = there if name == "weighted_f1" else np.where(self._calls > 0, 1.0, some)
        return float((weight * f1).sum() / weight.sum())

    def _expected_auc(self, probabilities: np.ndarray, there: np.ndarray) -> float:
        """Of each class as of two (`expected.expected_metric`); of one that the version does not know it is a half."""
        chances = np.zeros((len(probabilities), self._known))
        np.put_along_axis(chances, self._named, probabilities[:, :-2], axis=1)
        positive, squares = chances.sum(axis=0), (chances**2).sum(axis=0)
        pairs = positive * (len(chances) - positive) - (positive - squares)
        right = (chances * self._below).sum(axis=0) - (positive**2 - squares) / 2
        areas = np.full(self.count, 0.5)
        np.divide(right, pairs, out=areas[: self._known], where=pairs > 1e-9)
        some = -np.expm1(-there)
        return float((some * areas).sum() / some.sum())

    def places(self, labels: np.ndarray) -> np.ndarray:
        """Find which of the classes that it names each row is of.

        :param labels: one number a row
        :returns: from 0 to k - 1; k of another class that the version knows, k + 1 of one that it does not know
        """
        is_it = self._named == labels.astype("int64")[:, None]
        width = self._named.shape[1]
        other: np.ndarray = np.where(labels >= self._known, width + 1, width)
        return np.where(is_it.any(axis=1), is_it.argmax(axis=1), other)

    def realised(self, places: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Measure each metric of several sets of labels.

        :param places: sets x rows, as `places` gives them
        :param labels: sets x rows, the numbers of classes
        :returns: by name, one value for each set; NaN where it is undefined
        """
        sets, rows = labels.shape
        cell = (np.arange(sets)[:, None] * self.count + labels).ravel()

        def counted(weights: np.ndarray | None = None) -> np.ndarray:
            return np.bincount(cell, weights=weights, minlength=sets * self.count).reshape(sets, self.count).astype("float64")

        there, hits = counted(), counted((labels == self._called).ravel())
        calls = np.broadcast_to(self._calls, hits.shape)
        found = {}
        for name in self.names:
            text = recalled_class(name)
            if name == "log_loss":
                found[name] = self._losses[np.arange(rows), places].mean(axis=1)
            elif name == "accuracy":
                found[name] = hits.sum(axis=1) / rows
            elif name == "auc_ovr":
                below = np.pad(self._below, ((0, 0), (0, self.count - self._known)))[np.arange(rows), labels]
                found[name] = _mean_area(counted(below.ravel()), there, rows, self._known)
            elif text is not None:
                number = self._classes.index(text) if text in self._classes else self.count - 1
                found[name] = np.divide(hits[:, number], there[:, number], out=np.full(sets, np.nan), where=there[:, number] > 0)
            else:
                found[name] = BY_COUNTS[name](hits, calls, there)
        return found

    def draw(self, probabilities: np.ndarray, of_others: np.ndarray, chance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw labels.

        :param probabilities: rows x (k + 2)
        :param of_others: as `expected` takes it
        :param chance: sets x rows of even draws from 0 to 1, the same for all that is compared
        :returns: places and labels, both sets x rows, as `realised` takes them
        """
        upto = np.cumsum(probabilities, axis=1)
        places = np.zeros(chance.shape, dtype="int64")
        for end in upto[:, :-1].T:
            places += chance >= end
        rows, width = self._named.shape
        labels = np.append(self._named, np.zeros((rows, 2), dtype="int64"), axis=1)[np.arange(rows), places]
        for place, shares in enumerate(of_others, width):
            is_other = places == place
            left = ((chance - upto[:, place - 1]) / np.maximum(probabilities[:, place], 1e-12))[is_other]  # decides which other it is
            labels[is_other] = np.searchsorted(np.cumsum(shares)[:-1], left, "right")
        return places, labels


def _mean_area(below: np.ndarray, there: np.ndarray, rows: int, known: int) -> np.ndarray:
    """The mean over the classes that have rows; of those that the version does not know it is a half."""
    pairs = there * (rows - there)
    areas = np.divide(below - there * (there - 1) / 2, pairs, out=np.full(pairs.shape, 0.5), where=pairs > 0)
    areas[:, known:] = 0.5
    some = there > 0
    result: np.ndarray = np.where(some.sum(axis=1) > 1, (areas * some).sum(axis=1) / some.sum(axis=1), np.nan)
    return result
