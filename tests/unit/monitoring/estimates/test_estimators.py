"""Estimates tell the performance of rows without labels; so says a simulated world of which the labels are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config.metrics import metrics_of
from include.evergreen.monitoring.estimates import estimators
from include.evergreen.monitoring.estimates.choice import ESTIMATORS
from include.evergreen.monitoring.estimates.concept_drift import greatest_surprise
from include.evergreen.monitoring.estimates.estimate import Estimate, NotEstimatedError
from include.evergreen.monitoring.estimates.estimators import estimate_all
from include.evergreen.monitoring.estimates.rows import Reference, Rows
from tests.unit.monitoring.estimates.worlds import (
    CLASSIFICATION,
    MULTICLASS,
    REGRESSION,
    declared,
    drawn,
    measures,
    realised,
    window,
)

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

TASKS = pytest.mark.parametrize("task", [CLASSIFICATION, MULTICLASS, REGRESSION])
WINDOWS = 40


def estimated(task: str, reference: Reference, rows: Rows, *, resample: str = "rows") -> dict[str, dict[str, Estimate]]:
    return estimate_all(declared(task, resample=resample), measures(task), reference, rows)


@TASKS
def test_every_metric_that_has_an_expectation_is_estimated_by_each_estimator(task: str) -> None:
    told = estimated(task, drawn(task, 1_000, 1), window(drawn(task, 500, 2)))
    expected = {name for name, metric in measures(task).metrics.items() if metric.is_estimated}
    assert {name: set(estimates) for name, estimates in told.items()} == dict.fromkeys(ESTIMATORS[task], expected)


def test_an_estimate_stays_in_the_range_of_its_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is added to direct loss estimation, of few rows that count much, may be more than there is."""
    reference, scored = drawn(REGRESSION, 400, 1), drawn(REGRESSION, 200, 2)
    model, of_version = declared(REGRESSION), measures(REGRESSION)
    monkeypatch.setattr(estimators, "tempered", lambda weights, units: np.where(np.arange(400) < 2, 1e6, 1.0))
    labels = reference.labels.copy()
    labels[:2] = reference.predicted[:2]  # of the two that count, the errors are 0
    told = estimate_all(model, of_version, Reference(reference.features * 3, reference.predicted, labels, reference.day), window(scored))
    for name, each in told["doubly_robust"].items():
        low, high = metrics_of(model)[name].range
        assert low <= each.value <= high
    assert told["doubly_robust"]["mae"].value == 0 < told["direct_loss"]["mae"].value


@TASKS
@pytest.mark.parametrize("resample", ["rows", "days"])
def test_equal_rows_give_equal_bits(task: str, resample: str) -> None:
    first, second = (
        estimated(task, drawn(task, 600, 1, days=6), window(drawn(task, 300, 2)), resample=resample) for _ in range(2)
    )  # fmt: skip
    assert first == second


@TASKS
@pytest.mark.parametrize(("resample", "of_day"), [("rows", 0.0), ("days", 0.5)])
def test_the_realised_figure_lies_in_the_interval_as_often_as_promised(task: str, resample: str, of_day: float) -> None:
    """Of windows without drift; where days have a part in common, an interval by rows would hold it far less often."""
    of_task, default = measures(task), ESTIMATORS[task][0]
    inside: dict[str, list[bool]] = {}
    for seed in range(WINDOWS):
        reference = drawn(task, 1_400, seed, days=14, of_day=of_day)
        scored = drawn(task, 500, 1_000 + seed, of_day=of_day)
        figures = realised(task, scored)
        for name, each in estimated(task, reference, window(scored), resample=resample)[default].items():
            low, high = each.interval(of_task.metrics[name])
            inside.setdefault(name, []).append(low <= figures[name] <= high)
    coverage = {name: float(np.mean(each)) for name, each in inside.items()}
    assert min(coverage.values()) >= 0.85, coverage  # .95 is nominal, and 34 or more of 40 windows have a chance of .99


@TASKS
def test_weighting_tells_what_a_shift_of_the_features_does_to_performance(task: str) -> None:
    """The model knows nothing of a product that matters more where features spread more."""
    weighted, plain = ESTIMATORS[task]
    errors: dict[str, list[float]] = {weighted: [], plain: [], "constant": []}
    name = {CLASSIFICATION: "log_loss", MULTICLASS: "accuracy", REGRESSION: "mae"}[task]
    for seed in range(10):
        reference, scored = drawn(task, 2_000, seed), drawn(task, 1_000, 100 + seed, spread=1.5)
        figure = realised(task, scored)[name]
        for estimator, estimates in estimated(task, reference, window(scored)).items():
            errors[estimator].append(abs(estimates[name].value - figure))
        errors["constant"].append(abs(realised(task, reference)[name] - figure))
    means = {each: float(np.mean(found)) for each, found in errors.items()}
    assert means[weighted] < 0.9 * min(means[plain], means["constant"]), means


