"""A version's predictions on the rows of a holdout: the candidate's, and those of what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from include.evergreen.gates.bootstrap import Units, replicates
from include.evergreen.gates.resampled import statistic
from include.evergreen.training.metrics import Measures


@dataclass(eq=False)
class Scored:
    """One version's predictions on some rows, and how it is measured.

    ``units`` say what is resampled, ``seed`` how: with the same of both, in pairs.
    """

    measures: Measures
    labels: np.ndarray
    predicted: np.ndarray
    units: Units
    resamples: int
    seed: int
    _drawn: dict[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Measure every metric of the model that the rows define.

        :returns: by name, as `Measures.measure` gives them; measured once
        """
        return self.measures.measure(self.labels, self.predicted)

    def value(self, metric: str) -> float | None:
        """Measure one metric alone: of many slices, all of them would take longer than everything else.

        :param metric: its name
        :returns: the metric; None where the rows do not define it
        """
        return self.measures.measure_one(metric, self.labels, self.predicted)

    def replicates(self, metric: str) -> np.ndarray:
        """Measure a metric on each resample; drawn once for each metric.

        :param metric: its name
        :returns: one float for each resample, or for each that `bootstrap.left_out` makes of few units; NaN where one does not define it
        """
        if metric not in self._drawn:
            measured = statistic(self.measures, metric, self.units, self.labels, self.predicted)
            self._drawn[metric] = replicates([measured], self.units, resamples=self.resamples, seed=self.seed)[0]
        return self._drawn[metric]

    def among(self, chosen: np.ndarray) -> Scored:
        """Keep some rows alone.

        :param chosen: a mask of the rows
        :returns: the predictions on these, resampled by the units that have any of them; itself, when all are chosen
        """
        if chosen.all():
            return self
        return Scored(self.measures, self.labels[chosen], self.predicted[chosen], self.units.among(chosen), self.resamples, self.seed)

    def within(self, chosen: np.ndarray, number: int) -> Scored:
        """Keep some rows as one group of several that are drawn together: by the same days, or each by its own rows.

        :param chosen: a mask of the rows
        :param number: the group's, from 0; where rows are units, each draws by a seed of its own
        :returns: the predictions on these, resampled by all the days
        """
        seed = self.seed if self.units.of_row is not None else self.seed + 1 + number
        return Scored(self.measures, self.labels[chosen], self.predicted[chosen], self.units.within(chosen), self.resamples, seed)

    def predicting(self, predicted: np.ndarray, *, as_other: Measures | None = None) -> Scored:
        """Put other predictions on the same rows, measured by the same metrics.

        :param predicted: as `Measures.measure` takes them, in the order of the rows, by the numbers of `Measures.as_other`
        :param as_other: of the version that predicts, for its decision threshold, and the classes that it knows; None: as these
        :returns: the other predictions, resampled as these, and so in pairs
        """
        measures = self.measures if as_other is None else self.measures.as_other(as_other)
        return Scored(measures, self.labels, predicted, self.units, self.resamples, self.seed)


@dataclass(eq=False)
class Rival:
    """A version to compare the candidate with: its predictions, and on which ``rows`` of the holdout they count (a mask).

    These are the rows that it was not fitted on either. ``since`` is the day of the first of them where it was fitted on others of the
    holdout; None where it was fitted on none.
    """

    version: int
    everywhere: Scored
    rows: np.ndarray
    since: str | None = None

    def among(self, chosen: np.ndarray) -> Scored:
        """Keep some rows alone, of those that it was not fitted on.

        :param chosen: a mask of the rows of the holdout
        :returns: its predictions on these; there may be none
        """
        return self.everywhere.among(chosen & self.rows)


class NoComparisonError(Exception):
    """Why a version is nothing to compare the candidate with, to follow "there is no champion"; never shown as an error."""
