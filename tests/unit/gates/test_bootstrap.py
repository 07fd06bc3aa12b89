from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.gate_statistics import CLASSIFIER, REGRESSOR, WORLDS, World, simulate
from include.evergreen.config import METRICS, ModelConfig
from include.evergreen.gates.bootstrap import Units, draw, interval, left_out, replicates, student_interval
from include.evergreen.gates.resampled import statistic
from tests.unit.training.test_metrics import full

RANDOM = np.random.default_rng(5)
ROWS, DAYS = 420, 7
DAY = RANDOM.integers(0, DAYS, ROWS)
LATE = (RANDOM.random(ROWS) < 0.3).astype("float64")
CHANCES = np.where(RANDOM.random(ROWS) < 0.5, RANDOM.random(ROWS).round(1), RANDOM.random(ROWS))  # half of them tied
MINUTES = RANDOM.normal(100, 30, ROWS)
ESTIMATES = MINUTES + RANDOM.normal(0, 10, ROWS)


@pytest.mark.parametrize("by", ["rows", "days"])
@pytest.mark.parametrize(("task", "metric"), [(task, name) for task in ("classification", "regression") for name in METRICS[task]])
def test_each_resample_gives_what_the_metric_is_on_its_copied_rows(
    flight_delay: ModelConfig, air_time: ModelConfig, task: str, metric: str, by: str
) -> None:
    """Which is scikit-learn's own: test_metrics."""
    labels, predicted = (LATE, CHANCES) if task == "classification" else (MINUTES, ESTIMATES)
    measures = full(flight_delay if task == "classification" else air_time)
    units = Units.days(DAY) if by == "days" else Units.rows(ROWS)
    ours = replicates([statistic(measures, metric, units, labels, predicted)], units, resamples=30, seed=3)[0]
    weights = np.concatenate(list(draw(units.count, 30, 3)))
    for ours_once, drawn in zip(ours, weights, strict=True):
        rows = np.repeat(np.arange(ROWS), drawn if units.of_row is None else drawn[units.of_row])
        assert ours_once == pytest.approx(measures.measure_one(metric, labels[rows], predicted[rows]), abs=1e-12)


@pytest.mark.parametrize("metric", ["mcc", "balanced_accuracy", "average_precision", "recall", "precision", "f1"])
def test_a_resample_that_does_not_define_a_metric_is_no_figure(flight_delay: ModelConfig, metric: str) -> None:
    units = Units.rows(4)
    undefined = statistic(full(flight_delay), metric, units, np.array([0.0, 0, 1, 1]), np.array([0.1, 0.2, 0.9, 0.8]))
    assert np.isnan(undefined(np.array([[2, 2, 0, 0]]))).tolist() == [True]
    assert undefined(np.array([[1, 1, 1, 1]])).tolist() == [1.0]


def test_the_same_seed_draws_the_same_and_each_unit_as_often_as_it_may() -> None:
    once, again = (np.concatenate(list(draw(DAYS, 5000, 9))) for _ in range(2))
    assert np.array_equal(once, again)
    assert set(once.sum(axis=1)) == {DAYS}
    assert once.mean(axis=0) == pytest.approx(np.ones(DAYS), abs=0.05)
    assert not np.array_equal(once, np.concatenate(list(draw(DAYS, 5000, 10))))


def test_memory_stays_small_however_many_rows_are_resampled() -> None:
    assert max(piece.size for piece in draw(100_000, 50, 1)) <= 1 << 19


def test_two_versions_see_the_same_resamples_so_their_difference_has_no_noise_of_its_own() -> None:
    units = Units.rows(ROWS)
    pair = [statistic(CLASSIFIER, "brier", units, LATE, each) for each in (CHANCES, CHANCES)]
    one, other = replicates(pair, units, resamples=100, seed=1)
    assert np.array_equal(one, other)


def test_days_stay_days_however_few_they_are() -> None:
    few = Units.days(np.repeat(np.arange(4), 10))
    assert (few.word, few.count) == ("days", 4)
    assert (few.among(np.arange(40) < 20).word, few.among(np.arange(40) < 20).count) == ("days", 2)


