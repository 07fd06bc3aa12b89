from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from include.evergreen.monitoring.verdicts.units import Side, compare_shares, contrast

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes


def test_partitions_of_one_row_are_compared_as_by_students_test() -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(size=40), random.normal(0.4, 1, size=25)
    found = contrast(_days(one[:, None]), _days(other[:, None]))
    assert found.p_value == pytest.approx(stats.ttest_ind(one, other).pvalue)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_rows_that_repeat_a_days_value_add_nothing(rows: int) -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(size=40), random.normal(0.4, 1, size=25)
    found = contrast(_days(one[:, None]), _days(np.repeat(other[:, None], rows, axis=1)))
    assert found.p_value == pytest.approx(stats.ttest_ind(one, other).pvalue)
    if rows > 1:
        assert found.likeness == pytest.approx(1)
        assert _days(np.repeat(other[:, None], rows, axis=1)).effective_rows(found.likeness) == pytest.approx(25)


def test_independent_rows_count_nearly_in_full() -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(size=(50, 200)), random.normal(size=(7, 200))
    found = contrast(_days(one), _days(other))
    assert found.likeness < 0.005
    assert found.variance == pytest.approx(1 / 10_000 + 1 / 1_400, rel=0.5)


def test_a_week_of_large_days_does_not_outvote_fifty_days_of_a_sample() -> None:
    """That these seven days were like each other by chance does not make their mean a sure thing."""
    random = np.random.default_rng(1)
    one, week = random.normal(size=50), random.normal(0, 0.1, size=7)
    found = contrast(_days(np.repeat(one[:, None], 100, axis=1)), _days(np.repeat(week[:, None], 5_000, axis=1)))
    assert math.sqrt(found.variance) == pytest.approx(np.std(one) * math.sqrt(1 / 50 + 1 / 7), rel=0.15)


def test_a_single_day_is_as_uncertain_as_days_are() -> None:
    days = np.random.default_rng(1).normal(size=50)
    found = contrast(_days(np.repeat(days[:, None], 100, axis=1)), _days(np.full((1, 900), 2.0)))
    assert found.variance == pytest.approx(np.var(days, ddof=1) * (1 + 1 / 50))
    assert 0.01 < found.p_value < 0.2


def test_shares_of_many_rows_are_compared_as_by_chi_squared() -> None:
    table = [[4800, 200], [1880, 120]]
    p_value, _ = compare_shares(_share(200, 5000, 50), _share(120, 2000, 20), likeness=0.0)
    assert p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=0.5)


def test_a_few_rows_of_what_was_never_seen_are_compared_exactly() -> None:
    p_value, _ = compare_shares(_share(0, 5000, 50), _share(3, 1000, 10), likeness=0.0)
    assert p_value == pytest.approx(2 * (1000 / 6000) ** 3)


def test_what_was_never_seen_on_fifty_days_and_fills_one_is_one_day_of_fifty_one() -> None:
    p_value, _ = compare_shares(_share(0, 5000, 50), _share(900, 900, 1), likeness=1.0)
    assert p_value == pytest.approx(2 / 51)


def _days(values: np.ndarray) -> Side:
    return Side(np.full(len(values), float(values.shape[1])), values.sum(axis=1), (values**2).sum(axis=1))


def _share(hits: int, rows: int, days: int) -> Side:
    """Spread over the days as evenly as can be, for chance that is chance alone."""
    each = np.full(days, hits // days)
    each[: hits % days] += 1
    return Side.share(each, np.full(days, rows // days))
