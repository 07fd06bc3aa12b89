from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from include.evergreen.config import METRICS, ModelConfig
from include.evergreen.config.measuring import Costs, Metrics
from include.evergreen.config.metrics import ONE_CLASS, metrics_of
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.training.metrics import Measures, by_sums, sums

LABELS = np.random.default_rng(0).integers(0, 2, 100).astype(float)
PREDICTED = np.random.default_rng(1).random(100)
THRESHOLD, FALSE_POSITIVE, FALSE_NEGATIVE, QUANTILE = 0.3, 1.0, 7.5, 0.8


def full(model: ModelConfig) -> Measures:
    """Every metric that a model of the task can have."""
    of_classes = Metrics(costs=Costs(false_positive=FALSE_POSITIVE, false_negative=FALSE_NEGATIVE))
    declared = of_classes if model.task == "classification" else Metrics(quantile=QUANTILE)
    return Measures(model.model_copy(update={"metrics": declared}), THRESHOLD)


def _decided(measure: Callable[..., float], **keywords: Any) -> Callable[..., float]:
    return lambda labels, predicted: measure(labels, predicted >= THRESHOLD, **keywords)


def _cost(labels: np.ndarray, predicted: np.ndarray) -> float:
    (_, false_positives), (false_negatives, _) = metrics.confusion_matrix(labels, predicted >= THRESHOLD, labels=[0, 1])
    return float(FALSE_POSITIVE * false_positives + FALSE_NEGATIVE * false_negatives) / len(labels)


THEIRS: dict[str, Callable[..., float]] = {
    "auc": metrics.roc_auc_score,
    "log_loss": lambda labels, predicted: metrics.log_loss(labels, predicted.clip(1e-7, 1 - 1e-7), labels=[0, 1]),
    "brier": metrics.brier_score_loss,
    "accuracy": _decided(metrics.accuracy_score),
    "average_precision": lambda labels, predicted: metrics.average_precision_score(labels, predicted) if labels.any() else math.nan,
    "precision": _decided(metrics.precision_score, zero_division=math.nan),
    "recall": _decided(metrics.recall_score, zero_division=math.nan),
    "f1": _decided(metrics.f1_score, zero_division=math.nan),
    "balanced_accuracy": _decided(metrics.balanced_accuracy_score),
    "mcc": _decided(metrics.matthews_corrcoef),
    "cost": _cost,
    "mae": metrics.mean_absolute_error,
    "rmse": metrics.root_mean_squared_error,
    "r2": metrics.r2_score,
    "median_absolute_error": metrics.median_absolute_error,
    "bias": lambda labels, predicted: float((predicted - labels).mean()),
    "mape": lambda labels, predicted: metrics.mean_absolute_percentage_error(labels, predicted) if labels.all() else math.nan,
    "smape": lambda labels, predicted: np.mean([2 * abs(a - b) / ((abs(a) + abs(b)) or 1) for a, b in np.stack([labels, predicted], 1)]),
    "wape": lambda labels, predicted: abs(labels - predicted).sum() / abs(labels).sum() if labels.any() else math.nan,
    "pinball": lambda labels, predicted: metrics.mean_pinball_loss(labels, predicted, alpha=QUANTILE),
}  # fmt: skip


def test_every_metric_is_measured_and_says_what_it_is(air_time: ModelConfig, flight_delay: ModelConfig) -> None:
    for model in (air_time, flight_delay):
        assert set(full(model).measure(LABELS + 0.0 if model is flight_delay else LABELS + 1, PREDICTED)) == set(METRICS[model.task])
        for name, metric in METRICS[model.task].items():
            assert (metric.name, metric.words[-1], metric.range[0] < metric.range[1]) == (name, ".", True)


def test_the_log_loss_is_scikit_learns_to_the_last_bit_however_many_rows_there_are(flight_delay: ModelConfig) -> None:
    random = np.random.default_rng(2)
    for rows in [*range(1, 40), 127, 128, 129, 1000, 5000]:
        labels = random.integers(0, 2, rows).astype(float)
        predicted = random.choice([0.0, 1.0, *random.random(8)], rows)
        assert full(flight_delay).measure_one("log_loss", labels, predicted) == THEIRS["log_loss"](labels, predicted)


