"""Expected performance of a classification of several classes: CBPE, and PAPE where the reference is weighted.

As of two classes (`classification`), but that each class is calibrated by itself (`class_beliefs`) and a row's probabilities are those of
each class that it names (`expected_classes`).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np

from include.evergreen.monitoring.estimates.class_beliefs import Beliefs
from include.evergreen.monitoring.estimates.classification import as_estimates, chance, variance
from include.evergreen.monitoring.estimates.estimate import Estimate
from include.evergreen.monitoring.estimates.expected_classes import ExpectedClasses
from include.evergreen.monitoring.estimates.rows import Reference, Rows
from include.evergreen.monitoring.estimates.units import Units
from include.evergreen.training.metrics import Measures


class ClassifiedOfSeveral:
    """The predictions of a reference with what is known of them, for windows and weights of any kind.

    :param measures: the version's metrics
    :param reference: rows with labels
    :param units: of the reference
    """

    def __init__(self, measures: Measures, reference: Reference, units: Units) -> None:
        self._measures, self._reference, self._units = measures, reference, units
        self._beliefs = Beliefs(reference.predicted, reference.labels, len(measures.own_classes), units)

    def estimate(self, rows: Rows, weightings: dict[str, np.ndarray]) -> dict[str, dict[str, Estimate]]:
        """Estimate each metric that has an expectation.

        :param rows: of the window
        :param weightings: the name of an estimator -> the weight of each reference row
        :returns: by estimator, the metrics that the window defines
        """
        expected = ExpectedClasses(self._measures, rows.predicted)
        between = self._between(expected.names)
        return {name: self._by(weights, rows, expected, between) for name, weights in weightings.items()}

    def _by(self, weights: np.ndarray, rows: Rows, expected: ExpectedClasses, between: dict[str, float]) -> dict[str, Estimate]:
        each = self._beliefs.each(weights, rows.predicted)
        probabilities = next(each)
        of_others = self._beliefs.of_others(weights, expected.count)
        drawn = expected.realised(*expected.draw(probabilities, of_others, chance(len(probabilities))))
        left_out = _by_name(expected.expected(without, of_others) for without in each)
        return as_estimates(expected.expected(probabilities, of_others), drawn, left_out, between, rows, self._units)

    def _between(self, names: Iterable[str]) -> dict[str, float]:
        """How much days of the reference differ, each judged by the others."""
        if not self._units.are_days:
            return dict.fromkeys(names, 0.0)
        even = np.ones(len(self._reference.labels))
        of_others = self._beliefs.of_others(even, len(self._measures.classes) + 1)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for unit, probabilities in enumerate(islice(self._beliefs.each(even, self._reference.predicted), 1, None)):
            own = self._units.of_row == unit
            expected, labels = ExpectedClasses(self._measures, self._reference.predicted[own]), self._reference.labels[own]
            told = expected.expected(probabilities[own], of_others)
            realised = expected.realised(expected.places(labels)[None], labels.astype("int64")[None])
            drawn = expected.realised(*expected.draw(probabilities[own], of_others, chance(int(own.sum()))))
            for name, pairs in found.items():
                pairs.append((float(realised[name][0]) - told[name], variance(drawn[name])))
        return {name: self._units.between(*np.array(pairs).T) for name, pairs in found.items()}


def _by_name(told: Iterable[dict[str, float]]) -> dict[str, np.ndarray]:
    every = list(told)
    return {name: np.array([each[name] for each in every]) for name in every[0]}
