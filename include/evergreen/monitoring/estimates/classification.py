"""Expected performance of a classification of two classes: CBPE, and PAPE where the reference is weighted.

CBPE (NannyML, "Confidence-based Performance Estimation"): scores are calibrated on the reference, and calibrated probabilities give the
expected confusion of the window. PAPE (J. Bialek, J. Kivimaki, W. Kuberski and N. Perrakis, "Estimating Model Performance Under
Covariate Shift Without Labels", arXiv 2401.08348, section 3): the same, calibrated on a reference that is weighted by the density ratio.
"""

from __future__ import annotations

from collections.abc import Iterable

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
        estimates = {}
        for name, measured in expected.items():
            value = float(measured(probabilities[None])[0])
            if np.isfinite(value):
                estimates[name] = Estimate(
                    value=value, rows=len(probabilities), sampling=_variance(measured(labels)),
                    learning=self._units.jackknife(measured(without)), between=between[name], days=rows.days,
                    units=self._units.count,
                )  # fmt: skip
        return estimates

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
                found[name].append((realised - estimated, _variance(np.array(drawn))))
        return {name: self._units.between(*np.array(pairs).T) for name, pairs in found.items()}


def _expected(measures: Measures, predicted: np.ndarray) -> Iterable[tuple[str, Expected]]:
    for name, metric in measures.metrics.items():
        if metric.is_estimated and (measured := expected_metric(measures, name, predicted)) is not None:
            yield name, measured


def _draw(probabilities: np.ndarray) -> np.ndarray:
    """Labels that come about by chance, the same ones every time."""
    chance = np.random.default_rng(SEED).random((DRAWS, len(probabilities)))
    return (chance < probabilities).astype("float64")


def _variance(values: np.ndarray) -> float:
    """Of the draws that define the metric."""
    defined = values[np.isfinite(values)]
    return float(defined.var(ddof=1)) if len(defined) > 1 else 0.0
