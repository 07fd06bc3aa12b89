"""The scikit-learn pipeline of a model: preprocessing by feature kind, then an estimator."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from include.evergreen.config import ModelConfig
from include.evergreen.config.training import CAN_STOP_EARLY
from include.evergreen.config.wording import did_you_mean, listed
from include.evergreen.features.build import quotable
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.serving.inference import CLASSES, as_fitted, predicted

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline

LARGEST = 1e150  # its square is still a number: the variance of a column is a sum of squares
MIN_CATEGORY_ROWS = 20  # a rarer category shares one column with the other rare ones
CALIBRATED = "sklearn.calibration.CalibratedClassifierCV"
OWN_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "lightgbm": {"n_jobs": 1, "verbose": -1, "deterministic": True},
    "xgboost": {"n_jobs": 1, "verbosity": 0},
}
"""What these libraries must be told to give the same bits every time, and no lines of their own in the log; train.parameters overrides."""


@dataclass(frozen=True)
class Chosen:
    """An estimator and its parameters, nothing left open: what is fitted."""

    estimator: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.estimator}({', '.join(f'{name}={value!r}' for name, value in sorted(self.parameters.items()))})"


def declared(model: ModelConfig) -> Chosen:
    """The estimator and parameters that model.yaml settles by itself.

    :param model: the model as it is declared
    :returns: the only choice that it leaves
    :raises ConfigError: when it leaves the choice to tuning
    """
    if model.train.leaves_open:
        raise ConfigError(f"{model.name}: train leaves its parameters or estimator to tuning, so only a training says what they are.")
    choice = model.train.choices[0]
    return Chosen(choice.estimator, dict(choice.parameters))


def build_pipeline(model: ModelConfig, chosen: Chosen | None = None) -> Pipeline:
    """Build the pipeline of a model, to be fitted.

    Raises `ConfigError` for an estimator that cannot be imported, does not take its parameters, or cannot do the model's task.

    :param model: the model, as its recipe declares it
    :param chosen: the estimator and its parameters; None: what model.yaml settles
    :returns: an unfitted pipeline that takes the declared features as a frame
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

    estimator = _estimator(model, chosen or declared(model))
    categorical = [feature.name for feature in model.features if feature.kind == "categorical"]
    numeric = [feature.name for feature in model.features if feature.kind == "numeric"]
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=MIN_CATEGORY_ROWS, sparse_output=False)
    scale = MinMaxScaler(clip=True) if _counts(estimator) else StandardScaler()
    scaled = Pipeline([("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("scale", scale)])
    columns = ColumnTransformer([("categorical", one_hot, categorical), ("numeric", scaled, numeric)])
    return Pipeline([("columns", columns), ("estimator", estimator)])


def fit(
    pipeline: Pipeline,
    model: ModelConfig,
    features: pd.DataFrame,
    target: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    judges: tuple[pd.DataFrame, np.ndarray] | None = None,
) -> None:
    """Fit a pipeline in place.

    :param pipeline: of `build_pipeline`, not fitted yet
    :param model: the model, as its recipe declares it
    :param features: the declared features, one row each
    :param target: one float for each row of ``features``; of several classes one text, of which the estimator gets the number
    :param weights: one sample weight for each row; None: all the same
    :param judges: features and target of the rows by which ``early_stop`` decides, and which teach nothing; None: no early stopping
    :raises ConfigError: when the estimator refuses its parameters only now, cannot weight rows or cannot stop early
    :raises DataError: when a numeric feature is infinite, or too large to compute with
    :raises MemoryError: when the machine has too little memory for it, of which no declaration is to blame
    """
    _refuse_infinities(model, features)
    if model.task == "multiclass":
        target, judges = _numbered(pipeline, target, judges)
    columns, estimator = pipeline.named_steps["columns"], pipeline.named_steps["estimator"]
    keywords: dict[str, Any] = {}
    if weights is not None:
        if "sample_weight" not in inspect.signature(estimator.fit).parameters:
            raise ConfigError(f"{model.name}: {_path(estimator)} cannot weight rows. Remove train.weights, or choose another estimator.")
        keywords["sample_weight"] = weights
    try:
        given = columns.fit_transform(as_fitted(features), target)
        if judges is not None:
            keywords.update(_stopping_early(model, estimator, columns.transform(as_fitted(judges[0])), judges[1]))
        estimator.fit(given, target, **keywords)
    except (ConfigError, DataError, MemoryError):
        raise
    except Exception as error:  # each library has errors of its own, which may quote a row
        personal = model.has_personal_features
        told = quotable(error, personal=personal)
        raise ConfigError(f"{model.name}: {_path(estimator)} with train.parameters {_given(estimator)} cannot be fitted: {told}") from (
            None if personal else error
        )


def predict(pipeline: Pipeline, model: ModelConfig, features: pd.DataFrame) -> np.ndarray:
    """Predict for some rows, as `serving.inference.predicted`, and raising what it raises.

    :param pipeline: the fitted pipeline
    :param model: the model, whose task says what is predicted
    :param features: the declared features, one row each; there may be none
    :returns: as `serving.inference.predicted`
    """
    return predicted(pipeline, model.task, features)


def refuse_lacking(model: ModelConfig, path: str, *owners: Any) -> None:
    """Refuse an estimator without the methods that the model's task needs.

    :param model: the model, whose task decides
    :param path: the estimator's import path, for the error
    :param *owners: the estimator, and what else may have a method in its stead
    :raises ConfigError: when none of ``owners`` has one of the methods
    """
    needed = ["fit", "get_params", "predict" if model.task == "regression" else "predict_proba"]
    missing = [method for method in needed if not any(hasattr(owner, method) for owner in owners)]
    if not missing:
        return
    calibrated = f"{{estimator: {CALIBRATED}, parameters: {{estimator: {{estimator: {path}}}}}}}"
    way = f", or have it calibrated: {calibrated}" if missing == ["predict_proba"] and hasattr(owners[0], "predict") else ""
    raise ConfigError(f"{model.name}: train.estimator {path} has no {', '.join(missing)}, which a {model.task} needs. Choose another{way}.")


def _estimator(model: ModelConfig, chosen: Chosen) -> Any:
    path = chosen.estimator
    estimator = _made(model, chosen)
    refuse_lacking(model, path, estimator, type(estimator))  # of the class: what depends on a part is known once that is fitted
    tags = _tags(estimator)
    if tags is None:
        return estimator
    if model.task == "regression" and tags.estimator_type == "classifier":  # it would fit, and take every number for a class
        raise ConfigError(f"{model.name}: train.estimator {path} is a classifier, and the task is regression. Choose a regressor.")
    if not tags.target_tags.single_output:
        raise ConfigError(f"{model.name}: train.estimator {path} is for several targets at once, and a model has one. Choose another.")
    return estimator


def _made(model: ModelConfig, chosen: Chosen) -> Any:
    """The estimator, and those that its parameters declare, each with what it must be told to give the same bits every time."""
    path = chosen.estimator
    factory = _factory(model, path)
    parameters = {name: _with_estimators(model, value) for name, value in chosen.parameters.items()}
    try:
        estimator = factory(**{**OWN_DEFAULTS.get(path.partition(".")[0], {}), **parameters})
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{model.name}: {path} does not take train.parameters {chosen.parameters}: {error}{_allowed(factory, chosen)}"
        ) from error
    if hasattr(estimator, "get_params") and "random_state" in estimator.get_params() and "random_state" not in chosen.parameters:
        estimator.set_params(random_state=model.train.seed)
    return estimator


def _with_estimators(model: ModelConfig, value: Any) -> Any:
    """A parameter's value, with an estimator in place of each ``{estimator: PATH, parameters: {...}}`` in it."""
    if isinstance(value, list):
        return [_with_estimators(model, each) for each in value]
    if isinstance(value, dict) and isinstance(value.get("estimator"), str) and value.keys() <= {"estimator", "parameters"}:
        return _made(model, Chosen(value["estimator"], value.get("parameters") or {}))
    return value


def _counts(estimator: Any) -> bool:
    """Whether it, or one within it, takes numbers for counts or shares: scikit-learn's tags say that none may be negative."""
    inputs = [tags.input_tags for within in (estimator, *estimator.get_params().values()) if (tags := _tags(within)) is not None]
    return any(tags.positive_only and not tags.categorical for tags in inputs)  # a category's number is none to be scaled


def _tags(estimator: Any) -> Any:
    """What scikit-learn knows of an estimator; None of others, and of one that lacks a part, as its fit will say."""
    from sklearn.base import BaseEstimator
    from sklearn.utils import get_tags

    if not isinstance(estimator, BaseEstimator):
        return None
    try:
        return get_tags(estimator)
    except (AttributeError, TypeError):
        return None


def _factory(model: ModelConfig, path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    try:
        factory: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"{model.name}: train.estimator {path!r} cannot be imported ({error}). "
            f"Give the import path of a scikit-learn estimator, such as sklearn.linear_model.LogisticRegression."
        ) from error
    return factory


def _allowed(factory: Callable[..., Any], chosen: Chosen) -> str:
    """For an error: the parameters that there are, or that are needed, when one of those given is unknown, or one is not given."""
    signature = {name: parameter for name, parameter in inspect.signature(factory).parameters.items() if name != "self"}
    if unknown := [name for name in chosen.parameters if name not in signature]:
        return f"; {did_you_mean(unknown[0], signature)}allowed: {listed(signature)}"
    needed = [
        name for name, parameter in signature.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD and name not in chosen.parameters
    ]  # fmt: skip
    return f"; give {listed(needed)}, an estimator as {{estimator: PATH, parameters: {{...}}}}" if needed else ""


def _numbered(
    pipeline: Pipeline, target: np.ndarray, judges: tuple[pd.DataFrame, np.ndarray] | None
) -> tuple[np.ndarray, tuple[pd.DataFrame, np.ndarray] | None]:
    """The numbers of the classes, of which the pipeline keeps the texts; no row judges that is of a class which nothing teaches."""
    import numpy as np

    classes, numbers = np.unique(target.astype(str), return_inverse=True)
    setattr(pipeline, CLASSES, classes.tolist())
    if judges is None:
        return numbers, None
    features, texts = judges[0], judges[1].astype(str)
    taught = np.isin(texts, classes)
    return numbers, (features[taught], np.searchsorted(classes, texts[taught]))


def _stopping_early(model: ModelConfig, estimator: Any, features: Any, target: np.ndarray) -> dict[str, Any]:
    """The keyword arguments of ``fit`` that make an estimator stop early, each library in its own way."""
    assert model.train.early_stop is not None
    rounds = model.train.early_stop.rounds
    match CAN_STOP_EARLY.get(type(estimator).__name__):
        case "sklearn":
            estimator.set_params(early_stopping=True, n_iter_no_change=rounds)
            return {"X_val": features, "y_val": target}
        case "lightgbm":
            from lightgbm import early_stopping

            return {"eval_X": features, "eval_y": target, "callbacks": [early_stopping(rounds, verbose=False)]}
        case "xgboost":
            estimator.set_params(early_stopping_rounds=rounds)
            return {"eval_set": [(features, target)], "verbose": False}
        case _:
            raise ConfigError(f"{model.name}: {_path(estimator)} cannot stop early; those that can: {', '.join(CAN_STOP_EARLY)}.")


def _refuse_infinities(model: ModelConfig, features: pd.DataFrame) -> None:
    """Missing numbers are filled in; an infinite one, or one whose square is, nothing can be computed with."""
    numeric = [feature.name for feature in model.features if feature.kind == "numeric"]
    if wrong := [name for name in numeric if (features[name].abs() > LARGEST).any()]:
        raise DataError(
            f"{model.name}: the features {', '.join(wrong)} have values that are infinite or too large to compute with (above "
            f"{LARGEST:g}). Correct them in features.py, or in the data."
        )


def _given(estimator: Any) -> dict[str, Any]:
    """The parameters that are not the estimator's defaults."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(type(estimator)).parameters.items()}
    return {
        name: value for name, value in estimator.get_params().items() if value is not defaults.get(name) and value != defaults.get(name)
    }


def _path(estimator: Any) -> str:
    return f"{type(estimator).__module__}.{type(estimator).__name__}"
