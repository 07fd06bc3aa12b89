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
        self._between = None if units.of_row is None else self._pairs_between(units)
        if units.of_row is not None:
            self._positives = np.bincount(units.of_row[positive], minlength=units.count).astype("float64")
            self._negatives = np.bincount(units.of_row[negative], minlength=units.count).astype("float64")

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """As `Statistic`.

        :param weights: how often each unit was drawn: resamples x units
        :returns: the metric of each resample; NaN where it has rows of one class only
        """
        if self._between is None:
            return np.array([self._of_rows(drawn) for drawn in weights])
        drawn = weights.astype("float64")
        right = ((drawn @ self._between) * drawn).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            result: np.ndarray = right / ((drawn @ self._positives) * (drawn @ self._negatives))
        return result

    def _of_rows(self, weights: np.ndarray) -> float:
        running = np.empty(len(self._negative) + 1)
        running[0] = 0
        np.cumsum(weights[self._negative], out=running[1:])
        of_positive = weights[self._positive].astype("float64")
        pairs = of_positive.sum() * running[-1]
        return float(of_positive @ (running[self._below] + running[self._up_to])) / 2 / pairs if pairs else math.nan

    def _pairs_between(self, units: Units) -> np.ndarray:
        """Positive's unit x negative's unit: the pairs in the right order, ties by half."""
        assert units.of_row is not None
        pairs = np.empty((units.count, units.count))
        of_positive, of_negative = units.of_row[self._positive], units.of_row[self._negative]
        for unit in range(units.count):
            running = np.concatenate([[0], np.cumsum(of_negative == unit)])
            right = running[self._below] + running[self._up_to]
            pairs[:, unit] = np.bincount(of_positive, weights=right, minlength=units.count) / 2
        return pairs
