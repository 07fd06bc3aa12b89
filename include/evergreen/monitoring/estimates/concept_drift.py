"""Concept drift: realised performance is not what the features explain, so labels come about otherwise than they did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from include.evergreen.monitoring.estimates.estimate import Estimate

SUSPECTED = 1.0  # a score above it
ROUNDING = 1e-9  # an interval that is narrower is of a figure that can have one value alone, such as the AUC of a constant


@dataclass(frozen=True)
class Surprise:
    """The metric that surprises most: its value over ``rows`` labelled rows, and where chance leaves it, corrected for the metrics.

    ``score`` is how far the value is from the estimate, in halves of that interval.
    """

    metric: str
    realised: float
    rows: int
    low: float
    high: float
    score: float

    @property
    def is_suspected(self) -> bool:
        """Whether chance and the features do not explain it."""
        return self.score > SUSPECTED

    @property
    def message(self) -> str:
        """What is suspected, for people; empty when nothing is."""
        if not self.is_suspected:
            return ""
        return f"concept drift suspected: {self.metric} is {self.realised:.3f}, where {self.low:.3f} to {self.high:.3f} was to be expected"


def greatest_surprise(estimates: Mapping[str, Estimate], realised: Mapping[str, tuple[float, int]]) -> Surprise | None:
    """Compare realised performance with its estimate.

    :param estimates: by metric
    :param realised: by metric, the value and over how many labelled rows it is
    :returns: of the metric with the greatest score; None when none has both, or is uncertain at all
    """
    both = [name for name in estimates if name in realised]
    surprises = [_surprise(name, estimates[name], *realised[name], len(both)) for name in both]
    return max((each for each in surprises if math.isfinite(each.score)), key=lambda each: each.score, default=None)


def _surprise(name: str, estimate: Estimate, value: float, rows: int, comparisons: int) -> Surprise:
    reach = estimate.reach(rows=rows, comparisons=comparisons)
    score = abs(value - estimate.value) / reach if reach > ROUNDING else math.nan
    return Surprise(name, value, rows, estimate.value - reach, estimate.value + reach, score)
