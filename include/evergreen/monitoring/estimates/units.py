"""What is left out in turn, to see how far an estimate would have been off: days, or groups of rows where rows are independent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

ENOUGH_DAYS = 30  # from which on a model may learn from features that have one value a day
SHARE_OF_DAYS = 0.2  # of a column's variance; the rest may be of three airports that have a value each
GROUPS = 20  # of rows, where rows are what is resampled: as good as each row by itself, and quicker


@dataclass(frozen=True, eq=False)
class Units:
    """``of_row``: the number of each reference row's unit, from 0 to ``count`` - 1. ``are_days``: days differ from each other, too."""

    count: int
    of_row: np.ndarray
    are_days: bool

    @classmethod
    def of(cls, day: np.ndarray, *, by_days: bool) -> Units:
        """Choose the units of a reference.

        :param day: the day of each row
        :param by_days: whether the rows of a day are alike, as ``gate.resample`` says of the model
        :returns: the days, where they are asked for and there are two; and else groups of rows
        """
        days, of_row = np.unique(day, return_inverse=True)
        if by_days and len(days) > 1:
            return cls(len(days), of_row, True)
        count = min(GROUPS, len(day))
        return cls(count, np.arange(len(day)) % count, False)

    def sums(self, column: np.ndarray) -> np.ndarray:
        """Add up a column by unit.

        :param column: one number for each reference row
        :returns: one sum for each unit
        """
        return np.bincount(self.of_row, weights=column, minlength=self.count)

    def are_values_of(self, columns: np.ndarray) -> np.ndarray:
        """Tell which columns have about one value a day, so that few days say little of what follows from them.

        :param columns: reference rows x columns
        :returns: a mask of the columns: those of whose variance at least `SHARE_OF_DAYS` is between fewer than `ENOUGH_DAYS` days
        """
        if not self.are_days or self.count >= ENOUGH_DAYS:
            return np.zeros(columns.shape[1], dtype=bool)
        rows = self.sums(np.ones(len(columns)))
        means = np.stack([self.sums(column) for column in columns.T], axis=1) / rows[:, None]
        between = (rows @ (means - columns.mean(axis=0)) ** 2) / rows.sum()
        of_days: np.ndarray = between >= SHARE_OF_DAYS * columns.var(axis=0)
        return of_days

    def jackknife(self, values: np.ndarray) -> float:
        """Estimate a statistic's variance from its values without each unit (J. W. Tukey, 1958: the jackknife).

        :param values: one for each unit that is left out; NaN where it is undefined
        :returns: the variance; 0 where fewer than two are defined
        """
        values = values[np.isfinite(values)]
        return float((len(values) - 1) * values.var()) if len(values) > 1 else 0.0

    def between(self, errors: np.ndarray, sampling: np.ndarray) -> float:
        """Estimate how much days differ beyond what their rows explain, by the method of moments (R. DerSimonian and N. Laird, 1986).

        That few days of few rows show no difference does not show that there is none, so the expected positive part is taken, as of
        the likeness of days in a verdict on drift.

        :param errors: realised less estimated, of each unit, which was left out; NaN where it is undefined
        :param sampling: the variance that its rows alone explain
        :returns: the variance between days; 0 where units are no days
        """
        from scipy import stats

        known = np.isfinite(errors) & np.isfinite(sampling)
        if not self.are_days or not known.any():
            return 0.0
        explained = float(sampling[known].mean())
        excess = float((errors[known] ** 2).mean()) - explained
        unsure = math.sqrt(2 / int(known.sum())) * (max(excess, 0.0) + explained)
        if not unsure > 0:
            return max(excess, 0.0)
        return excess * float(stats.norm.cdf(excess / unsure)) + unsure * float(stats.norm.pdf(excess / unsure))
