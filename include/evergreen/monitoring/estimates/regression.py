"""Expected performance of a regression: direct loss estimation, and its doubly robust form where the reference is weighted.

Direct loss estimation (NannyML, "Direct Loss Estimation"): a model of the losses on features and prediction, learned on the reference,
is averaged over the window. Here it is a ridge regression of everything that a metric adds up for a row (`training.metrics.sums`), out
of fold. Doubly robust (J. M. Robins, A. Rotnitzky and L. P. Zhao, 1994; for covariate shift S. J. Reddi, B. Poczos and A. Smola,
"Doubly Robust Covariate Shift Correction", 2015): what that model gets wrong on the reference, weighted by the density ratio, is added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from include.evergreen.monitoring.estimates.estimate import Estimate
from include.evergreen.monitoring.estimates.rows import Reference
from include.evergreen.monitoring.estimates.units import Units
from include.evergreen.training.metrics import Finish, Measures, sums

PENALTY = 10.0  # of the ridge regression, in rows
LEAST_CARRIERS = 0.005  # of the rows, that must carry the variance of a loss: of normal errors a third do, of their squares a fifteenth
STEP = 1e-4  # of a numeric derivative, as a share of what is derived by


@dataclass(frozen=True, eq=False)
class _Losses:
    """What one metric adds up for each reference row, where that stands among the columns of all, and what makes the metric of it.

    ``metric`` makes it of the columns' means (NaN or infinity where they define none), ``gradient`` says how it changes with each.
    """

    first: int
    columns: np.ndarray
    finish: Finish
    range: tuple[float, float]

    def metric(self, means: np.ndarray) -> float:
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(self.finish(np.append(means, 1.0)[None])[0])

    def gradient(self, means: np.ndarray) -> np.ndarray:
        steps = STEP * np.maximum(np.abs(means), self.columns.std(axis=0) + 1e-12)
        moved = np.diag(steps)
        slopes: np.ndarray = np.array([self.metric(means + move) - self.metric(means - move) for move in moved]) / (2 * steps)
        return slopes


class Losses:
    """The losses of a reference with a model of each, for windows and weights of any kind.

    :param measures: the version's metrics
    :param reference: rows with labels
    :param design: the reference's rows as numbers, from `Design.matrix`
    :param units: of the reference
    """

    def __init__(self, measures: Measures, reference: Reference, design: np.ndarray, units: Units) -> None:
        self._units = units
        self._metrics: dict[str, _Losses] = {}
        first = 0
        for name, metric in measures.metrics.items():
            summed = sums(measures, name, reference.labels, reference.predicted) if metric.is_estimated else None
            if summed is None or not all(np.isfinite(column).all() for column in summed[0]):
                continue  # such as mape, of a reference with a label of 0
            self._metrics[name] = _Losses(first, np.stack(summed[0], axis=1), summed[1], metric.range)
            first += len(summed[0])
        self._all = np.concatenate([losses.columns for losses in self._metrics.values()], axis=1)
        self._lowest = self._all.min(axis=0)
        self._ridge = _Ridge(design, self._all, units)
        self._residuals = self._all - np.maximum(self._ridge.out_of_fold, self._lowest)

    def estimate(self, design: np.ndarray, days: int, weightings: dict[str, np.ndarray | None]) -> dict[str, dict[str, Estimate]]:
        """Estimate each metric that is a function of sums.

        :param design: the window's rows as numbers
        :param days: of how many days they are
        :param weightings: the name of an estimator -> the weight of each reference row; None: what the model gets wrong is left so
        :returns: by estimator, the metrics that the window defines
        """
        modelled = self._mean_loss(self._ridge.whole, design)
        without = np.stack([self._mean_loss(fit, design) for fit in self._ridge.without])
        return {name: self._by(weights, len(design), days, modelled, without) for name, weights in weightings.items()}

    def _by(self, weights: np.ndarray | None, rows: int, days: int, modelled: np.ndarray, without: np.ndarray) -> dict[str, Estimate]:
        weight = np.ones(len(self._all)) if weights is None else weights
        if weights is not None:
            modelled = modelled + weights @ self._residuals / weights.sum()
        estimates = {}
        for name, losses in self._metrics.items():
            own = slice(losses.first, losses.first + losses.columns.shape[1])
            value = losses.metric(modelled[own])
            if not np.isfinite(value):
                continue
            influence = self._residuals[:, own] @ losses.gradient(modelled[own])
            if _carriers(influence) < LEAST_CARRIERS * len(influence):
                continue  # such as mape, of labels near 0: nothing can be said of a mean that single rows decide
            variance = float((weight * influence**2).sum() / weight.sum())
            estimates[name] = Estimate(
                value=min(max(value, losses.range[0]), losses.range[1]),  # what is added may go beyond it
                rows=rows, sampling=variance / rows,
                learning=self._learning(losses, own, weights, influence, without),
                between=self._between(influence), days=days, units=self._units.count,
            )  # fmt: skip
        return estimates

    def _learning(self, losses: _Losses, own: slice, weights: np.ndarray | None, influence: np.ndarray, without: np.ndarray) -> float:
        """What is wrong with the model is corrected where rows are weighted; then it is the correction's own variance that counts."""
        if weights is None:
            return self._units.jackknife(np.array([losses.metric(means[own]) for means in without]))
        return float((self._units.sums(weights * influence) ** 2).sum() / weights.sum() ** 2)

    def _between(self, influence: np.ndarray) -> float:
        """How much days of the reference differ, each judged by the others."""
        rows = self._units.sums(np.ones(len(influence)))
        return self._units.between(self._units.sums(influence) / rows, self._units.sums(influence**2) / rows**2)

    def _mean_loss(self, fit: _Fit, design: np.ndarray) -> np.ndarray:
        """Of modelled losses, none of them below the least that was seen: a size is not negative."""
        means: np.ndarray = np.maximum(fit.losses(design), self._lowest).mean(axis=0)
        return means


