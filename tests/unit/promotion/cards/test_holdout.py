from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from include.evergreen.promotion.cards.holdout import make_bins, make_histogram
from include.evergreen.training.pipeline import MIN_CATEGORY_ROWS


def test_bins_are_of_equally_many_rows_in_the_order_of_the_predictions() -> None:
    random = np.random.default_rng(1)
    predicted = random.random(1005)
    found = make_bins((random.random(1005) < predicted).astype(float), predicted, shares=True)
    assert len(found) == 10
    assert {each.rows for each in found} == {100, 101}
    assert [each.predicted for each in found] == sorted(each.predicted for each in found)


def test_the_interval_of_a_share_is_wilsons() -> None:
    labels = np.array([1.0] * 7 + [0.0] * 33)
    (first, second) = make_bins(labels, np.linspace(0, 1, 40), shares=True)
    expected = stats.binomtest(7, 20).proportion_ci(0.95, method="wilson")
    assert (first.low, first.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert (second.observed, second.low) == (0.0, 0.0)
    assert second.high == pytest.approx(stats.binomtest(0, 20).proportion_ci(0.95, method="wilson").high, abs=1e-6)


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    labels = np.random.default_rng(2).normal(10, 3, 50)
    (low_half, high_half) = make_bins(labels, np.arange(50.0), shares=False)
    error = stats.sem(labels[:25])
    assert (low_half.low, low_half.high) == pytest.approx(stats.norm.interval(0.95, labels[:25].mean(), error), rel=1e-6)
    assert low_half.rows == high_half.rows == 25


def test_intervals_of_honest_predictions_hold_the_prediction_about_as_often_as_they_promise() -> None:
    random = np.random.default_rng(3)
    inside = []
    for _ in range(300):
        predicted = np.repeat(random.uniform(0.1, 0.9, 10), 60)
        labels = (random.random(600) < predicted).astype(float)
        inside += [not each.is_off for each in make_bins(labels, predicted, shares=True)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_too_few_rows_make_no_bins() -> None:
    assert make_bins(np.ones(MIN_CATEGORY_ROWS - 1), np.ones(MIN_CATEGORY_ROWS - 1), shares=True) == []


def test_a_histogram_shows_no_bar_of_few_rows_and_no_extreme_value() -> None:
    values = np.concatenate([np.full(500, 1.0), np.full(500, 2.0), [1_000_000.0]])
    found = make_histogram(values, values, shares=False)
    assert found.edges[-1] < 1_000_000
    assert sum(share > 0 for share in found.predicted) == 2
    assert max(found.predicted) == pytest.approx(501 / 1001)


def test_a_histogram_of_chances_spans_all_chances() -> None:
    found = make_histogram(np.zeros(100), np.full(100, 0.51), shares=True)
    assert (found.edges[0], found.edges[-1], found.observed) == (0.0, 1.0, ())
    assert found.predicted[10] == 1.0


def test_a_histogram_of_one_value_is_drawn_too() -> None:
    found = make_histogram(np.full(100, 5.0), np.full(100, 5.0), shares=False)
    assert sum(found.predicted) == 1.0
