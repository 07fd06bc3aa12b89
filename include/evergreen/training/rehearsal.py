"""Rehearses a training on synthetic rows: whether an estimator can be fitted, stored and read back is known before any work."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.document import Key
from include.evergreen.config.loader import describe
from include.evergreen.config.training import Choice
from include.evergreen.foundation.errors import ConfigError, EvergreenError
from include.evergreen.foundation.silent_import import import_quietly
from include.evergreen.serving.inference import as_fitted, one_thread
from include.evergreen.training.kept_rows import holds_rows
from include.evergreen.training.own_metrics import unfit
from include.evergreen.training.pipeline import MIN_CATEGORY_ROWS, Chosen, build_pipeline, fit, predict, refuse_lacking
from include.evergreen.training.recipes import modules_now
from include.evergreen.training.storable import stored

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ROWS: Final = 240
MOST_ROWS: Final = 20_000
ROUNDS: Final = 10  # how long an estimator learns changes nothing of what its file holds
MOST_CLASSES_TRIED: Final = 20  # of several classes; more change nothing of what the file holds
CATEGORIES: Final = ROWS // MIN_CATEGORY_ROWS  # the most that have a column each
COUNTS_OF_ROWS: Final = ("neighbors", "samples")  # in names of parameters that no fit on fewer rows takes
ONE_A_COLUMN: Final = ("_cst", "_constraints")  # ends of names of parameters that no fit on other categories takes
TAKE_ANY_NUMBERS: Final = ("sklearn", "lightgbm", "xgboost")  # a team's own estimator may rightly refuse rows that mean nothing


class SyntheticRowsError(ConfigError):
    """An estimator cannot be fitted on synthetic rows; on real ones it might."""


def check_estimators(catalog: Catalog) -> list[str]:
    """Find the estimators of the models' ``train`` that cannot be trained, stored or served.

    Estimators for a container are left out, as it has libraries of its own.

    :param catalog: what is declared now, which must be sound
    :returns: ``file:line: key: why`` for each, by model; none when all is well
    """
    problems = []
    for model in map(catalog.model, catalog.model_names()):
        if model.train.run_in == "docker":
            continue
        found: list[tuple[Key, str]] = []
        for index, choice in enumerate(model.train.choices):
            key: Key = ("train", "estimators", index, "estimator") if model.train.estimators else ("train", "estimator")
            try:
                rehearse(model, first_setting(choice))
            except EvergreenError as error:
                found.append((key, str(error).removeprefix(f"{model.name}: ")))
        problems += describe(catalog.model_path(model.name), found)
    return problems


def check_own_metrics(catalog: Catalog) -> list[str]:
    """Find the metrics of the models' own that cannot be imported or called, or are none of labels and predictions alone.

    :param catalog: what is declared now, which must be sound
    :returns: ``file:line: key: why`` for each, by model; none when all is well
    """
    problems = []
    for model in map(catalog.model, catalog.model_names()):
        tried = ((index, unfit(model, own, modules_now(catalog, model))) for index, own in enumerate(model.metrics.own))
        found: list[tuple[Key, str]] = [(("metrics", "own", index, "function"), why) for index, why in tried if why]
        problems += describe(catalog.model_path(model.name), found)
    return problems


def rehearse(model: ModelConfig, chosen: Chosen) -> None:
    """Fit on synthetic rows of the declared features, store, read back and predict the same; nothing is kept.

    Besides, what `build_pipeline`, `predict` and `stored` raise.

    :param model: the model to train
    :param chosen: the estimator and its parameters
    :raises SyntheticRowsError: when the fit fails, unless an estimator of a team's own is part of it
    :raises ConfigError: when what is fitted predicts otherwise once it was stored, or its file holds rows although features are personal
    """
    import numpy as np

    pipeline = build_pipeline(model, chosen)
    estimator = pipeline.named_steps["estimator"]
    _ease(estimator)
    features, target = _synthetic(model, _rows_for(estimator))
    weights = None if model.train.weights is None else np.ones(len(target))
    impersonal = tuple(feature.model_copy(update={"personal": False}) for feature in model.features)
    of_nobody = model.model_copy(update={"features": impersonal})  # so that what the library says of synthetic rows is told
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")  # that it has not converged, of rows that mean nothing
        try:
            fit(pipeline, of_nobody, features, target, weights=weights)
        except ConfigError as error:
            if not _takes_any_numbers(estimator):
                return
            words = str(error.__cause__ or error).strip().splitlines() or [type(error.__cause__).__name__]
            raise SyntheticRowsError(
                f"{model.name}: {chosen} cannot be fitted on {len(features)} synthetic rows of the declared features: "
                f"{words[0].rstrip('.')}. Change its parameters, or choose another estimator (docs/guides/estimators.md)."
            ) from error
        refuse_lacking(model, chosen.estimator, estimator)
        predicted = predict(pipeline, model, features)
        file, trusted = stored(model, pipeline)
        _refuse_kept_persons(model, chosen, file, pipeline[:-1].transform(as_fitted(features)))
        again = predict(import_quietly("skops.io").loads(file, trusted=trusted), model, features)
    if not np.array_equal(predicted, again, equal_nan=True):
        raise ConfigError(f"{model.name}: {chosen} predicts otherwise once it was stored and read back. Choose another estimator.")


def _refuse_kept_persons(model: ModelConfig, chosen: Chosen, file: bytes, rows: np.ndarray) -> None:
    """A file that holds the rows that were fitted on would hold those of a person who was erased."""
    personal = [feature.name for feature in model.features if feature.personal]
    if personal and holds_rows(file, rows):
        best = f"sklearn.ensemble.HistGradientBoosting{'Regressor' if model.task == 'regression' else 'Classifier'}"
        raise ConfigError(
            f"{model.name}: {chosen} keeps rows that it was fitted on, and {', '.join(personal)} {'is' if len(personal) == 1 else 'are'} "
            f"personal: an erasure would not reach a person's rows in the model's file. Choose an estimator that keeps none, such as "
            f"{best}, or leave the personal features out (docs/guides/estimators.md)."
        )


def first_setting(choice: Choice) -> Chosen:
    """Choose a setting by which to see whether the estimator takes its parameters.

    :param choice: an estimator, with what tuning may choose
    :returns: the estimator with its parameters, and of what is searched the first value of each
    """
    values = {name: next(bounds[0] for _, bounds in search if bounds is not None) for name, search in choice.search.items()}
    return Chosen(choice.estimator, {**choice.parameters, **values})


def _synthetic(model: ModelConfig, count: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows that any estimator can learn from, if it can do the task: no value is missing; targets are 0 and 1, positive, or classes."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(0)
    features = pd.DataFrame(
        {
            feature.name: random.normal(size=count)
            if feature.kind == "numeric"
            else pd.array([f"category {number}" for number in random.permutation(count) % CATEGORIES], dtype="string")
            for feature in model.features
        }
    )
    if model.task == "multiclass":
        texts = model.target.class_texts or ("a", "b", "c")
        return features, np.array(texts, dtype=object)[random.permutation(count) % min(len(texts), MOST_CLASSES_TRIED)]
    target = random.permutation(count) % 2 if model.task == "classification" else random.uniform(1, 2, count)
    return features, target.astype("float64")


def _rows_for(estimator: Any) -> int:
    """Enough for a parameter such as ``n_neighbors``."""
    counts = [
        value for name, value in estimator.get_params().items()
        if isinstance(value, int) and any(word in name for word in COUNTS_OF_ROWS)
    ]  # fmt: skip
    return max(ROWS, min(MOST_ROWS, 2 * max(counts, default=0)))


def _ease(estimator: Any) -> None:
    """Leave out what changes nothing of what the file holds: many rounds, and constraints on columns by their number."""
    eased: dict[str, Any] = {}
    for name, value in estimator.get_params().items():
        if name.rpartition("__")[2] in ("n_estimators", "max_iter") and isinstance(value, int) and value > ROUNDS:
            eased[name] = ROUNDS
        elif name.endswith(ONE_A_COLUMN):
            eased[name] = None
    estimator.set_params(**eased)


def _takes_any_numbers(estimator: Any) -> bool:
    parts = [part for part in (estimator, *estimator.get_params().values()) if hasattr(part, "fit")]
    return all(type(part).__module__.partition(".")[0] in TAKE_ANY_NUMBERS for part in parts)
