"""How far two distributions are apart. What is counted in them comes from profiles; none of these says whether it is chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from include.evergreen.monitoring.profiles.layout import TRIM

Distribution = np.ndarray  # shares that add up to 1, or counts of which shares are taken


@dataclass(frozen=True)
class Steps:
    """A side's values, bin by bin: the mean of those in each, in ascending order, and how many there are."""

    values: np.ndarray
    counts: np.ndarray

    @property
    def rows(self) -> int:
        """How many values there are."""
        return int(self.counts.sum())

    @property
    def trim(self) -> float:
        """The share at either end that is left out: at least one row, so that a single absurd value has no say; at most a quarter."""
        return min(max(TRIM, 1 / self.rows), 0.25)

    def at(self, shares: np.ndarray) -> np.ndarray:
        """Quantiles.

        :param shares: between 0 and 1
        :returns: the value below or at which each share of the rows lies
        """
        filled = self.counts > 0
        reached = np.cumsum(self.counts[filled]) / self.rows
        return np.asarray(self.values[filled][np.searchsorted(reached, shares - 1e-12, side="left").clip(max=filled.sum() - 1)])

    @property
    def deviation(self) -> float:
        """The standard deviation, the outermost shares clipped; of all where those left are the same. 0 where there is one value."""
        low, high = self.at(np.array([TRIM, 1 - TRIM]))
        return _deviation(self.values.clip(low, high), self.counts) or _deviation(self.values, self.counts)


def wasserstein(reference: Steps, current: Steps) -> float:
    """Wasserstein's distance between the middle parts of both sides, so that absurd values at the ends have no say.

    :param reference: with at least one value
    :param current: likewise
    :returns: the distance, in the unit of the values; a shift of all of them by x is x
    """
    trim = max(reference.trim, current.trim)
    low, high = trim, 1 - trim
    reached = [np.cumsum(side.counts) / side.rows for side in (reference, current)]
    shares = np.unique(np.concatenate([*reached, [low, high]]).clip(low, high))
    middles, widths = (shares[1:] + shares[:-1]) / 2, np.diff(shares)
    return float(np.abs(current.at(middles) - reference.at(middles)) @ widths / (1 - 2 * trim))


def jensen_shannon(reference: Distribution, current: Distribution) -> float:
    """Jensen and Shannon's distance, by natural logarithms (Lin 1991; Endres and Schindelin 2003).

    :param reference: by cell
    :param current: likewise
    :returns: 0 for the same, .83 (the root of the logarithm of 2) for nothing in common
    """
    one, other = reference / reference.sum(), current / current.sum()
    middle = (one + other) / 2
    divergence = 0.0
    for side in (one, other):
        there = side > 0
        divergence += float(side[there] @ np.log(side[there] / middle[there])) / 2
    return math.sqrt(max(divergence, 0.0))


def population_stability(reference: Distribution, current: Distribution) -> float:
    """The population stability index (PSI), finite for empty cells too: each cell of either side has half a row more.

    :param reference: counts by cell
    :param current: likewise
    :returns: 0 for the same; by custom, .1 is a moderate and .25 a great change
    """
    one, other = ((side + 0.5) / (side + 0.5).sum() for side in (reference, current))
    return float((other - one) @ np.log(other / one))


def kolmogorov_smirnov(reference: Distribution, current: Distribution) -> float:
    """The greatest difference of two cumulative distributions, at the edges of bins.

    :param reference: by bin, in ascending order
    :param current: likewise
    :returns: 0 for the same, 1 for nothing in common
    """
    return float(np.abs(np.cumsum(reference / reference.sum()) - np.cumsum(current / current.sum())).max())


def total_variation(reference: Distribution, current: Distribution) -> float:
    """The share of rows that would have to be another cell's.

    :param reference: by cell
    :param current: likewise
    :returns: 0 for the same, 1 for nothing in common
    """
    return float(np.abs(reference / reference.sum() - current / current.sum()).sum() / 2)


def greatest_change(reference: Distribution, current: Distribution) -> float:
    """The greatest change of one cell's share (L-infinity).

    :param reference: by cell
    :param current: likewise
    :returns: 0 for the same, 1 for a cell that had all rows and has none
    """
    return float(np.abs(reference / reference.sum() - current / current.sum()).max())


def adjusted(p_values: list[float]) -> list[float]:
    """Correct p-values for their number, by Benjamini and Hochberg (1995).

    :param p_values: of all comparisons of a window
    :returns: in the same order: of those at or below a level, that share at most is expected to be chance
    """
    from scipy import stats

    return [float(each) for each in stats.false_discovery_control(p_values)] if p_values else []


def _deviation(values: np.ndarray, counts: np.ndarray) -> float:
    filled = counts > 0
    values, weights = values[filled], counts[filled] / counts.sum()
    if not len(values) or (values == values[0]).all():
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        apart = values - weights @ values
        return math.sqrt(float(weights @ apart**2))
