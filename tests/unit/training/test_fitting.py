from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight

from include.evergreen.config import ModelConfig
from include.evergreen.config.calendar import Calendar
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import Grain
from include.evergreen.foundation.span import Span
from include.evergreen.training import fitting, pipeline
from include.evergreen.training.fitting import learn, newest_apart
from include.evergreen.training.pipeline import Chosen, predict
from include.evergreen.training.weights import row_weights
from tests.unit.training.synthetic_rows import BOOSTING, LOGISTIC, RIDGE, synthetic_model, synthetic_rows

LIGHTGBM = "lightgbm.LGBMClassifier"


def test_weights_are_the_product_of_what_is_declared_and_have_a_mean_of_one(flight_delay: ModelConfig) -> None:
    rows = synthetic_rows(days=6)
    model = synthetic_model(
        flight_delay, estimator=LOGISTIC, weights={"classes": "balanced", "half_life": "2 days", "feature": "importance"}
    )
    age = np.repeat([5, 4, 3, 2, 1, 0], 60)
    expected = compute_sample_weight("balanced", rows["target"]) * 0.5 ** (age / 2) * rows["importance"].to_numpy()
    found = row_weights(model, rows)
    assert found == pytest.approx(expected / expected.mean())
    assert found is not None
    assert found.mean() == pytest.approx(1)


def test_without_weights_there_are_none(flight_delay: ModelConfig) -> None:
    assert row_weights(synthetic_model(flight_delay, estimator=LOGISTIC), synthetic_rows(days=2)) is None


def test_a_row_counts_half_of_one_that_is_a_half_life_newer(flight_delay: ModelConfig) -> None:
    found = row_weights(synthetic_model(flight_delay, estimator=LOGISTIC, weights={"half_life": "4 days"}), synthetic_rows(days=9))
    assert found is not None
    assert found[0] / found[-1] == pytest.approx(0.25)
    assert found[60 * 4] / found[-1] == pytest.approx(0.5)


def test_a_half_life_may_be_of_partitions_that_the_schedule_makes(flight_delay: ModelConfig) -> None:
    workdays = Calendar(Grain(), "0 6 * * 1-5")
    model = synthetic_model(flight_delay, estimator=LOGISTIC, weights={"half_life": "1 partition"}).with_calendars(lambda _: workdays)
    rows = synthetic_rows(days=7)  # from a Tuesday on: between Monday's and Friday's no partition is made
    found = row_weights(model, rows)
    assert found is not None
    of_day = dict(zip(rows["partition"], found, strict=True))
    assert of_day["2013-01-04"] / of_day["2013-01-07"] == pytest.approx(0.5)
    assert of_day["2013-01-01"] / of_day["2013-01-07"] == pytest.approx(0.5**4)


def test_what_is_held_out_is_counted_by_the_schedule_and_not_by_what_is_there(flight_delay: ModelConfig) -> None:
    rows = synthetic_rows(days=9)
    there = rows[rows["partition"] != "2013-01-08"]
    older, newest = newest_apart(flight_delay, there, Span(3, "day"))
    assert sorted(newest["partition"].unique()) == ["2013-01-07", "2013-01-09"]
    assert older["partition"].max() == "2013-01-06"
    workdays = flight_delay.with_calendars(lambda _: Calendar(Grain(), "0 6 * * 1-5"))
    assert newest_apart(workdays, rows, Span(3, "partition"))[1]["partition"].min() == "2013-01-07"  # Monday, before Tuesday and Wednesday
    assert newest_apart(workdays, rows, Span(4, "partition"))[1]["partition"].min() == "2013-01-04"


