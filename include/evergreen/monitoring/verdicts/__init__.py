"""Whether a window's columns have drifted from a champion's reference: by an effect and a p-value, from profiles alone."""

from include.evergreen.monitoring.verdicts.judge import LEAST_ROWS, LEVEL, ColumnVerdict, Limits, Verdict, judge
from include.evergreen.monitoring.verdicts.multivariate import MultivariateVerdict, judge_together

__all__ = ["LEAST_ROWS", "LEVEL", "ColumnVerdict", "Limits", "MultivariateVerdict", "Verdict", "judge", "judge_together"]
