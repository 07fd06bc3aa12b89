from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.config.models import Feature
from include.evergreen.training.pipeline import build_pipeline, fit, predict

ROWS = 200


@pytest.fixture
def model(air_time: ModelConfig) -> ModelConfig:
    features = (
        Feature(name="carrier", kind="categorical", description="Airline"),
        Feature(name="distance", kind="numeric", description="Miles"),
    )
    return air_time.model_copy(update={"features": features})


def test_predictions_are_one_float_a_row_in_their_order(model: ModelConfig) -> None:
    frame, target = _rows()
    pipeline = build_pipeline(model)
    fit(pipeline, model, frame, target)
    predicted = predict(pipeline, model, frame)
    assert predicted.shape == (ROWS,)
    assert np.corrcoef(predicted, target)[0, 1] > 0.99
    assert np.array_equal(predict(pipeline, model, frame.iloc[::-1]), predicted[::-1])


def test_a_classification_predicts_the_probability_of_the_positive_class(model: ModelConfig, flight_delay: ModelConfig) -> None:
    classifier = flight_delay.model_copy(update={"features": model.features})
    frame, target = _rows()
    late = (target > np.median(target)).astype(float)
    pipeline = build_pipeline(classifier)
    fit(pipeline, classifier, frame, late)
    predicted = predict(pipeline, classifier, frame)
    assert predicted.min() >= 0
    assert predicted.max() <= 1
    assert predicted[late == 1].mean() > predicted[late == 0].mean()


def test_columns_are_taken_by_name_and_surplus_ones_are_left(model: ModelConfig) -> None:
    frame, target = _rows()
    pipeline = build_pipeline(model)
    fit(pipeline, model, frame, target)
    turned = frame.assign(surplus=1.0)[["distance", "surplus", "carrier"]]
    assert np.array_equal(predict(pipeline, model, turned), predict(pipeline, model, frame))


def test_what_was_never_seen_or_is_missing_is_scored_all_the_same(model: ModelConfig) -> None:
    frame, target = _rows()
    pipeline = build_pipeline(model)
    fit(pipeline, model, frame, target)
    odd = pd.DataFrame({"carrier": pd.array(["??", None], dtype="string"), "distance": [None, 500.0]}).astype({"distance": float})
    assert np.isfinite(predict(pipeline, model, odd)).all()


def test_a_feature_without_any_value_is_no_reason_to_fail(model: ModelConfig) -> None:
    frame, target = _rows()
    pipeline = build_pipeline(model)
    fit(pipeline, model, frame.assign(distance=np.nan), target)
    assert np.isfinite(predict(pipeline, model, frame)).all()


def test_a_day_without_rows_has_no_predictions(model: ModelConfig) -> None:
    frame, target = _rows()
    pipeline = build_pipeline(model)
    fit(pipeline, model, frame, target)
    assert predict(pipeline, model, frame.iloc[:0]).shape == (0,)


def _rows() -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(0)
    carrier = pd.array(random.choice(["UA", "AA", "B6"], ROWS), dtype="string")
    frame = pd.DataFrame({"carrier": carrier, "distance": random.uniform(100, 3000, ROWS)})
    return frame, (frame["distance"] / 8).to_numpy() + 10 * (carrier == "UA").to_numpy(dtype=float)
