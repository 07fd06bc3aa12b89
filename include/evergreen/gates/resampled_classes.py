"""Metrics of several classes on all resamples of the `bootstrap` at once: by counts of each class, and by the order of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from include.evergreen.gates.bootstrap import OfSums, Statistic, Units
from include.evergreen.gates.ranking import Auc, AucOfDays, pairs_between
from include.evergreen.serving.likeliest import probability
from include.evergreen.training.class_auc import OneVersusRest, twice_below
from include.evergreen.training.class_metrics import BY_COUNTS, OfCounts, counted, sums
from include.evergreen.training.metrics import Measures

MOST_EXACT: Final = 250_000  # rows x classes, up to which each resample of single rows is ranked
MOST_PAIRS: Final = 10_000_000  # classes x days x days, up to which pairs of rows are counted by their days: 80 MB


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
    apart = OneVersusRest(labels, predicted, measures.is_known)
    classes = apart.classes
    is_exact = len(classes) * len(labels) <= MOST_EXACT if units.of_row is None else len(classes) * units.count**2 <= MOST_PAIRS
    if len(classes) > 1 and not is_exact:
        whole = apart.mean()
        return OfSums(units, [apart.influence()], lambda totals: whole + totals[:, 0] / totals[:, 1])
    if units.of_row is None:
        return MeanAuc([Auc(units, labels == number, probability(predicted, int(number), measures.is_known)) for number in classes])
    return MeanAuc(list(_by_days(apart, units, labels)))


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

    def __init__(self, areas: Sequence[Statistic]) -> None:
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


def _by_days(apart: OneVersusRest, units: Units, labels: np.ndarray) -> Iterator[Statistic]:
    """The AUC of each class by the pairs of its rows with others: of all rests, less those of rows that name it, which have its own."""
    assert units.of_row is not None
    day, rows = units.of_row, np.bincount(units.of_row, minlength=units.count).astype("float64")
    rests = [np.sort(apart.rest[day == unit]) for unit in range(units.count)]
    for of in apart.each():
        own = day[of.rows]
        pairs = pairs_between(units.count, own, of.scores, day[of.named], of.values)
        pairs -= pairs_between(units.count, own, of.scores, own, of.scores)
        if len(of.named) < apart.count:
            pairs -= pairs_between(units.count, own, of.scores, day[of.named], apart.rest[of.named])
            for unit, rest in enumerate(rests):
                pairs[:, unit] += np.bincount(own, weights=twice_below(of.scores, rest), minlength=units.count) / 2
        positives = np.bincount(own, minlength=units.count).astype("float64")
        yield AucOfDays(pairs, positives, rows - positives)
    for number in apart.classes:
        if not apart.knows(number):
            positives = np.bincount(day[labels == number], minlength=units.count).astype("float64")
            yield AucOfDays(np.outer(positives, rows - positives) / 2, positives, rows - positives)
