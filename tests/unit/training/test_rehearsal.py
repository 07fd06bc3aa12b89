from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.training.pipeline import Chosen
from include.evergreen.training.rehearsal import SyntheticRowsError, check_estimators, rehearse
from include.evergreen.training.tuning import check_choices
from tests.unit.lifecycle import include_with
from tests.unit.training.synthetic_rows import LOGISTIC, RIDGE, synthetic_model

THRESHOLD = "sklearn.model_selection.TunedThresholdClassifierCV"
NESTED = {"estimator": {"estimator": LOGISTIC}}


class Picky(Ridge):
    """A team's own, which knows its rows."""

    def fit(self, X: Any, y: Any) -> Picky:
        if len(X) == 240:
            raise ValueError("these are no flights")
        return super().fit(X, y)


class Forgetful(Ridge):
    """It predicts otherwise once it was stored."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "coef_": np.zeros_like(state["coef_"])})


def _declare(include: Path, estimator: str) -> Path:
    path = include / "models/air_time/model.yaml"
    path.write_text(path.read_text().replace("sklearn.linear_model.Ridge", estimator))
    return path


def test_check_names_the_line_of_an_estimator_that_could_not_be_trained_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    include = include_with(tmp_path, monkeypatch)
    assert check_estimators(Catalog(include)) == []
    path = _declare(include, "sklearn.linear_model.MultiTaskLasso")
    [line] = check_estimators(Catalog(include))
    number = 1 + path.read_text().splitlines().index(next(line for line in path.read_text().splitlines() if "MultiTaskLasso" in line))
    assert line.startswith(f"{path}:{number}: train.estimator: ")
    assert "is for several targets at once, and a model has one" in line


@pytest.mark.parametrize(
    ("estimator", "parameters", "words"),
    [
        (THRESHOLD, NESTED, "cannot be stored in a form that loads without running code: it holds sklearn.metrics"),
        ("sklearn.svm.LinearSVC", {}, "no predict_proba, .* have it calibrated: {estimator: sklearn.calibration.CalibratedClassifierCV, "),
        ("sklearn.linear_model.SGDClassifier", {"loss": "hinge"}, "has no predict_proba"),
        (
            "sklearn.ensemble.StackingClassifier",
            {"estimators": [["a", {"estimator": LOGISTIC}]], "final_estimator": {"estimator": RIDGE}},
            "",
        ),
        (LOGISTIC, {"C": -1}, "cannot be fitted on 240 synthetic rows of the declared features: .*'C' parameter"),
        ("sklearn.neighbors.KNeighborsClassifier", {"n_neighbors": 0}, "cannot be fitted on 240 synthetic rows"),
    ],
)
def test_what_cannot_be_fitted_or_stored_or_predict_is_known_without_a_row(
    flight_delay: ModelConfig, estimator: str, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=f"flight_delay: .*{words}"):
        rehearse(synthetic_model(flight_delay, estimator=estimator, parameters=parameters), Chosen(estimator, parameters))


def test_a_training_begins_only_with_what_can_be_stored_and_leaves_to_its_rows_whether_it_can_be_fitted(flight_delay: ModelConfig) -> None:
    with pytest.raises(ConfigError, match="cannot be stored"):
        check_choices(synthetic_model(flight_delay, estimator=THRESHOLD, parameters=NESTED))
    check_choices(synthetic_model(flight_delay, estimator=LOGISTIC, parameters={"C": -1}))


def test_counts_of_rows_and_columns_and_rounds_make_no_false_alarm_and_no_long_check(flight_delay: ModelConfig) -> None:
    began = time.monotonic()
    model = synthetic_model(flight_delay, estimator=LOGISTIC)
    rehearse(model, Chosen("sklearn.neighbors.KNeighborsClassifier", {"n_neighbors": 700}))
    rehearse(model, Chosen("sklearn.ensemble.RandomForestClassifier", {"max_samples": 900, "n_estimators": 100_000}))
    rehearse(model, Chosen("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 100_000}))
    rehearse(model, Chosen("sklearn.ensemble.HistGradientBoostingClassifier", {"monotonic_cst": [1, 0, -1]}))
    assert time.monotonic() - began < 20


def test_weights_are_rehearsed_too(flight_delay: ModelConfig) -> None:
    model = synthetic_model(flight_delay, estimator="sklearn.neighbors.KNeighborsClassifier", weights={"half_life": "3 days"})
    with pytest.raises(ConfigError, match="KNeighborsClassifier cannot weight rows"):
        rehearse(model, Chosen("sklearn.neighbors.KNeighborsClassifier"))


def test_a_teams_own_estimator_may_refuse_rows_that_mean_nothing(air_time: ModelConfig) -> None:
    rehearse(synthetic_model(air_time, estimator=RIDGE), Chosen(f"{__name__}.Picky"))
    with pytest.raises(SyntheticRowsError, match="n_components"):
        rehearse(synthetic_model(air_time, estimator=RIDGE), Chosen("sklearn.cross_decomposition.CCA"))


def test_what_predicts_otherwise_once_it_was_stored_is_refused(air_time: ModelConfig) -> None:
    model = synthetic_model(air_time, estimator=RIDGE, trusted_types=[f"{__name__}.Forgetful"])
    with pytest.raises(ConfigError, match=r"Forgetful\(\) predicts otherwise once it was stored and read back"):
        rehearse(model, Chosen(f"{__name__}.Forgetful"))


@pytest.mark.parametrize(
    ("estimator", "parameters"),
    [
        ("sklearn.neighbors.KNeighborsClassifier", {}),
        ("sklearn.neighbors.RadiusNeighborsClassifier", {"radius": 9.0}),
        ("sklearn.gaussian_process.GaussianProcessClassifier", {}),
        ("sklearn.semi_supervised.LabelSpreading", {}),
        ("sklearn.svm.SVC", {"probability": True}),
        ("sklearn.ensemble.BaggingClassifier", {"estimator": {"estimator": "sklearn.neighbors.KNeighborsClassifier"}}),
        ("sklearn.calibration.CalibratedClassifierCV", {"estimator": {"estimator": "sklearn.svm.SVC"}}),
    ],
)
def test_what_keeps_rows_is_refused_where_features_are_personal_since_no_erasure_reaches_them(
    flight_delay: ModelConfig, estimator: str, parameters: dict[str, Any]
) -> None:
    model = synthetic_model(flight_delay, estimator=estimator, parameters=parameters)
    words = r"keeps rows that it was fitted on, and hour is personal: an erasure would not reach .*\.HistGradientBoostingClassifier, or"
    with pytest.raises(ConfigError, match=words):
        rehearse(_with_personal(model, "hour"), Chosen(estimator, parameters))
    rehearse(model, Chosen(estimator, parameters))


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_what_keeps_no_row_takes_personal_features(flight_delay: ModelConfig, air_time: ModelConfig, kind: str) -> None:
    base = _with_personal(synthetic_model(flight_delay if kind == "classifier" else air_time, estimator=RIDGE), "hour", "noise", "carrier")
    one = base.model_copy(update={"features": base.features[1:2]})
    names = {
        "classifier": ("linear_model.LogisticRegression", "ensemble.HistGradientBoostingClassifier", "ensemble.RandomForestClassifier",
                       "neighbors.NearestCentroid", "naive_bayes.GaussianNB", "neural_network.MLPClassifier"),
        "regressor": ("linear_model.Ridge", "ensemble.GradientBoostingRegressor", "tree.DecisionTreeRegressor", "svm.LinearSVR",
                      "linear_model.RANSACRegressor", "cross_decomposition.PLSRegression"),
    }[kind]  # fmt: skip
    for name in names:
        rehearse(base, Chosen(f"sklearn.{name}", {"n_components": 1} if name.endswith("PLSRegression") else {}))
        rehearse(one, Chosen(f"sklearn.{name}", {"n_components": 1} if name.endswith("PLSRegression") else {}))


@pytest.mark.parametrize("estimator", ["sklearn.isotonic.IsotonicRegression", "sklearn.kernel_ridge.KernelRidge", "sklearn.svm.NuSVR"])
def test_the_values_of_a_single_feature_are_rows_too(air_time: ModelConfig, estimator: str) -> None:
    model = _with_personal(synthetic_model(air_time, estimator=RIDGE), "hour")
    with pytest.raises(ConfigError, match="keeps rows that it was fitted on"):
        rehearse(model.model_copy(update={"features": model.features[1:2]}), Chosen(estimator))


def _with_personal(model: ModelConfig, *names: str) -> ModelConfig:
    features = tuple(feature.model_copy(update={"personal": feature.name in names}) for feature in model.features)
    return model.model_copy(update={"features": features})


def test_what_runs_in_a_container_is_left_to_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    include = include_with(tmp_path, monkeypatch)
    path = _declare(include, "not_here.Estimator")
    path.write_text(path.read_text().replace("  estimator: not_here", "  run_in: docker\n  docker: {image: ours}\n  estimator: not_here"))
    assert check_estimators(Catalog(include)) == []