@pytest.mark.parametrize(
    "weights", [{"classes": "balanced"}, {"half_life": "3 days"}, {"feature": "importance"}, {"classes": "balanced", "half_life": "3 days"}]
)
def test_weights_change_the_fit_as_scikit_learns_own_sample_weight_does(flight_delay: ModelConfig, weights: dict[str, Any]) -> None:
    rows = synthetic_rows()
    model = synthetic_model(flight_delay, estimator=LOGISTIC, weights=weights)
    ours = learn(model, rows)
    own = LogisticRegression(random_state=0).fit(_columns(ours, rows), rows["target"], sample_weight=row_weights(model, rows))
    assert np.array_equal(ours.named_steps["estimator"].coef_, own.coef_)
    unweighted = learn(synthetic_model(flight_delay, estimator=LOGISTIC), rows)
    assert not np.array_equal(ours.named_steps["estimator"].coef_, unweighted.named_steps["estimator"].coef_)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_none_is_refused_and_its_feature_named(flight_delay: ModelConfig, value: float) -> None:
    rows = synthetic_rows(days=3)
    rows.loc[3, "importance"] = value
    model = synthetic_model(flight_delay, estimator=LOGISTIC, weights={"feature": "importance"})
    with pytest.raises(DataError, match="flight_delay: importance, train.weights.feature, is missing, infinite or negative in 1 of 180"):
        learn(model, rows)


def test_weights_of_nought_alone_are_refused(flight_delay: ModelConfig) -> None:
    model = synthetic_model(flight_delay, estimator=LOGISTIC, weights={"feature": "importance"})
    with pytest.raises(DataError, match="is 0 in all 180 rows"):
        learn(model, synthetic_rows(days=3).assign(importance=0.0))


def test_an_estimator_that_cannot_weight_rows_is_named(flight_delay: ModelConfig) -> None:
    model = synthetic_model(flight_delay, estimator="sklearn.neighbors.KNeighborsClassifier", weights={"half_life": "3 days"})
    with pytest.raises(ConfigError, match="KNeighborsClassifier cannot weight rows. Remove train.weights"):
        learn(model, synthetic_rows(days=3))


