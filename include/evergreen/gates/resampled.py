"""Each metric on all resamples of the `bootstrap` at once: by sums where it is a function of sums, else by the rows' order."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from include.evergreen.gates.bootstrap import HELD_WEIGHTS, OfSums, Statistic, Units
from include.evergreen.gates.ranking import Auc
from include.evergreen.gates.resampled_classes import class_statistic
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
    if measures.own(metric) is not None:
        return OfCalls(units, measures, metric, labels, predicted)
    if measures.model.task == "multiclass":
        return class_statistic(measures, metric, units, labels, predicted)
    if metric == "auc":
        return Auc(units, labels, predicted)
    if metric == "average_precision":
        return AveragePrecision(units, labels, predicted)
    if metric == "median_absolute_error":
        return Median(units, np.abs(labels - predicted))
    summed = sums(measures, metric, labels, predicted)
    assert summed is not None
    return OfSums(units, *summed)


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
