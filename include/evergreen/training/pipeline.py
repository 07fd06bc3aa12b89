"""The scikit-learn pipeline of a model: preprocessing by feature kind, then the declared estimator."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from include.evergreen.config import ModelConfig
from include.evergreen.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline

MIN_CATEGORY_ROWS = 20  # a rarer category shares one column with the other rare ones


def build_pipeline(model: ModelConfig) -> Pipeline:
    """An unfitted pipeline that takes the model's declared features as a frame."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    categorical = [feature.name for feature in model.features if feature.kind == "categorical"]
    numeric = [feature.name for feature in model.features if feature.kind == "numeric"]
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=MIN_CATEGORY_ROWS, sparse_output=False)
    scaled = Pipeline([("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("scale", StandardScaler())])
    columns = ColumnTransformer([("categorical", one_hot, categorical), ("numeric", scaled, numeric)])
    return Pipeline([("columns", columns), ("estimator", _estimator(model))])


def fit(pipeline: Pipeline, model: ModelConfig, features: pd.DataFrame, target: np.ndarray) -> None:
    """Fit in place. Raises `ConfigError` for an estimator or parameters that scikit-learn refuses only now."""
    try:
        pipeline.fit(as_fitted(features), target)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{model.name}: {model.train.estimator} with train.parameters {dict(model.train.parameters)} cannot be fitted: {error}"
        ) from error


def predict(pipeline: Pipeline, model: ModelConfig, features: pd.DataFrame) -> np.ndarray:
    """One float a row: the probability of the positive class, or the predicted value."""
    import numpy as np

    if not len(features):
        return np.empty(0)  # scikit-learn would refuse; a day may have no rows
    frame = as_fitted(features)
    if model.task == "classification":
        probabilities: np.ndarray = pipeline.predict_proba(frame)[:, 1]
        return probabilities
    values: np.ndarray = pipeline.predict(frame)
    return values


def as_fitted(features: pd.DataFrame) -> pd.DataFrame:
    """The features as scikit-learn and MLflow's signature know them: text as plain objects, missing text as ''."""
    text = [name for name in features.columns if features[name].dtype == "string"]
    return features.assign(**{name: features[name].fillna("").astype(object) for name in text})


def _estimator(model: ModelConfig) -> Any:
    from sklearn.base import is_classifier

    path = model.train.estimator
    module, _, name = path.rpartition(".")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"{model.name}: train.estimator {path!r} cannot be imported ({error}). "
            f"Give the import path of a scikit-learn estimator, such as sklearn.linear_model.LogisticRegression."
        ) from error
    parameters = dict(model.train.parameters)
    try:
        estimator = factory(**parameters)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{model.name}: {path} does not take train.parameters {parameters}: {error}") from error
    needed = ["fit", "get_params", "predict_proba" if model.task == "classification" else "predict"]
    if missing := [method for method in needed if not hasattr(estimator, method)]:
        raise ConfigError(f"{model.name}: train.estimator {path} has no {', '.join(missing)}, which a {model.task} needs. Choose another.")
    if model.task == "regression" and is_classifier(estimator):  # it would fit, and take every number for a class
        raise ConfigError(f"{model.name}: train.estimator {path} is a classifier, and the task is regression. Choose a regressor.")
    if "random_state" in estimator.get_params() and "random_state" not in parameters:
        estimator.set_params(random_state=model.train.seed)
    return estimator
