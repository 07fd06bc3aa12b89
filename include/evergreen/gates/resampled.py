"""Each metric on all resamples of the `bootstrap` at once: by sums where it is a function of sums, else by the rows' order."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from include.evergreen.gates.bootstrap import HELD_WEIGHTS, OfSums, Statistic, Units
from include.evergreen.training.metrics import Measures, sums


def statistic(measures: Measures, metric: str, units: Units, labels: np.ndarray, predicted: np.ndarray) -> Statistic:
    """The metric of a resample, as `Measures.measure_one` would measure it on the rows that were drawn.

    :param measures: the version's metrics
    :param metric: the name of one of them; `ConfigError` when it is none
    :param units: what is resampled
    :param labels: one float a row, as `Measures.measure` takes them
    :param predicted: one float a row, as `Measures.measure` takes them
    :returns: what gives the metric of each resample
    """
    measures.metric(metric)
    if metric == "auc":
        return Auc(units, labels, predicted)
    if metric == "average_precision":
        return AveragePrecision(units, labels, predicted)
    if metric == "median_absolute_error":
        return Median(units, np.abs(labels - predicted))
    summed = sums(measures, metric, labels, predicted)
    return OfCalls(units, measures, metric, labels, predicted) if summed is None else OfSums(units, *summed)


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


class AveragePrecision:
    """The mean precision over the positive rows, each at the threshold that just calls it positive; ties are one threshold.

    :param units: what is resampled
    :param labels: 0 or 1 for each row
    :param predicted: the probability of 1 for each row
    """

    def __init__(self, units: Units, labels: np.ndarray, predicted: np.ndarray) -> None:
        order = np.argsort(-predicted, kind="stable")
        self._rows = _Rows(units, order)
        self._labels = labels[order]
        self._last = np.flatnonzero(np.append(np.diff(predicted[order]) != 0, True))  # of each threshold

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """As `Statistic`.

        :param weights: how often each unit was drawn: resamples x units
        :returns: the metric of each resample; NaN where it has no positive row
        """
        return np.concatenate([self._measured(drawn) for drawn in self._rows.weights(weights)])

    def _measured(self, weights: np.ndarray) -> np.ndarray:
        called = np.cumsum(weights, axis=1)[:, self._last]
        hits = np.cumsum(weights * self._labels, axis=1)[:, self._last]
        gained = np.diff(hits, axis=1, prepend=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            result: np.ndarray = (gained * hits / np.where(called == 0, 1, called)).sum(axis=1) / hits[:, -1]
        return result


class Median:
    """The median of one number of each row; of an even number of rows the mean of the two in the middle.

    :param units: what is resampled
    :param values: one number for each row
    """

    def __init__(self, units: Units, values: np.ndarray) -> None:
        order = np.argsort(values, kind="stable")
        self._rows = _Rows(units, order)
        self._values = values[order]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """As `Statistic`.

        :param weights: how often each unit was drawn: resamples x units
        :returns: the median of each resample; NaN where it has no row
        """
        return np.array([self._median(drawn) for some in self._rows.weights(weights) for drawn in some])

    def _median(self, weights: np.ndarray) -> float:
        upto = np.cumsum(weights)
        rows = int(upto[-1]) if len(upto) else 0
        if not rows:
            return math.nan
        middle = np.searchsorted(upto, [(rows - 1) // 2, rows // 2], side="right")
        return float(self._values[middle].mean())


class OfCalls:
    """A metric that only its own function knows: called on the rows of each resample, each as often as it was drawn.

    :param units: what is resampled
    :param measures: the version's metrics
    :param metric: the name of one of them
    :param labels: one float a row
    :param predicted: one float a row
    """

    def __init__(self, units: Units, measures: Measures, metric: str, labels: np.ndarray, predicted: np.ndarray) -> None:
        self._measures, self._metric, self._labels, self._predicted = measures, metric, labels, predicted
        self._rows = _Rows(units, np.arange(len(labels)))

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """As `Statistic`. Raises what `Measures.measure_one` does.

        :param weights: how often each unit was drawn: resamples x units
        :returns: the metric of each resample; NaN where it does not define it
        """
        return np.array([self._measured(drawn) for some in self._rows.weights(weights) for drawn in some])

    def _measured(self, weights: np.ndarray) -> float:
        rows = np.repeat(np.arange(len(weights)), weights)
        value = self._measures.measure_one(self._metric, self._labels[rows], self._predicted[rows])
        return math.nan if value is None else value


class _Rows:
    """How often each row was drawn, rows in an order, for some resamples at a time, so that memory stays bounded.

    :param units: what is resampled
    :param order: the numbers of the rows, in their order
    """

    def __init__(self, units: Units, order: np.ndarray) -> None:
        self._unit = order if units.of_row is None else units.of_row[order]

    def weights(self, drawn: np.ndarray) -> Iterator[np.ndarray]:
        at_once = max(1, HELD_WEIGHTS // max(1, len(self._unit)))
        for first in range(0, len(drawn), at_once):
            yield drawn[first : first + at_once][:, self._unit]
