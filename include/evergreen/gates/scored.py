"""A version's predictions on the rows of a holdout: the candidate's, and those of what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from include.evergreen.config import ModelConfig
from include.evergreen.gates.bootstrap import Units, replicates, statistic
from include.evergreen.training.metrics import measure, measure_one


@dataclass(eq=False)
class Scored:
    """One version's predictions on some rows. ``units`` say what is resampled, ``seed`` how: with the same of both, in pairs."""

    model: ModelConfig
    labels: np.ndarray
    predicted: np.ndarray
    units: Units
    resamples: int
    seed: int
    _drawn: dict[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Every metric of the model's task that the rows define."""
        return measure(self.model, self.labels, self.predicted)

    def value(self, metric: str) -> float | None:
        """One metric alone: of many slices, all of them would take longer than everything else."""
        return measure_one(metric, self.labels, self.predicted)

    def replicates(self, metric: str) -> np.ndarray:
        """The metric on each resample."""
        if metric not in self._drawn:
            measured = statistic(metric, self.units, self.labels, self.predicted)
            self._drawn[metric] = replicates([measured], self.units, resamples=self.resamples, seed=self.seed)[0]
        return self._drawn[metric]

    def among(self, chosen: np.ndarray) -> Scored:
        """The same on the ``chosen`` rows alone (a mask)."""
        if chosen.all():
            return self
        return Scored(self.model, self.labels[chosen], self.predicted[chosen], self.units.among(chosen), self.resamples, self.seed)

    def within(self, chosen: np.ndarray, number: int) -> Scored:
        """The ``chosen`` rows (a mask) as group ``number`` of some, drawn together: by the same days, or each by its own rows."""
        seed = self.seed if self.units.of_row is not None else self.seed + 1 + number
        return Scored(self.model, self.labels[chosen], self.predicted[chosen], self.units.within(chosen), self.resamples, seed)

    def predicting(self, predicted: np.ndarray) -> Scored:
        """Other predictions, one float a row, on the same rows: resampled as these, and so in pairs."""
        return Scored(self.model, self.labels, predicted, self.units, self.resamples, self.seed)


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
        """Its predictions on those of the ``chosen`` rows (a mask) that it was not fitted on."""
        return self.everywhere.among(chosen & self.rows)


class NoComparisonError(Exception):
    """Why a version is nothing to compare the candidate with, to follow "there is no champion"; never shown as an error."""