def test_the_log_loss_of_a_slice_takes_no_look_at_which_classes_there_are(flight_delay: ModelConfig) -> None:
    """It was two thirds of a gate's processor time: 1.9 ms for each of its slices."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("scikit-learn looks for classes")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn.metrics.log_loss", refused)
        assert full(flight_delay).measure_one("log_loss", LABELS, PREDICTED) is not None


def test_what_a_model_does_not_declare_it_is_not_measured_by(air_time: ModelConfig, flight_delay: ModelConfig) -> None:
    assert set(METRICS["classification"]) - set(metrics_of(flight_delay)) == {"cost"}
    assert set(METRICS["regression"]) - set(metrics_of(air_time)) == {"pinball"}
    with pytest.raises(ConfigError, match="flight_delay: the version has no metric 'cost', as it was trained before .* Train again"):
        Measures.trained(flight_delay, {}).measure_one("cost", LABELS, PREDICTED)


ROWS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.29, 0.3, 0.5, 0.77, 1.0])), min_size=1, max_size=30)
FIGURES = st.lists(st.tuples(st.integers(-3, 40), st.floats(-50, 50)), min_size=1, max_size=30)


@settings(max_examples=25, deadline=None)
@given(rows=ROWS)
def test_each_metric_of_two_classes_is_scikit_learns_own_on_any_rows(flight_delay_full: Measures, rows: list[tuple[int, float]]) -> None:
    _agrees(flight_delay_full, np.array(rows, dtype=float))


@settings(max_examples=25, deadline=None)
@given(rows=FIGURES)
def test_each_metric_of_figures_is_scikit_learns_own_on_any_rows(air_time_full: Measures, rows: list[tuple[int, float]]) -> None:
    _agrees(air_time_full, np.array(rows, dtype=float))


def _agrees(measures: Measures, rows: np.ndarray) -> None:
    labels, predicted = rows.T.copy()
    for name, metric in measures.metrics.items():
        ours = measures.measure_one(name, labels, predicted)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            undefined = metric.undefined == ONE_CLASS and len(set(labels)) < 2
            theirs = math.nan if undefined else float(THEIRS[name](labels, predicted))
        assert (math.nan if ours is None else ours) == pytest.approx(theirs, nan_ok=True), name
        if sums(measures, name, labels, predicted) is not None and name != "r2" and not undefined:  # r2 of equal targets has no variance
            summed = by_sums(measures, name, labels, predicted)
            assert (summed if math.isfinite(summed) else math.nan) == pytest.approx(theirs, nan_ok=True, abs=1e-12), name


@pytest.fixture(scope="module")
def flight_delay_full() -> Measures:
    from include.evergreen.config import Catalog

    return full(Catalog().model("flight_delay"))


@pytest.fixture(scope="module")
def air_time_full() -> Measures:
    from include.evergreen.config import Catalog

    return full(Catalog().model("air_time"))


def test_a_figure_that_the_rows_do_not_define_is_left_out(air_time: ModelConfig, flight_delay: ModelConfig) -> None:
    one_class = full(flight_delay).measure(np.zeros(10), np.full(10, 0.25))
    assert set(one_class) == {"log_loss", "brier", "accuracy", "cost"}
    assert "r2" not in full(air_time).measure(np.array([1.0]), np.array([2.0]))
    assert {"mape", "wape"} & set(full(air_time).measure(np.array([0.0, 0.0]), np.array([2.0, 1.0]))) == set()


def test_no_rows_have_no_figures(air_time: ModelConfig, flight_delay: ModelConfig) -> None:
    for model in (air_time, flight_delay):
        assert full(model).measure(np.array([]), np.array([])) == {}


def test_a_probability_of_nought_that_is_wrong_costs_much_and_not_infinity(flight_delay: ModelConfig) -> None:
    assert 5 < full(flight_delay).measure(np.array([1.0, 0.0]), np.array([0.0, 0.0]))["log_loss"] < 20


def test_a_version_decides_at_the_threshold_of_its_own_training(flight_delay: ModelConfig) -> None:
    learned, declared, old = (
        Measures.trained(flight_delay, facts) for facts in ({"decision_threshold": 0.2}, {"decision_threshold": 0.5}, {})
    )
    rows = np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.3, 0.6])
    assert (learned.measure_one("recall", *rows), declared.measure_one("recall", *rows)) == (1.0, 0.5)
    assert old == declared, "an older release called a row positive from .5 on"