@pytest.mark.parametrize("days", [2, 3, 4])
def test_of_few_days_that_are_alike_better_is_said_of_equals_no_more_often_than_it_may_be(days: int) -> None:
    """Resampled by rows, it was 21 to 28% of them. 5% of 500 trials have a standard error of 1 point; the seeds are fixed."""
    found = simulate(World(days, 150, 0.6), trials=500, seed=days, metrics=("auc", "mae"), ways=("days",))
    for metric in ("auc", "mae"):
        assert found[f"{metric}, days, as better is judged"]["better"] <= 0.05 + 0.01
    assert found["mae, days, expanded percentile"]["covered"] >= 0.90 - 2 * 0.013


def test_of_few_units_the_interval_is_students_by_the_jackknife() -> None:
    values = np.array([3.0, 5.0, 4.0])
    units = Units(3, np.arange(3))
    drawn = replicates([statistic(REGRESSOR, "mae", units, np.zeros(3), values)], units, resamples=1000, seed=1)[0]
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert interval(drawn, 3, confidence=0.95) == pytest.approx((theirs.low, theirs.high))


def test_one_day_has_no_interval() -> None:
    units = Units.days(np.repeat("2013-01-01", 50))
    drawn = replicates([statistic(REGRESSOR, "mae", units, np.arange(50.0), np.zeros(50))], units, resamples=1000, seed=1)[0]
    assert (units.count, interval(drawn, 1, confidence=0.95)) == (1, None)


def test_a_resample_of_one_class_has_no_auc_and_too_many_of_them_leave_no_interval() -> None:
    units = Units.rows(6)
    drawn = replicates([statistic(CLASSIFIER, "auc", units, np.array([0.0, 0, 0, 0, 0, 1]), np.arange(6.0))], units, resamples=300, seed=1)[
        0
    ]
    assert np.isnan(drawn).mean() == pytest.approx((5 / 6) ** 6 + (1 / 6) ** 6, abs=0.1)
    assert interval(drawn, 6, confidence=0.95) is None
    assert student_interval(0.5, drawn, 6, confidence=0.95) is None
    assert student_interval(0.5, drawn[np.isfinite(drawn)], 6, confidence=0.95) is not None


def test_an_interval_of_many_units_is_the_percentile_interval_and_of_few_it_is_wider() -> None:
    drawn = np.random.default_rng(6).normal(size=20_000)
    many, few = interval(drawn, 100_000, confidence=0.95), interval(drawn, 7, confidence=0.95)
    assert many == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=1e-3)
    assert few is not None
    assert few[1] - few[0] == pytest.approx((many[1] - many[0]) * 1.943 * np.sqrt(7 / 6) / 1.645, rel=0.03)  # type: ignore[index]


@pytest.mark.parametrize("name", ["a week, rows of a day alike", "four weeks, rows independent"])
def test_better_is_said_of_no_difference_no_more_often_than_it_may_be_and_intervals_keep_what_they_promise(name: str) -> None:
    """The seeds are fixed; of 400 trials a share of 5% has a standard error of 1.1 points. The long run is benchmarks.gate_statistics."""
    found = simulate(WORLDS[name], trials=400, seed=4, metrics=("auc", "log_loss"), ways=("days",))
    for metric in ("auc", "log_loss"):
        assert found[f"{metric}, days, as better is judged"]["better"] <= 0.05 + 0.011
        figures = found[f"{metric}, days, expanded percentile"]
        assert abs(figures["covered"] - 0.90) <= 0.02 + 2 * 0.015
        assert figures["power"] == pytest.approx(figures["promised"], abs=0.08)


def test_rows_of_a_day_that_are_alike_break_the_promise_of_resampling_rows() -> None:
    """Why days are what is resampled, unless a model says otherwise."""
    found = simulate(World(7, 100, 0.6), trials=300, seed=3, metrics=("mae",), ways=("rows",))
    assert found["mae, rows, expanded percentile"]["covered"] < 0.7


def test_the_jackknife_counts_the_whole_and_then_leaves_out_each_unit_once() -> None:
    assert left_out(3).tolist() == [[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0]]
