"""Intervals, and what is said when a realised figure leaves them."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from include.evergreen.config.metrics import METRICS
from include.evergreen.monitoring.estimates.concept_drift import greatest_surprise
from include.evergreen.monitoring.estimates.estimate import Estimate

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

AUC = METRICS["classification"]["auc"]


def test_without_anything_to_learn_the_interval_is_that_of_the_labels_chance() -> None:
    low, high = Estimate(0.7, rows=100, sampling=0.01**2, learning=0.0).interval(AUC)
    assert (low, high) == pytest.approx((0.7 - 1.96 * 0.01, 0.7 + 1.96 * 0.01), abs=1e-4)


def test_it_ends_where_the_metric_does() -> None:
    assert Estimate(0.98, rows=10, sampling=0.1, learning=0.0).interval(AUC)[1] == 1.0


def test_few_days_widen_it_by_students_quantile_and_more_days_of_a_window_narrow_it() -> None:
    one = Estimate(0.7, rows=100, sampling=0.0, learning=0.0, between=0.04, days=1, units=7)
    assert one.reach() == pytest.approx(0.2 * stats.t.ppf(0.975, 6))
    week = Estimate(0.7, rows=100, sampling=0.0, learning=0.0, between=0.04, days=7, units=7)
    assert week.reach() == pytest.approx(one.reach() / math.sqrt(7))


def test_a_figure_over_fewer_labelled_rows_may_be_farther_off() -> None:
    estimate = Estimate(0.7, rows=100, sampling=0.01**2, learning=0.0)
    assert estimate.reach(rows=25) == pytest.approx(2 * estimate.reach())
    assert estimate.reach(rows=400) == estimate.reach(), "the estimate itself is of no more rows"


def test_the_more_metrics_are_looked_at_the_farther_off_one_must_be() -> None:
    estimates = {name: Estimate(0.5, rows=100, sampling=0.01**2, learning=0.0) for name in ("a", "b", "c", "d")}
    alone = greatest_surprise({"a": estimates["a"]}, {"a": (0.522, 100)})
    assert alone is not None and alone.is_suspected
    among = greatest_surprise(estimates, {name: (0.522 if name == "a" else 0.5, 100) for name in estimates})
    assert among is not None and among.metric == "a" and not among.is_suspected
    assert among.message == ""


def test_concept_drift_is_told_in_words() -> None:
    surprise = greatest_surprise({"log_loss": Estimate(0.6, rows=100, sampling=0.01**2, learning=0.0)}, {"log_loss": (0.8, 100)})
    assert surprise is not None
    assert surprise.message == "concept drift suspected: log_loss is 0.800, where 0.580 to 0.620 was to be expected"
    assert surprise.score == pytest.approx(0.2 / 0.0196, rel=1e-3)
    assert surprise.rows == 100


def test_nothing_surprises_without_labels() -> None:
    assert greatest_surprise({"auc": Estimate(0.6, rows=100, sampling=0.1, learning=0.0)}, {}) is None
