"""The paired bootstrap, vectorised: a resample is a weight per unit (row or day), from which `resampled` gets each metric.

Metrics that see the same weights are paired. No resampled row is ever copied, and nothing is sorted twice. What is resampled
(`Units`) is each row by itself, or whole days. Units too few for a bootstrap are left out one at a time instead (the jackknife).
docs/decisions/how-a-gate-decides.md has the figures behind the choices here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from include.evergreen.config.gate import ENOUGH_DAYS
from include.evergreen.training.metrics import Finish

HELD_WEIGHTS = 1 << 19  # at once, of 8 bytes each
MIN_UNITS = ENOUGH_DAYS  # with fewer units there are too few different resamples for quantiles: then it is the jackknife
BETTER_SHARE = 0.75  # of alpha: at this *better* is said of no difference at most as often as alpha says, in every simulated world
DEFINED_SHARE = 0.95  # of the resamples, for an interval: a small slice may lack one class in some


@dataclass(frozen=True)
class Units:
    """``of_row``: the number of each row's unit, from 0 to ``count`` - 1; None when each row is a unit by itself."""

    count: int
    of_row: np.ndarray | None

    @classmethod
    def rows(cls, count: int) -> Units:
        """Make each row a unit by itself.

        :param count: how many rows there are
        :returns: as many units
        """
        return cls(count, None)

    @classmethod
    def days(cls, days: np.ndarray) -> Units:
        """Make one unit of each day.

        :param days: the day of each row, in any form that sorts
        :returns: one unit for each distinct day, however few they are, in their order
        """
        distinct, of_row = np.unique(days, return_inverse=True)
        return cls(len(distinct), of_row)

    def among(self, chosen: np.ndarray) -> Units:
        """Make units of some rows alone.

        :param chosen: a mask of the rows
        :returns: the chosen rows, or the days that have any of them
        """
        return Units.rows(int(chosen.sum())) if self.of_row is None else Units.days(self.of_row[chosen])

    def within(self, chosen: np.ndarray) -> Units:
        """Keep some rows among all the days, which are so drawn together with other rows.

        :param chosen: a mask of the rows
        :returns: all the days, even those without a chosen row; where rows are units, the chosen ones alone
        """
        return Units.rows(int(chosen.sum())) if self.of_row is None else Units(self.count, self.of_row[chosen])

    @property
    def word(self) -> str:
        """What a message calls the units."""
        return "rows" if self.of_row is None else "days"

    def sums(self, columns: np.ndarray) -> np.ndarray:
        """Add up columns by unit.

        :param columns: rows x k
        :returns: units x k; where rows are units, ``columns`` itself
        """
        if self.of_row is None:
            return columns
        return np.stack([np.bincount(self.of_row, weights=column, minlength=self.count) for column in columns.T], axis=1)


