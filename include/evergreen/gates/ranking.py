"""The area under the ROC curve on all resamples of the `bootstrap` at once."""

from __future__ import annotations

import math

import numpy as np

from include.evergreen.gates.bootstrap import Units


class Auc:
    """The area under the ROC curve: the share of pairs of a positive and a negative row in the right order, ties by half.

    That is the Mann-Whitney statistic (1947), exactly: of rows, by a running sum of the negatives' weights in the order of their
    scores; of days, by the count of such pairs between each two days, made once.

    :param units: what is resampled
    :param labels: one float a row, as `Measures.measure` takes them
    :param predicted: one float a row, as `Measures.measure` takes them
    """

    def __init__(self, units: Units, labels: np.ndarray, predicted: np.ndarray) -> None:
        positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels != 1)
        self._positive = positive[np.argsort(predicted[positive], kind="stable")]
        self._negative = negative[np.argsort(predicted[negative], kind="stable")]
        scores = predicted[self._negative]
        self._below = np.searchsorted(scores, predicted[self._positive], side="left")
        self._up_to = np.searchsorted(scores, predicted[self._positive], side="right")
        self._of_days = None if units.of_row is None else self._by_days(units)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """As `Statistic`.

        :param weights: how often each unit was drawn: resamples x units
        :returns: the metric of each resample; NaN where it has rows of one class only
        """
        return np.array([self._of_rows(drawn) for drawn in weights]) if self._of_days is None else self._of_days(weights)

    def _of_rows(self, weights: np.ndarray) -> float:
        running = np.empty(len(self._negative) + 1)
        running[0] = 0
        np.cumsum(weights[self._negative], out=running[1:])
        of_positive = weights[self._positive].astype("float64")
        pairs = of_positive.sum() * running[-1]
        return float(of_positive @ (running[self._below] + running[self._up_to])) / 2 / pairs if pairs else math.nan

    def _by_days(self, units: Units) -> AucOfDays:
        assert units.of_row is not None
        of_positive, of_negative = units.of_row[self._positive], units.of_row[self._negative]
        pairs = _pairs(units.count, of_positive, self._below, self._up_to, of_negative)
        return AucOfDays(pairs, *(np.bincount(each, minlength=units.count).astype("float64") for each in (of_positive, of_negative)))


class AucOfDays:
    """The same of whole days, by the pairs between each two of them.

    :param pairs: positive's day x negative's day: the pairs in the right order, ties by half
    :param positives: how many positive rows each day has
    :param negatives: how many others
    """

    def __init__(self, pairs: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> None:
        self._pairs, self._positives, self._negatives = pairs, positives, negatives

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """As `Statistic`.

        :param weights: how often each day was drawn: resamples x days
        :returns: the metric of each resample; NaN where it has rows of one class only
        """
        drawn = weights.astype("float64")
        right = ((drawn @ self._pairs) * drawn).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            result: np.ndarray = right / ((drawn @ self._positives) * (drawn @ self._negatives))
        return result


def pairs_between(units: int, of_score: np.ndarray, scores: np.ndarray, of_other: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Count the pairs of a score and another that is below it, ties by half.

    :param units: how many there are
    :param of_score: the unit of each score
    :param scores: any floats
    :param of_other: the unit of each of the others
    :param others: any floats
    :returns: the score's unit x the other's
    """
    order = np.argsort(others, kind="stable")
    below, up_to = (np.searchsorted(others[order], scores, side) for side in ("left", "right"))
    return _pairs(units, of_score, below, up_to, of_other[order])


def _pairs(units: int, of_score: np.ndarray, below: np.ndarray, up_to: np.ndarray, of_other: np.ndarray) -> np.ndarray:
    """Of scores that have so many of the others, which are sorted, below them, and so many not above."""
    pairs = np.empty((units, units))
    for unit in range(units):
        running = np.concatenate([[0], np.cumsum(of_other == unit)])
        pairs[:, unit] = np.bincount(of_score, weights=running[below] + running[up_to], minlength=units) / 2
    return pairs
