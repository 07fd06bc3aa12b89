from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from include.evergreen.config import METRICS, ModelConfig
from include.evergreen.training.metrics import PROBABILITY_FLOOR, measure, measure_one

LABELS = np.random.default_rng(0).integers(0, 2, 100).astype(float)
PREDICTED = np.random.default_rng(1).random(100)


def test_every_metric_that_a_gate_may_name_is_measured(air_time: ModelConfig, flight_delay: ModelConfig) -> None:
    assert set(measure(flight_delay, LABELS, PREDICTED)) == set(METRICS["classification"])
    assert set(measure(air_time, LABELS, PREDICTED)) == set(METRICS["regression"])


def test_the_figures_are_scikit_learns_own(air_time: ModelConfig, flight_delay: ModelConfig) -> None:
    labels, predicted = LABELS, PREDICTED
    figures = measure(flight_delay, labels, predicted)
    assert figures["auc"] == metrics.roc_auc_score(labels, predicted)
    assert figures["log_loss"] == pytest.approx(metrics.log_loss(labels, predicted))
    assert figures["brier"] == pytest.approx(((labels - predicted) ** 2).mean())
    assert measure(air_time, labels, predicted)["mae"] == pytest.approx(abs(labels - predicted).mean())


def test_the_log_loss_is_scikit_learns_to_the_last_bit_however_many_rows_there_are(flight_delay: ModelConfig) -> None:
    random = np.random.default_rng(2)
    for rows in [*range(1, 40), 127, 128, 129, 1000, 5000]:
        labels = random.integers(0, 2, rows).astype(float)
        predicted = random.choice([0.0, 1.0, *random.random(8)], rows)
        clipped = predicted.clip(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
        assert measure(flight_delay, labels, predicted)["log_loss"] == metrics.log_loss(labels, clipped, labels=[0.0, 1.0])


def test_the_log_loss_of_a_slice_takes_no_look_at_which_classes_there_are(flight_delay: ModelConfig) -> None:
    """It was two thirds of a gate's processor time: 1.9 ms for each of its slices."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("scikit-learn looks for classes")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn.metrics.log_loss", refused)
        assert measure_one("log_loss", LABELS, PREDICTED) is not None


def test_a_figure_that_the_rows_do_not_define_is_left_out(air_time: ModelConfig, flight_delay: ModelConfig) -> None:
    one_class = measure(flight_delay, np.zeros(10), np.full(10, 0.25))
    assert set(one_class) == {"log_loss", "brier", "accuracy"}
    assert "r2" not in measure(air_time, np.array([1.0]), np.array([2.0]))


def test_no_rows_have_no_figures(air_time: ModelConfig, flight_delay: ModelConfig) -> None:
    for model in (air_time, flight_delay):
        assert measure(model, np.array([]), np.array([])) == {}


def test_a_probability_of_nought_that_is_wrong_costs_much_and_not_infinity(flight_delay: ModelConfig) -> None:
    assert 5 < measure(flight_delay, np.array([1.0, 0.0]), np.array([0.0, 0.0]))["log_loss"] < 20
