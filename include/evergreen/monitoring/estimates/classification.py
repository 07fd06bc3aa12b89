"""Expected performance of a classification of two classes: CBPE, and PAPE where the reference is weighted.

CBPE (NannyML, "Confidence-based Performance Estimation"): scores are calibrated on the reference, and calibrated probabilities give the
expected confusion of the window. PAPE (J. Bialek, J. Kivimaki, W. Kuberski and N. Perrakis, "Estimating Model Performance Under
Covariate Shift Without Labels", arXiv 2401.08348, section 3): the same, calibrated on a reference that is weighted by the density ratio.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from include.evergreen.monitoring.estimates.calibration import Calibration
from include.evergreen.monitoring.estimates.estimate import Estimate
from include.evergreen.monitoring.estimates.expected import Expected, expected_metric
from include.evergreen.monitoring.estimates.rows import Reference, Rows
from include.evergreen.monitoring.estimates.units import Units
from include.evergreen.training.metrics import Measures

DRAWS = 200  # of the labels: what their variance is measured by
SEED = 1


class Classified:
    """The scores of a reference with what is known of them, for windows and weights of any kind.

    :param measures: the version's metrics
    :param reference: rows with labels
    :param units: of the reference
    """

    def __init__(self, measures: Measures, reference: Reference, units: Units) -> None:
        self._measures, self._reference, self._units = measures, reference, units
        self._calibration = Calibration(reference.predicted, reference.labels, units.of_row, units.count)

    def estimate(self, rows: Rows, weightings: dict[str, np.ndarray]) -> dict[str, dict[str, Estimate]]:
        """Estimate each metric that has an expectation.

        :param rows: of the window
        :param weightings: the name of an estimator -> the weight of each reference row
        :returns: by estimator, the metrics that the window defines
        """
        expected = dict(_expected(self._measures, rows.predicted))
        between = self._between(expected)
        return {name: self._by(weights, rows, expected, between) for name, weights in weightings.items()}

    def _by(self, weights: np.ndarray, rows: Rows, expected: dict[str, Expected], between: dict[str, float]) -> dict[str, Estimate]:
        probabilities, without = self._calibration.calibrated(weights, rows.predicted)
        labels = _draw(probabilities)
        told, drawn, left_out = (
            {name: measured(sets) for name, measured in expected.items()} for sets in (probabilities[None], labels, without)
        )
        return as_estimates({name: float(value[0]) for name, value in told.items()}, drawn, left_out, between, rows, self._units)

    def _between(self, names: Iterable[str]) -> dict[str, float]:
        """How much days of the reference differ, each judged by the others."""
        if not self._units.are_days:
            return dict.fromkeys(names, 0.0)
        _, without = self._calibration.calibrated(np.ones(len(self._reference.labels)), self._reference.predicted)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for unit in range(self._units.count):
            own = self._units.of_row == unit
            probabilities, labels = without[unit, own], self._reference.labels[own]
            sets = np.concatenate([probabilities[None], labels[None], _draw(probabilities)])
            for name, measured in _expected(self._measures, self._reference.predicted[own]):
                estimated, realised, *drawn = measured(sets)
                found[name].append((realised - estimated, variance(np.array(drawn))))
        return {name: self._units.between(*np.array(pairs).T) for name, pairs in found.items()}


def _expected(measures: Measures, predicted: np.ndarray) -> Iterable[tuple[str, Expected]]:
    for name, metric in measures.metrics.items():
        if metric.is_estimated and (measured := expected_metric(measures, name, predicted)) is not None:
            yield name, measured


def _draw(probabilities: np.ndarray) -> np.ndarray:
    """Labels that come about by chance."""
    return (chance(len(probabilities)) < probabilities).astype("float64")


def chance(rows: int) -> np.ndarray:
    """Draw what decides labels, the same every time.

    :param rows: how many labels there are
    :returns: `DRAWS` x rows, even from 0 to 1
    """
    return np.random.default_rng(SEED).random((DRAWS, rows))


def as_estimates(
    told: Mapping[str, float],
    drawn: Mapping[str, np.ndarray],
    left_out: Mapping[str, np.ndarray],
    between: Mapping[str, float],
    rows: Rows,
    units: Units,
) -> dict[str, Estimate]:
    """Say how uncertain each expected metric is.

    :param told: by name, what is expected; not finite where it is undefined
    :param drawn: by name, the metric of each draw of labels
    :param left_out: by name, what is expected without each unit of the reference
    :param between: by name, how much days differ, as a variance
    :param rows: of the window
    :param units: of the reference
    :returns: the estimate of each metric that is defined
    """
    return {
        name: Estimate(
            value=value, rows=len(rows.predicted), sampling=variance(drawn[name]), learning=units.jackknife(left_out[name]),
            between=between[name], days=rows.days, units=units.count,
        )
        for name, value in told.items()
        if np.isfinite(value)
    }  # fmt: skip


def variance(values: np.ndarray) -> float:
    """Measure how much draws of labels vary a metric.

    :param values: one for each draw; NaN where it is undefined
    :returns: the variance of those that are defined; 0 of fewer than two
    """
    defined = values[np.isfinite(values)]
    return float(defined.var(ddof=1)) if len(defined) > 1 else 0.0
