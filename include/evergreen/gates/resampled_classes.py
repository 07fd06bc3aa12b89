"""Metrics of several classes on all resamples of the `bootstrap` at once: by counts of each class, and by the order of rows."""

from __future__ import annotations

from typing import Final

import numpy as np

from include.evergreen.gates.bootstrap import OfSums, Statistic, Units
from include.evergreen.gates.ranking import Auc
from include.evergreen.serving.likeliest import probability
from include.evergreen.training.class_metrics import BY_COUNTS, OfCounts, class_auc, counted, sums
from include.evergreen.training.metrics import Measures

MOST_EXACT: Final = 2_000_000  # rows x classes, up to which each resample of single rows is ranked


def class_statistic(measures: Measures, metric: str, units: Units, labels: np.ndarray, predicted: np.ndarray) -> Statistic:
    """The metric of a resample, as `Measures.measure_one` would measure it on the rows that were drawn.

    :param measures: the version's metrics, of several classes
    :param metric: the name of one of them
    :param units: what is resampled
    :param labels: one float a row, as `Measures.measure` takes them
    :param predicted: as `Measures.measure` takes them
    :returns: what gives the metric of each resample
    """
    if metric in BY_COUNTS:
        return ClassCounts(units, len(measures.classes) + 1, counted(labels, predicted), labels, predicted, BY_COUNTS[metric])
    if metric != "auc_ovr":
        return OfSums(units, *sums(metric, measures.classes, measures.is_known, labels, predicted))
    classes = np.unique(labels)
    if units.of_row is None and len(classes) * len(labels) > MOST_EXACT:
        return _linearised(measures, units, labels, predicted)
    return MeanAuc([Auc(units, labels == number, probability(predicted, int(number), measures.is_known)) for number in classes])


class ClassCounts:
    """A metric that depends on the rows by how many of each class are called so, are there, and are both.

    :param units: what is resampled
    :param classes: how many numbers of classes there are
    :param of_rows: as `counted` gives them
    :param labels: one float a row, as `Measures.measure` takes them
    :param predicted: as `Measures.measure` takes them
    :param finish: makes the metric of each resample of the three counts, which are resamples x classes
    """

    def __init__(
        self,
        units: Units,
        classes: int,
        of_rows: tuple[np.ndarray, np.ndarray, np.ndarray],
        labels: np.ndarray,
        predicted: np.ndarray,
        finish: OfCounts,
    ) -> None:
        from scipy.sparse import csr_array

        unit = np.arange(len(labels)) if units.of_row is None else units.of_row
        units_of = (unit[predicted[:, 0] == labels], unit, unit)
        self._counts = [
            csr_array((np.ones(len(of)), (unit_of, of.astype("int64"))), shape=(units.count, classes)).T
            for of, unit_of in zip(of_rows, units_of, strict=True)
        ]
        self._finish = finish

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """As `Statistic`.

        :param weights: how often each unit was drawn: resamples x units
        :returns: the metric of each resample; NaN where it has no row
        """
        drawn = weights.T.astype("float64")
        return self._finish(*((counts @ drawn).T for counts in self._counts))


class MeanAuc:
    """The mean of the AUC of each class against the rest, over the classes that a resample has.

    :param areas: of each class
    """

    def __init__(self, areas: list[Auc]) -> None:
        self._areas = areas

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """As `Statistic`.

        :param weights: how often each unit was drawn: resamples x units
        :returns: the metric of each resample; NaN where it has rows of one class only
        """
        total, defined = np.zeros(len(weights)), np.zeros(len(weights))
        for area in self._areas:
            values = area(weights)
            total += np.where(np.isfinite(values), values, 0.0)
            defined += np.isfinite(values)
        result: np.ndarray = np.divide(total, defined, out=np.full(len(weights), np.nan), where=defined > 0)
        return result


def _linearised(measures: Measures, units: Units, labels: np.ndarray, predicted: np.ndarray) -> Statistic:
    """The mean AUC by what each row adds to it, to the first order: to rank many rows of many classes in each resample takes hours.

    (B. Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", 1982, chapter 6: the infinitesimal jackknife; the shares of pairs
    that a row is in are the placement values of E. DeLong et al., 1988.)
    """
    added, whole, classes = np.zeros(len(labels)), 0.0, np.unique(labels)
    for number in classes:
        is_of_class = labels == number
        scores = probability(predicted, int(number), measures.is_known)
        area = class_auc(is_of_class, scores)
        below, above = np.sort(scores[~is_of_class]), np.sort(scores[is_of_class])
        won, lost = _share_below(scores[is_of_class], below), _share_below(scores[~is_of_class], above)
        added[is_of_class] += (won - area) * len(labels) / len(above)
        added[~is_of_class] += (1 - lost - area) * len(labels) / len(below)
        whole += area
    return OfSums(units, [added / len(classes)], lambda totals: whole / len(classes) + totals[:, 0] / totals[:, 1])


def _share_below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each score, the share of the others, which are sorted, that are below it, ties by half."""
    places = np.searchsorted(others, scores, "left") + np.searchsorted(others, scores, "right")
    result: np.ndarray = places / 2 / len(others)
    return result