def test_early_stop_judges_by_the_newest_days_and_they_teach_nothing(flight_delay: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = synthetic_rows()
    model = synthetic_model(flight_delay, estimator=BOOSTING, early_stop={"holdout": "2 days", "rounds": 3})
    seen: dict[str, Any] = {}
    fit = fitting.fit

    def fit_and_note(pipeline: Any, model: ModelConfig, features: pd.DataFrame, target: Any, **more: Any) -> None:
        seen.update(fitted=rows.loc[features.index, "partition"], judged=rows.loc[more["judges"][0].index, "partition"])
        fit(pipeline, model, features, target, **more)

    monkeypatch.setattr(fitting, "fit", fit_and_note)
    learn(model, rows)
    assert sorted(seen["judged"].unique()) == ["2013-01-11", "2013-01-12"]
    assert seen["fitted"].max() == "2013-01-10"
    assert len(seen["fitted"]) + len(seen["judged"]) == len(rows)


def test_early_stop_is_scikit_learns_own_and_stops(flight_delay: ModelConfig) -> None:
    rows = synthetic_rows()
    parameters = {"max_iter": 500, "learning_rate": 0.3}
    ours = learn(
        synthetic_model(flight_delay, estimator=BOOSTING, parameters=parameters, early_stop={"holdout": "2 days", "rounds": 3}), rows
    )
    older, judges = newest_apart(flight_delay, rows, Span(2, "day"))
    own = HistGradientBoostingClassifier(**parameters, early_stopping=True, n_iter_no_change=3, random_state=0)
    own.fit(_columns(ours, older), older["target"], X_val=_columns(ours, judges), y_val=judges["target"].to_numpy())
    assert 3 < own.n_iter_ < 100
    assert ours.named_steps["estimator"].n_iter_ == own.n_iter_
    assert np.array_equal(ours.predict_proba(_as_given(rows)), own.predict_proba(_columns(ours, rows)))


def test_early_stop_with_weights_fits(flight_delay: ModelConfig, lightgbm: ModuleType) -> None:
    weights = {"classes": "balanced", "half_life": "3 days"}
    for estimator in (BOOSTING, LIGHTGBM):
        model = synthetic_model(flight_delay, estimator=estimator, early_stop={"holdout": "2 days", "rounds": 3}, weights=weights)
        assert np.isfinite(predict(learn(model, synthetic_rows()), model, synthetic_rows())).all()


def test_lightgbm_stops_early_on_the_newest_days(flight_delay: ModelConfig, lightgbm: ModuleType) -> None:
    rows = synthetic_rows()
    parameters = {"n_estimators": 500, "learning_rate": 0.3}
    ours = learn(
        synthetic_model(flight_delay, estimator=LIGHTGBM, parameters=parameters, early_stop={"holdout": "2 days", "rounds": 3}), rows
    )
    older, judges = newest_apart(flight_delay, rows, Span(2, "day"))
    own = lightgbm.LGBMClassifier(**parameters, n_jobs=1, verbose=-1, deterministic=True, random_state=0)
    stop = lightgbm.early_stopping(3, verbose=False)
    own.fit(
        _columns(ours, older),
        older["target"].to_numpy(),
        eval_X=_columns(ours, judges),
        eval_y=judges["target"].to_numpy(),
        callbacks=[stop],
    )
    assert ours.named_steps["estimator"].best_iteration_ == own.best_iteration_ < 100


@pytest.mark.parametrize(
    ("library", "estimator", "types"),
    [
        ("lightgbm", LIGHTGBM, ["collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier"]),
        ("xgboost", "xgboost.XGBClassifier", ["xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"]),
    ],
)
def test_a_boosted_model_of_another_library_is_stored_and_loaded_by_name_and_predicts_the_same_to_the_last_bit(
    flight_delay: ModelConfig, lightgbm: ModuleType, library: str, estimator: str, types: list[str]
) -> None:
    pytest.importorskip(library)  # xgboost-cpu has no wheels but for Linux on x86_64
    rows = synthetic_rows()
    model = synthetic_model(
        flight_delay, estimator=estimator, parameters={"n_estimators": 200}, early_stop={"holdout": "2 days", "rounds": 3}
    )
    fitted = learn(model, rows)
    content = skops.io.dumps(fitted)
    with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException):
        skops.io.loads(content, trusted=["numpy.dtype"])
    loaded = skops.io.loads(content, trusted=["numpy.dtype", *types])
    assert np.array_equal(predict(loaded, model, rows), predict(fitted, model, rows))
    assert np.array_equal(predict(learn(model, rows), model, rows), predict(fitted, model, rows))
    best = fitted.named_steps["estimator"]
    assert (best.best_iteration_ if library == "lightgbm" else best.best_iteration) < 150  # it stopped early


def test_an_estimator_of_another_library_is_told_to_compute_in_one_thread_unless_its_parameters_say_otherwise(
    flight_delay: ModelConfig,
) -> None:
    model = synthetic_model(flight_delay, estimator=LIGHTGBM)
    assert pipeline.build_pipeline(model).named_steps["estimator"].n_jobs == 1
    assert pipeline.build_pipeline(model, Chosen(LIGHTGBM, {"n_jobs": 2})).named_steps["estimator"].n_jobs == 2


