"""A metric that is expected of probabilities is the mean of the metric over the labels that they may bring."""

from __future__ import annotations

import numpy as np
import pytest

from include.evergreen.config.metrics import METRICS
from include.evergreen.monitoring.estimates.expected import expected_metric
from tests.unit.monitoring.estimates.worlds import CLASSIFICATION, measures

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

COSTS = {"metrics": {"costs": {"false_positive": 1.0, "false_negative": 5.0}}}
NAMES = [name for name, metric in METRICS[CLASSIFICATION].items() if metric.is_estimated]


def scores(rows: int = 400) -> np.ndarray:
    drawn = np.random.default_rng(3).random(rows).round(2)  # with ties
    return drawn.clip(0.02, 0.98)


@pytest.mark.parametrize("name", NAMES)
def test_of_labels_it_is_the_metric_itself(name: str) -> None:
    predicted = scores()
    labels = (np.random.default_rng(4).random(len(predicted)) < predicted).astype("float64")
    of_version = measures(CLASSIFICATION, **COSTS)
    expected = expected_metric(of_version, name, predicted)
    assert expected is not None
    assert expected(labels[None])[0] == pytest.approx(of_version.measure_one(name, labels, predicted))


@pytest.mark.parametrize("name", NAMES)
def test_of_probabilities_it_is_the_mean_over_labels_that_are_drawn_by_them(name: str) -> None:
    predicted = scores()
    random = np.random.default_rng(5)
    probabilities = (predicted + 0.3 * random.normal(size=len(predicted))).clip(0.01, 0.99)
    labels = (random.random((2_000, len(predicted))) < probabilities).astype("float64")
    expected = expected_metric(measures(CLASSIFICATION, **COSTS), name, predicted)
    assert expected is not None
    means = expected(labels)
    assert expected(probabilities[None])[0] == pytest.approx(means.mean(), abs=4 * means.std() / 2_000**0.5 + 0.004)


def test_auc_counts_pairs_of_different_rows_alone() -> None:
    """Two rows, of which either may be the positive one: they are in the right order as often as the first is and the second is not."""
    expected = expected_metric(measures(CLASSIFICATION), "auc", np.array([0.9, 0.1]))
    assert expected is not None
    assert expected(np.array([[0.8, 0.3]]))[0] == pytest.approx(0.8 * 0.7 / (0.8 * 0.7 + 0.3 * 0.2))


def test_one_class_defines_no_auc() -> None:
    expected = expected_metric(measures(CLASSIFICATION), "auc", scores(10))
    assert expected is not None
    assert np.isnan(expected(np.zeros((1, 10)))[0])
