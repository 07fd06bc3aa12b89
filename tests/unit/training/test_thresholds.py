"""The decision threshold: declared, or learned on rows that the model that predicts them was not fitted on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.measuring import Costs, LearnedThreshold, Metrics
from include.evergreen.features.columns import PARTITION, TARGET
from include.evergreen.foundation.errors import DataError
from include.evergreen.training.metrics import Measures
from include.evergreen.training.pipeline import declared
from include.evergreen.training.thresholds import best_threshold, decision_threshold
from tests.unit.training.synthetic_rows import LOGISTIC, synthetic_model, synthetic_rows

COSTS = Costs(false_positive=1, false_negative=9)


def learning(model: ModelConfig, best: str, folds: int = 3) -> ModelConfig:
    asked = LearnedThreshold.model_validate({"best": best, "folds": folds})
    return model.model_copy(update={"metrics": Metrics(learned_threshold=asked, costs=COSTS)})


@pytest.mark.parametrize("best", ["accuracy", "balanced_accuracy", "cost", "f1", "mcc"])
@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.05, 0.2, 0.21, 0.4, 0.7, 0.9])), min_size=2, max_size=25))
def test_no_other_threshold_is_better(best: str, rows: list[tuple[int, float]]) -> None:
    model = learning(Catalog().model("flight_delay"), best)
    labels, predicted = np.array(rows, dtype=float).T.copy()
    found = best_threshold(model, best, labels, predicted)
    sign = Measures(model, 0.5).metric(best).sign
    values = {cut: Measures(model, cut).measure_one(best, labels, predicted) for cut in (0.01, 0.1, 0.204, 0.3, 0.5, 0.8, 0.95)}
    defined = [sign * value for value in values.values() if value is not None]
    if found is None:
        assert not defined
        return
    own = Measures(model, found).measure_one(best, labels, predicted)
    assert own is not None
    assert sign * own >= max(defined) - 1e-9


def test_where_a_miss_is_dear_a_row_is_called_positive_early() -> None:
    """Of calibrated chances the best is cost of a false positive / (that + cost of a miss) = .1."""
    model = learning(Catalog().model("flight_delay"), "cost")
    chances = np.random.default_rng(0).uniform(0, 1, 40_000)
    labels = (np.random.default_rng(1).random(40_000) < chances).astype(float)
    assert best_threshold(model, "cost", labels, chances) == pytest.approx(0.1, abs=0.03)


def test_it_is_learned_on_rows_that_were_not_fitted_on_and_again_the_same(flight_delay: ModelConfig) -> None:
    model, rows = learning(synthetic_model(flight_delay, estimator=LOGISTIC), "cost"), synthetic_rows(days=12)
    first, again = (decision_threshold(model, rows, declared(model)) for _ in range(2))
    assert first == again
    assert first is not None
    assert 0 < first < 0.5
    newest = rows[PARTITION] == rows[PARTITION].max()
    flipped = rows.assign(**{TARGET: np.where(newest, 1 - rows[TARGET], rows[TARGET])})
    assert decision_threshold(model, flipped, declared(model)) != first, "the newest of the rows to fit on have their part in it"


def test_one_that_is_declared_is_taken_and_a_regression_has_none(flight_delay: ModelConfig, air_time: ModelConfig) -> None:
    model = flight_delay.model_copy(update={"metrics": Metrics(decision_threshold=0.2)})
    assert decision_threshold(model, pd.DataFrame(), declared(model)) == 0.2
    assert decision_threshold(air_time, pd.DataFrame(), declared(air_time)) is None


def test_too_few_days_for_the_folds_are_named_by_their_key(flight_delay: ModelConfig) -> None:
    model = learning(synthetic_model(flight_delay, estimator=LOGISTIC), "f1", folds=3)
    with pytest.raises(DataError, match=r"3 days of rows cannot be cut into 3 folds \(metrics.learned_threshold.folds\)"):
        decision_threshold(model, synthetic_rows(days=3), declared(model))
