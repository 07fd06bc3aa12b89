"""What a row's probabilities of several classes mean: how often, on the reference, a row with such a probability is of the class.

A row names its likeliest classes (`serving.likeliest`), and is called the first; that it is of another one is one more event, and that it
is of a class that the version does not know the last, which no prediction tells. Each class is calibrated by itself, one against the rest
as NannyML has it, but apart where rows are called so (C. Gupta and A. Ramdas, "Top-label Calibration and Multiclass-to-binary
Reductions", 2022): else more calls are promised to be right than are. What is not called gets what the call leaves, in proportions by
which the reference has as many rows of each class as it has (W. E. Deming and F. F. Stephan, 1940: iterative proportional fitting).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from include.evergreen.monitoring.estimates.calibration import LEAST_WEIGHT, Calibration
from include.evergreen.monitoring.estimates.units import Units
from include.evergreen.serving.likeliest import decided, numbers, values

LEAST_OF_CLASS = 50  # reference rows of a class, or called so, for a calibration of its own; rarer classes are calibrated together
ROUNDING = 1e-6  # of probabilities of 32 bits: what they lack of 1
ROUNDS = 3  # of fitting; more change nothing that was measured
NO_GROUP = -1


class Beliefs:
    """The calibrations of a reference, made as often as somebody asks.

    :param predicted: of the reference, as `serving.likeliest` has it
    :param labels: one number a row, as a float; those of classes that the version does not know come after the others
    :param classes: how many classes the version knows
    :param units: of the reference
    """

    def __init__(self, predicted: np.ndarray, labels: np.ndarray, classes: int, units: Units) -> None:
        self._predicted, self._labels, self._classes, self._units = predicted, labels.astype("int64"), classes, units
        called, of_class = (np.bincount(each.astype("int64"), minlength=classes)[:classes] for each in (decided(predicted), labels))
        alone, together = np.arange(classes), classes
        self._of_called = np.where(called >= LEAST_OF_CLASS, alone, together)
        self._of_others = np.where(of_class >= LEAST_OF_CLASS, alone, together) + classes + 1
        self._groups = 2 * classes + 4  # the last two are of another class, and of one that the version does not know
        is_named = numbers(predicted).astype("int64") == self._labels[:, None]
        is_new = self._labels[:, None] >= classes
        self._is_it = np.concatenate([is_named, ~is_named.any(axis=1, keepdims=True) & ~is_new, is_new], axis=1).astype("float64")
        self._calibrations = dict(self._fitted())

    def of_others(self, weights: np.ndarray, count: int) -> np.ndarray:
        """Say of which class a row is that is of another one than it names, and that is of one that the version does not know.

        :param weights: one for each reference row
        :param count: how many numbers of classes there are
        :returns: 2 x count probabilities; where the reference has no such row, even ones of the first, and the last number for the second
        """
        shares = np.zeros((2, count))
        for which, is_it in enumerate(self._is_it[:, -2:].T > 0):
            shares[which] = np.bincount(self._labels[is_it], weights=weights[is_it], minlength=count)
        if not shares[0].sum() > 0:
            shares[0, : self._classes] = 1
        if not shares[1].sum() > 0:
            shares[1, -1] = 1
        normalised: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
        return normalised

    def each(self, weights: np.ndarray, predicted: np.ndarray) -> Iterator[np.ndarray]:
        """Say how likely rows are of each class that they name, of another one, and of one that the version does not know.

        :param weights: one for each reference row
        :param predicted: of any rows, as `serving.likeliest` has it
        :yields: rows x (k + 2): first learned from all the reference, then without each unit
        """
        own = self._groups_of(self._predicted)
        group = np.concatenate([self._groups_of(predicted), own])
        scores = np.concatenate([_scores(predicted), _scores(self._predicted)])
        parts = []
        for each, (calibration, row) in self._calibrations.items():
            entries = np.nonzero(group == each)
            parts.append((entries, calibration.each(weights[row], scores[entries])))
        for left_out in range(-1, self._units.count):  # one at a time: of many classes and days, all of them would take gigabytes
            made = scores.copy()
            for entries, calibrated in parts:
                made[entries] = next(calibrated)
            made[:, 0] = np.where(made[:, 1:].sum(axis=1) > 0, made[:, 0], 1.0)
            self._fit(made, group, own, np.where(self._units.of_row == left_out, 0.0, weights))
            yield made[: len(predicted)]

    def _fit(self, probabilities: np.ndarray, group: np.ndarray, own: np.ndarray, weights: np.ndarray) -> None:
        """Scale what is not called, in place; the last rows are the reference, whose groups are ``own``."""
        rest = 1 - probabilities[:, :1]
        there = own[:, 1:] != NO_GROUP
        in_group, weight = own[:, 1:][there], np.broadcast_to(weights[:, None], there.shape)[there]
        wanted = np.bincount(in_group, weights=weight * self._is_it[:, 1:][there], minlength=self._groups)
        for turn in range(ROUNDS + 1):
            others = probabilities[:, 1:]
            total = others.sum(axis=1, keepdims=True)
            others *= rest / np.where(total > 0, total, 1)
            if turn < ROUNDS:
                has = np.bincount(in_group, weights=weight * others[-len(own) :][there], minlength=self._groups)
                factor = np.divide(wanted, has, out=np.ones(self._groups), where=has > LEAST_WEIGHT)
                others *= factor[group[:, 1:]]

    def _fitted(self) -> Iterator[tuple[int, tuple[Calibration, np.ndarray]]]:
        group, scores = self._groups_of(self._predicted), _scores(self._predicted)
        for each in np.unique(group[group != NO_GROUP]).tolist():
            entries = group == each
            row = np.nonzero(entries)[0]
            yield each, (Calibration(scores[entries], self._is_it[entries], self._units.of_row[row], self._units.count), row)

    def _groups_of(self, predicted: np.ndarray) -> np.ndarray:
        """What is calibrated together: rows x (k + 2)."""
        named = numbers(predicted).astype("int64")
        there = (named >= 0) & (named < self._classes)
        number = np.where(there, named, 0)
        group = np.where(np.arange(named.shape[1]) == 0, self._of_called[number], self._of_others[number])
        others = np.broadcast_to([self._groups - 2, self._groups - 1], (len(named), 2))
        return np.append(np.where(there, group, NO_GROUP), others, axis=1)


def _scores(predicted: np.ndarray) -> np.ndarray:
    """How likely a row is of each class that it names, of another, and of one that the version does not know, as it is predicted."""
    lacking = 1 - values(predicted).sum(axis=1, keepdims=True)
    return np.concatenate([values(predicted), np.where(lacking < ROUNDING, 0.0, lacking), np.zeros((len(predicted), 1))], axis=1)