def draw(units: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draw the resamples, with replacement, a piece of at most `HELD_WEIGHTS` weights at a time.

    :param units: how many units there are; so many are drawn in each resample
    :param resamples: how many resamples there are in all
    :param seed: the same seed draws the same resamples
    :yields: how often each unit is drawn in each resample: some resamples x units, whole numbers
    """
    random = np.random.default_rng(seed)
    at_once = max(1, HELD_WEIGHTS // units)
    for first in range(0, resamples, at_once):
        count = min(at_once, resamples - first)
        drawn = random.integers(0, units, size=(count, units), dtype=np.int64)
        drawn += np.arange(0, count * units, units)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * units).reshape(count, units)


def left_out(units: int) -> np.ndarray:
    """Give the weights of the jackknife.

    :param units: how many units there are, from 1
    :returns: how often each unit counts, 0 or 1: first the whole, then each unit left out once; units + 1 x units
    """
    return np.concatenate([np.ones((1, units), dtype=np.int64), 1 - np.eye(units, dtype=np.int64)])


class Statistic(Protocol):
    """A metric of one version's predictions."""

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Measure every resample at once.

        :param weights: how often each unit was drawn: resamples x units
        :returns: the metric of each resample; NaN where a resample does not define it
        """


class OfSums:
    """A metric that depends on the rows by sums alone.

    :param units: what is resampled
    :param columns: what is added up, one number for each row in each of them; a column of ones is put after the last
    :param finish: makes the metric of each resample (NaN where it is undefined) of the sums, which are resamples x columns
    """

    def __init__(self, units: Units, columns: Sequence[np.ndarray], finish: Finish) -> None:
        self._columns = units.sums(np.stack([*columns, np.ones(len(columns[0]))], axis=1).astype("float64"))
        self._finish = finish

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """As `Statistic`.

        :param weights: how often each unit was drawn: resamples x units
        :returns: the metric of each resample; NaN, or infinity, where a resample does not define it
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._finish(weights.astype("float64") @ self._columns)


def replicates(statistics: Sequence[Statistic], units: Units, *, resamples: int, seed: int) -> np.ndarray:
    """Measure several statistics on the same resamples, which pairs them.

    :param statistics: what to measure, all over ``units``
    :param units: what is resampled
    :param resamples: how many resamples to draw
    :param seed: the same seed draws the same resamples
    :returns: statistics x resamples, or x what is `left_out` of fewer than `MIN_UNITS` units; NaN where one does not define a statistic
    """
    weighings = draw(units.count, resamples, seed) if units.count >= MIN_UNITS else [left_out(units.count)]
    pieces = [np.stack([measured(weights) for measured in statistics]) for weights in weighings]
    return np.concatenate(pieces, axis=1)


def interval(values: np.ndarray, units: int, *, confidence: float) -> tuple[float, float] | None:
    """The expanded percentile interval, whose each end is passed with a chance of (1 - ``confidence``).

    So its coverage is 2 x ``confidence`` - 1: 90% of .95. For n units it reads the resamples' quantiles not at alpha but at
    Phi(-sqrt(n / (n - 1)) t(alpha, n - 1)), which corrects the plain percentile interval, too narrow for few units
    (T. Hesterberg, "What Teachers Should Know About the Bootstrap", 2015, section 5.3). Of fewer than `MIN_UNITS` units it is Student's
    interval with the jackknife's standard error, which needs none of the resamples' quantiles.

    :param values: what `replicates` gives for the statistic; those that are not finite are undefined
    :param units: how many units were resampled
    :param confidence: of each end by itself, as a share: 0.95 for .95
    :returns: the lower and the upper end; None when more than 1 - `DEFINED_SHARE` of the values are undefined, or there are fewer
        than two units
    """
    from scipy import stats

    defined = values[np.isfinite(values)]
    if units < 2 or len(defined) < DEFINED_SHARE * len(values):
        return None
    if units < MIN_UNITS:
        whole, others = values[0], values[1:]
        error = math.sqrt((units - 1) / units * float(((others - others.mean()) ** 2).sum()))
        reach = error * float(stats.t.ppf(confidence, units - 1))
        return float(whole - reach), float(whole + reach)
    tail = float(stats.norm.cdf(math.sqrt(units / (units - 1)) * stats.t.ppf(1 - confidence, units - 1)))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def student_interval(value: float, values: np.ndarray, units: int, *, confidence: float) -> tuple[float, float] | None:
    """Student's interval by the resamples' standard error, for a ``confidence`` so high that they have no such quantile.

    It is symmetric, so take a statistic that is about so: of a ratio, the logarithm.

    :param value: the statistic of all rows
    :param values: as `interval` takes them
    :param units: as `interval` takes them
    :param confidence: as `interval` takes it
    :returns: as `interval`
    """
    from scipy import stats

    if units < MIN_UNITS:
        return interval(values, units, confidence=confidence)
    defined = values[np.isfinite(values)]
    if len(defined) < DEFINED_SHARE * len(values):
        return None
    reach = float(defined.std() * math.sqrt(units / (units - 1)) * stats.t.ppf(confidence, units - 1))
    return value - reach, value + reach


def surely_better(values: np.ndarray, units: int, *, confidence: float) -> tuple[float, float] | None:
    """The `interval` by whose worse end superiority is judged: at `BETTER_SHARE` of alpha, and so a little wider.

    Of few days the interval's tails hold up to 6% where 5% is nominal. A wrong *not worse* is bounded by its margin, a wrong *better*
    by nothing.

    :param values: as `interval` takes them
    :param units: as `interval` takes them
    :param confidence: one-sided, as a share, of which alpha is the rest
    :returns: as `interval`
    """
    return interval(values, units, confidence=1 - BETTER_SHARE * (1 - confidence))
