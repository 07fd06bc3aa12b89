from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.config.models import Feature
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.training.pipeline import CALIBRATED, Chosen, build_pipeline, fit, predict

BAYES = Chosen("sklearn.naive_bayes.MultinomialNB")
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


def test_an_estimator_within_an_estimator_is_declared_as_one_at_any_depth(model: ModelConfig) -> None:
    tree = {"estimator": "sklearn.tree.DecisionTreeRegressor", "parameters": {"max_depth": 2}}
    bagged = {"estimator": "sklearn.ensemble.BaggingRegressor", "parameters": {"estimator": tree, "random_state": 5}}
    parameters = {"estimators": [["bagged", bagged], ["line", {"estimator": "sklearn.linear_model.Ridge"}]]}
    seeded = model.model_copy(update={"train": model.train.model_copy(update={"seed": 3})})
    voting = build_pipeline(seeded, Chosen("sklearn.ensemble.VotingRegressor", parameters))[-1]
    bagging, line = (estimator for _, estimator in voting.estimators)
    assert (bagging.random_state, bagging.estimator.max_depth, bagging.estimator.random_state, line.random_state) == (5, 2, 3, 3)
    with pytest.raises(ConfigError, match=r"air_time: train.estimator 'sklearn.tree.Nothing' cannot be imported"):
        build_pipeline(model, Chosen("sklearn.ensemble.BaggingRegressor", {"estimator": {"estimator": "sklearn.tree.Nothing"}}))
    with pytest.raises(ConfigError, match=r"missing 1 required .* give estimators, an estimator as \{estimator: PATH, parameters: "):
        build_pipeline(model, Chosen("sklearn.ensemble.VotingRegressor"))


def test_numbers_are_shares_of_their_range_for_an_estimator_that_takes_no_negative_ones(
    model: ModelConfig, flight_delay: ModelConfig
) -> None:
    classifier = flight_delay.model_copy(update={"features": model.features})
    frame, target = _rows()
    for chosen in (BAYES, Chosen(CALIBRATED, {"estimator": {"estimator": BAYES.estimator}})):
        pipeline = build_pipeline(classifier, chosen)
        fit(pipeline, classifier, frame, (target > np.median(target)).astype(float))
        given = pipeline[:-1].transform(frame.assign(distance=frame["distance"] * 2 - 1000)[["carrier", "distance"]])
        assert (given.min(), given.max()) == (0, 1)


def test_predictions_that_are_not_one_number_a_row_are_refused(model: ModelConfig, flight_delay: ModelConfig) -> None:
    frame, target = _rows()
    pipeline = build_pipeline(model)
    pipeline.fit(frame, np.column_stack([target, target]))
    with pytest.raises(DataError, match=r"predicts numbers of shape \(200, 2\) for 200 rows, and each needs one value"):
        predict(pipeline, model, frame)
    classifier = flight_delay.model_copy(update={"features": model.features})
    pipeline = build_pipeline(classifier, Chosen("sklearn.tree.DecisionTreeClassifier"))
    pipeline.fit(frame, np.zeros(ROWS))
    with pytest.raises(DataError, match=r"DecisionTreeClassifier predicts .* needs the probabilities of two classes. Was it fitted"):
        predict(pipeline, classifier, frame)


def _rows() -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(0)
    carrier = pd.array(random.choice(["UA", "AA", "B6"], ROWS), dtype="string")
    frame = pd.DataFrame({"carrier": carrier, "distance": random.uniform(100, 3000, ROWS)})
    return frame, (frame["distance"] / 8).to_numpy() + 10 * (carrier == "UA").to_numpy(dtype=float)