def test_equal_rows_and_an_equal_choice_give_equal_bits(flight_delay: ModelConfig) -> None:
    rows = synthetic_rows()
    forest = Chosen("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 10})
    model = synthetic_model(flight_delay, estimator=LOGISTIC)
    first, second = (predict(learn(model, rows, forest), model, rows) for _ in range(2))
    other = predict(learn(synthetic_model(flight_delay, estimator=LOGISTIC, seed=1), rows, forest), model, rows)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_missing_number_is_filled_in_and_a_feature_without_any_goes_on_working(flight_delay: ModelConfig) -> None:
    model = synthetic_model(flight_delay, estimator=LOGISTIC)
    rows = synthetic_rows().assign(noise=np.nan)
    rows.loc[::3, "hour"] = np.nan
    rows.loc[::5, "carrier"] = pd.NA
    fitted = learn(model, rows)
    assert np.isfinite(predict(fitted, model, rows)).all()
    assert np.isfinite(predict(fitted, model, synthetic_rows())).all()  # and when its values are there again


@pytest.mark.parametrize("values", [np.inf, 1e308])
def test_features_that_cannot_be_computed_with_are_named(flight_delay: ModelConfig, values: float) -> None:
    rows = synthetic_rows()
    rows.loc[rows.index % 2 == 0, "noise"] = values
    rows.loc[rows.index % 2 == 1, "noise"] = -1e308
    with pytest.raises(DataError, match="flight_delay: the features noise have values that are infinite or too large"):
        learn(synthetic_model(flight_delay, estimator=LOGISTIC), rows)


def test_no_rows_to_fit_on_are_told(air_time: ModelConfig) -> None:
    with pytest.raises(DataError, match="air_time: there are no rows to fit on"):
        learn(synthetic_model(air_time, estimator=RIDGE), synthetic_rows(days=2).iloc[:0])


def test_what_tuning_leaves_open_cannot_be_fitted_without_a_choice(air_time: ModelConfig) -> None:
    model = synthetic_model(air_time, estimator=RIDGE, search={"alpha": {"uniform": [1, 2]}}, tune={"candidates": 2})
    with pytest.raises(ConfigError, match="air_time: train leaves its parameters or estimator to tuning"):
        learn(model, synthetic_rows(is_classified=False))


def _as_given(rows: pd.DataFrame) -> pd.DataFrame:
    return pipeline.as_fitted(rows)


def _columns(fitted: Any, rows: pd.DataFrame) -> Any:
    return fitted.named_steps["columns"].transform(_as_given(rows))


@pytest.mark.parametrize("estimator", [LOGISTIC, BOOSTING, "sklearn.tree.DecisionTreeClassifier"])
def test_rows_of_one_class_are_named_with_the_estimator_and_what_to_change(flight_delay: ModelConfig, estimator: str) -> None:
    name = estimator.rpartition(".")[2]
    rows = synthetic_rows(days=5).assign(target=1.0)
    words = rf"{name} cannot learn from the 300 rows of 2013-01-01 to 2013-01-05: all have the target 1, .* Choose a longer train.window"
    with pytest.raises(DataError, match=words):
        learn(synthetic_model(flight_delay, estimator=estimator), rows)


@pytest.mark.parametrize("estimator", [BOOSTING, LIGHTGBM, "xgboost.XGBClassifier"])
@pytest.mark.usefixtures("lightgbm")
def test_an_early_stop_that_leaves_one_class_on_either_side_is_named(flight_delay: ModelConfig, estimator: str) -> None:
    pytest.importorskip(estimator.partition(".")[0])
    name = estimator.rpartition(".")[2]
    model = synthetic_model(flight_delay, estimator=estimator, early_stop={"holdout": "2 days", "rounds": 3})
    rows = synthetic_rows(days=6)
    newest = rows["partition"] > "2013-01-04"
    with pytest.raises(DataError, match=rf"{name} cannot learn from the 240 rows .* or a shorter train.early_stop.holdout"):
        learn(model, rows.assign(target=rows["target"].where(newest, 0.0)))
    with pytest.raises(DataError, match=rf"{name} cannot be told when to stop by the 120 rows .* Choose a longer train.early_stop.holdout"):
        learn(model, rows.assign(target=rows["target"].where(~newest, 0.0)))


def test_a_value_is_a_number_of_64_bits_whatever_a_library_computes_in(air_time: ModelConfig) -> None:
    pytest.importorskip("xgboost")
    rows = synthetic_rows(days=3, is_classified=False)
    model = synthetic_model(air_time, estimator="xgboost.XGBRegressor", parameters={"n_estimators": 3})
    fitted = learn(model, rows)
    odd = rows.iloc[:31]
    predicted = predict(fitted, model, odd)
    assert (predicted.dtype, predicted.shape) == (np.dtype("float64"), (31,))
    assert np.array_equal(predicted.astype("float32"), fitted.predict(_as_given(odd)))
