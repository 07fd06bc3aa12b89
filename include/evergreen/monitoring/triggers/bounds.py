"""What an observation of a rule is compared with: a figure, a share of the figure at promotion, or a bound that is learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

from include.evergreen.config.metrics import ESTIMATED, PERFORMANCE
from include.evergreen.config.monitoring import Rule
from include.evergreen.monitoring.observations import Observation, first_live
from include.evergreen.registry import champions

FALSE_ALARMS = 0.01  # of the windows of a version that is as it was; docs/decisions/learned-bounds.md
LEAST_OTHERS = 7  # of which a bound is learned
Bounds = Callable[[Observation], float | None]
"""The bound of an observation; None: there is none (yet), and nothing breaches."""


def live_bounds(model: str, rule: Rule) -> Bounds:
    """Say what the observations of a rule are compared with now. Reads what it needs when it is asked.

    :param model: its name, as in ``include/models``
    :param rule: one of its rules
    :returns: the bound of each observation
    """

    @cache
    def first(version: int) -> list[Observation]:
        return first_live(model, rule.metric, version, rule.learn_from, min_rows=rule.min_rows)

    return bounds_of(model, rule, first)


def bounds_of(model: str, rule: Rule, first: Callable[[int], Sequence[Observation]]) -> Bounds:
    """Say what the observations of a rule are compared with.

    :param model: its name, as in ``include/models``
    :param rule: one of its rules
    :param first: what was observed first of a version, of the rule's metric, oldest first; asked where the bound is learned
    :returns: the bound of each observation
    """
    if rule.is_learned:
        return lambda judged: learned_bound(rule, [each for each in first(judged.version) if each.partition != judged.partition])
    declared = rule.declared_bound
    assert declared is not None
    if rule.relative_to is None:
        return lambda judged: declared

    @cache
    def at_promotion(version: int) -> float | None:
        figure = champions.version_number(model, version).metrics.get(rule.metric.removeprefix(PERFORMANCE).removeprefix(ESTIMATED))
        return None if figure is None or figure <= 0 else declared * figure  # of a figure below 0, 95% is better and not worse

    return lambda judged: at_promotion(judged.version)


def learned_bound(rule: Rule, others: Sequence[Observation]) -> float | None:
    """Learn what is usual from other windows: Student's prediction bound for one more, passed with a chance of `FALSE_ALARMS`.

    Windows that pass the bound of the others are left out first, so that one odd window at a version's beginning hides none after it.
    (G. J. Hahn, "Factors for Calculating Two-Sided Prediction Intervals for Samples from a Normal Distribution", JASA 1969, one-sided)

    :param rule: whose ``above`` or ``below`` is ``learned``
    :param others: what was observed of the version first, without the judged one
    :returns: the bound; None of fewer than `LEAST_OTHERS` windows
    """
    sign = 1.0 if rule.above is not None else -1.0
    values = [sign * each.value for each in others]
    if len(values) < LEAST_OTHERS:
        return None
    usual = [value for index, value in enumerate(values) if value <= _highest([*values[:index], *values[index + 1 :]])]
    return sign * _highest(usual if len(usual) > 1 else values)


def _highest(values: Sequence[float]) -> float:
    """mean + t(1 - alpha, n - 1) s sqrt(1 + 1/n)."""
    import statistics

    from scipy.special import stdtrit

    count = len(values)
    reach = float(stdtrit(count - 1, 1 - FALSE_ALARMS)) * statistics.stdev(values) * math.sqrt(1 + 1 / count)
    return statistics.fmean(values) + reach
