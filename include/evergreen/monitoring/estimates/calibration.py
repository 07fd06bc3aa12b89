"""What a score means: isotonic regression of labels on scores, of all reference rows and of all but each unit of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

LEAST_WEIGHT = 1e-9  # of a group: what is left of it when all of its rows are taken away is rounding
MAX_GROUPS = 200  # of reference rows by their scores: finer steps change no estimate that was measured


class Calibration:
    """Reference scores and labels in groups of about equal size, which are calibrated as often as somebody asks.

    :param scores: of the reference rows
    :param labels: 0 or 1 for each
    :param unit: the number of each row's unit, from 0 to ``units`` - 1
    :param units: how many units there are
    """

    def __init__(self, scores: np.ndarray, labels: np.ndarray, unit: np.ndarray, units: int) -> None:
        edges = np.unique(np.quantile(scores, np.linspace(0, 1, MAX_GROUPS + 1)[1:-1]))
        self._scores, self._labels = scores, labels
        self._units, self._groups = units, len(edges) + 1
        self._cell = unit * self._groups + np.searchsorted(edges, scores, side="right")

    def calibrated(self, weights: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Say how likely rows are positive, by their scores.

        :param weights: one for each reference row
        :param scores: of any rows
        :returns: one probability for each of ``scores``, learned from all the reference; and units x rows of them, each learned without
            one unit
        """
        whole, *without = self.each(weights, scores)
        return whole, np.stack(without)

    def each(self, weights: np.ndarray, scores: np.ndarray) -> Iterator[np.ndarray]:
        """Say how likely rows are positive, by their scores (B. Zadrozny and C. Elkan, 2002: isotonic regression), one way after another.

        :param weights: one for each reference row
        :param scores: of any rows
        :yields: one probability for each of ``scores``: first learned from all the reference, then without each unit; itself where that
            leaves no row
        """
        sums = np.stack([self._sums(weights * column) for column in (np.ones(len(weights)), self._scores, self._labels)])
        whole = sums.sum(axis=1)
        yield _isotonic(whole, scores)
        for unit in range(self._units):
            yield _isotonic(whole - sums[:, unit], scores)

    def _sums(self, column: np.ndarray) -> np.ndarray:
        """By unit and group."""
        return np.bincount(self._cell, weights=column, minlength=self._units * self._groups).reshape(self._units, self._groups)


def _isotonic(sums: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of the sums of weights, scores and labels by group."""
    from scipy.optimize import isotonic_regression

    weight, score, label = sums[:, sums[0] > LEAST_WEIGHT]
    if not len(weight):
        return scores
    shares = isotonic_regression(label / weight, weights=weight).x
    probabilities: np.ndarray = np.interp(scores, score / weight, shares).clip(0, 1)
    return probabilities