@TASKS
def test_label_drift_without_a_shift_of_the_features_is_flagged_and_no_drift_is_not(task: str) -> None:
    def flagged(drift: float) -> float:
        surprises = []
        for seed in range(12):
            scored = drawn(task, 1_000, 500 + seed, drift=drift)
            told = estimated(task, drawn(task, 2_000, seed), window(scored))[ESTIMATORS[task][0]]
            surprises.append(greatest_surprise(told, {name: (value, 1_000) for name, value in realised(task, scored).items()}))
        return float(np.mean([each is not None and each.is_suspected for each in surprises]))

    assert flagged(1.5 if task == MULTICLASS else 1.0) >= 0.9  # of several classes it moves the odds of one
    assert flagged(0.0) <= 0.1


def test_a_prediction_that_is_the_same_for_every_row_is_estimated() -> None:
    reference, scored = drawn(CLASSIFICATION, 500, 1), drawn(CLASSIFICATION, 200, 2)
    same = Reference(reference.features, np.full(500, 0.4), reference.labels, reference.day)
    told = estimated(CLASSIFICATION, same, Rows(scored.features, np.full(200, 0.4), 1, 200))
    for estimates in told.values():
        assert estimates["auc"].value == pytest.approx(0.5)
        assert estimates["accuracy"].value == pytest.approx(1 - reference.labels.mean(), abs=0.1)
    assert greatest_surprise({"auc": told["cbpe"]["auc"]}, {"auc": (0.5, 200)}) is None, "it cannot be anything else"


@TASKS
def test_features_without_a_value_or_with_unknown_ones_change_nothing_but_the_weights(task: str) -> None:
    reference, scored = drawn(task, 800, 1), drawn(task, 300, 2)
    category = pd.Series(np.array(["x", "y", None], dtype=object)[np.arange(800) % 3], dtype="string")
    features = reference.features.assign(c=category, d=np.where(np.arange(800) % 2, np.nan, 1.0), e=np.nan)
    own = scored.features.assign(c=pd.Series(["z"] * 300, dtype="string"), d=np.nan, e=5.0, a=np.nan)
    told = estimated(task, Reference(features, reference.predicted, reference.labels, reference.day), Rows(own, scored.predicted, 1, 300))
    assert all(np.isfinite(each.value) and np.isfinite(each.reach()) for estimates in told.values() for each in estimates.values())


@TASKS
def test_rows_that_the_reference_does_not_know_are_not_estimated(task: str) -> None:
    far = drawn(task, 300, 2)
    with pytest.raises(NotEstimatedError, match="next to no rows like those that were scored"):
        estimated(task, drawn(task, 300, 1), Rows(far.features + 30.0, far.predicted, 1, 300))


def test_a_metric_that_single_rows_decide_is_not_estimated() -> None:
    """The mean error as a share of outcomes near 0 has no variance, so an interval would promise what it cannot keep."""
    reference = drawn(REGRESSION, 3_000, 1)
    near = Reference(reference.features, reference.predicted - 20, reference.labels - 20, reference.day)
    assert "mape" in estimated(REGRESSION, reference, window(drawn(REGRESSION, 500, 2)))["doubly_robust"]
    rows = drawn(REGRESSION, 500, 2)
    told = estimated(REGRESSION, near, Rows(rows.features, rows.predicted - 20, 1, 500))["doubly_robust"]
    assert "mape" not in told and "mae" in told


def test_a_feature_with_one_value_a_day_does_not_carry_a_regression_beyond_few_days() -> None:
    """Seven days say nothing of what a figure does that each has once; a model of losses would go far along it."""
    reference, scored = drawn(REGRESSION, 1_400, 1, days=7, of_day=1.0), drawn(REGRESSION, 500, 2)
    daily = np.random.default_rng(7).normal(size=7)[np.arange(1_400) * 7 // 1_400]
    features = reference.features.assign(wind=daily + 0.01 * np.random.default_rng(8).normal(size=1_400))
    rows = Rows(scored.features.assign(wind=4.0), scored.predicted, 1, 500)
    with_wind = Reference(features, reference.predicted, reference.labels, reference.day)
    told = estimated(REGRESSION, with_wind, rows, resample="days")
    without = estimated(REGRESSION, reference, window(scored), resample="days")
    assert told["direct_loss"]["bias"].value == pytest.approx(without["direct_loss"]["bias"].value)
