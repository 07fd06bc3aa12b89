"""What is estimated of one metric of one window, and how uncertain that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from include.evergreen.config.metrics import Metric

CONFIDENCE = 0.95  # of an interval, both ends together


class NotEstimatedError(Exception):
    """Why nothing is estimated of a window, to follow "performance is not estimated:"; never shown as an error."""


@dataclass(frozen=True)
class Estimate:
    """The expected value of a metric over ``rows`` rows of ``days`` days, and what keeps the realised one away from it, as variances.

    ``sampling``: labels of these rows come about by chance. ``learning``: the reference that it was learned from is a sample. ``between``:
    days differ from each other, whatever their rows; of a single day. The last two were estimated from ``units`` days (or groups of rows).
    """

    value: float
    rows: int
    sampling: float
    learning: float
    between: float = 0.0
    days: int = 1
    units: int = 2

    def reach(self, *, rows: int | None = None, comparisons: int = 1) -> float:
        """Say how far off the realised figure may be by chance.

        Student's quantile of `CONFIDENCE`, Bonferroni-corrected: with as many degrees of freedom as there are days to tell how days
        differ, and else Satterthwaite's ("An Approximate Distribution of Estimates of Variance Components", 1946).

        :param rows: over how many rows the figure is; None: over all
        :param comparisons: how many metrics are looked at together
        :returns: half of the interval's width; NaN when a variance is
        """
        from scipy import stats

        variance = self.sampling * self.rows / min(rows or self.rows, self.rows) + self.learning + self.between / self.days
        if not variance > 0:
            return variance
        freedom: float = self.units - 1
        if not self.between:
            freedom = freedom * (variance / self.learning) ** 2 if self.learning else math.inf
        return math.sqrt(variance) * float(stats.t.ppf(1 - (1 - CONFIDENCE) / 2 / comparisons, freedom))

    def interval(self, metric: Metric) -> tuple[float, float]:
        """Say where the realised figure is expected.

        :param metric: what is estimated, whose range bounds it
        :returns: the lower and the upper end
        """
        lowest, highest = metric.range
        reach = self.reach()
        return max(lowest, self.value - reach), min(highest, self.value + reach)