@dataclass(frozen=True, eq=False)
class _Fit:
    """Modelled losses: those at the centre of the design, and how each changes from there."""

    centre: np.ndarray
    at_centre: np.ndarray
    slopes: np.ndarray

    def losses(self, design: np.ndarray) -> np.ndarray:
        modelled: np.ndarray = self.at_centre + (design - self.centre) @ self.slopes
        return modelled


class _Ridge:
    """A ridge regression of losses, of all the reference and of all but each unit.

    :param design: the reference's rows as numbers
    :param losses: what is modelled, rows x columns
    :param units: what is left out in turn
    """

    def __init__(self, design: np.ndarray, losses: np.ndarray, units: Units) -> None:
        self._design, self._losses = design, losses
        owns = [units.of_row == unit for unit in range(units.count)]
        inner, inner_losses = design - design.mean(axis=0), losses - losses.mean(axis=0)
        parts = [(inner[own].T @ inner[own], inner[own].T @ inner_losses[own]) for own in owns]
        products, targets = (sum(part[number] for part in parts) for number in (0, 1))
        self.whole = self._fit(products, targets, np.ones(len(design), dtype=bool))
        self.without = [self._fit(products - product, targets - target, ~own) for own, (product, target) in zip(owns, parts, strict=True)]
        self.out_of_fold = np.empty_like(losses)
        for own, fit in zip(owns, self.without, strict=True):
            self.out_of_fold[own] = fit.losses(design[own])

    def _fit(self, products: np.ndarray, targets: np.ndarray, rows: np.ndarray) -> _Fit:
        slopes = np.linalg.solve(products + PENALTY * np.eye(len(products)), targets)
        return _Fit(self._design[rows].mean(axis=0), self._losses[rows].mean(axis=0), slopes)


def _carriers(influence: np.ndarray) -> float:
    """How many rows carry the variance: the inverse of the kurtosis, times the rows."""
    squares = influence**2
    return float(squares.sum() ** 2 / max(float((squares**2).sum()), 1e-300)) if squares.any() else float(len(influence))
