"""Metrics of a team's own: functions of labels and predictions, of a module in the model's folder or of an installed package.

They are given one float a row of each; of several classes the labels as text, and a frame with how likely each class is
(`features.class_columns.class_frame`), as a team's `checks.py` reads it.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from include.evergreen.config import ModelConfig
from include.evergreen.config.measuring import OwnMetric
from include.evergreen.config.wording import did_you_mean
from include.evergreen.features.build import quotable
from include.evergreen.features.class_columns import class_frame
from include.evergreen.foundation.errors import ConfigError, EvergreenError
from include.evergreen.foundation.team_code import TEAM_ERRORS, Modules, executed
from include.evergreen.serving.likeliest import likeliest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Function = Callable[["np.ndarray", Any], Any]
SAMPLE_ROWS: Final = 200
SAMPLE_CLASSES: Final = ("a", "b", "c")  # of a model that learns its classes
NEW_CLASS: Final = "a class that nobody has seen"
MOST_PROBABILITIES: Final = 10_000_000  # that are written out at once: 80 MB. Of more rows than have so many, a fixed draw is measured
SAME: Final = 1e-9  # relative: sums in another order differ in their last bits


def measure_own(model: ModelConfig, own: OwnMetric, modules: Modules, labels: np.ndarray, predicted: np.ndarray | pd.DataFrame) -> float:
    """Call a team's function on copies of the rows.

    :param model: the model, as its recipe declares it
    :param own: the metric, one of the model's own
    :param modules: those in the model's folder, as the recipe holds them
    :param labels: one float a row, or of several classes one text
    :param predicted: one float a row, or the frame of `of_classes`
    :returns: what it returns; NaN says that the rows do not define it
    :raises ConfigError: when it cannot be imported, fails, or returns no number; what its own errors say is left out where features are
        personal, as it may quote a row
    :raises EvergreenError: one that the function itself raises
    :raises MemoryError: when there is not enough memory
    """
    function = _loaded(own.function, modules)
    try:
        return float(function(labels.copy(), predicted.copy()))
    except (EvergreenError, MemoryError):
        raise
    except TEAM_ERRORS as error:
        personal = model.has_personal_features
        raise ConfigError(
            f"{model.name}: the metric {own.name!r} ({own.function}) fails on {len(labels)} rows: {quotable(error, personal=personal)}. It "
            f"must return a float; return math.nan where the rows do not define it."
        ) from (None if personal else error)


def of_classes(classes: Sequence[str], known: Sequence[str], labels: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, pd.DataFrame]:
    """Write labels and predictions of several classes as a team's function is given them.

    :param classes: the texts of the classes, by whose numbers both are
    :param known: those that the version knows
    :param labels: one number a row, as a float
    :param predicted: as `serving.likeliest` has it
    :returns: the text of each label, and a frame of how likely each class is that the version knows; of rows with more than
        `MOST_PROBABILITIES` of them those that are drawn, the same ones every time
    """
    import numpy as np

    most = max(1, MOST_PROBABILITIES // max(1, len(classes)))
    if len(labels) > most:
        drawn = np.sort(np.random.default_rng(0).permutation(len(labels))[:most])
        labels, predicted = labels[drawn], predicted[drawn]
    return np.array([*classes, ""], dtype=object)[labels.astype("int64")], class_frame(predicted, classes, known)


def unfit(model: ModelConfig, own: OwnMetric, modules: Modules) -> str:
    """Try a team's function on a synthetic sample.

    :param model: the model, whose task says what labels and predictions are like
    :param own: the metric, one of the model's own
    :param modules: those in the model's folder that it may need
    :returns: why it is no metric, and what to do, to be read after the key that names it; empty when all is well
    """
    import numpy as np

    if problem := _not_callable(own.function, modules):
        return problem
    labels, predicted = _sample(model)
    order = np.random.default_rng(1).permutation(len(labels))
    of_nobody = model.model_copy(update={"features": ()})  # what it says of synthetic rows is told
    try:
        value, again = (measure_own(of_nobody, own, modules, labels, predicted) for _ in range(2))
        reordered = measure_own(of_nobody, own, modules, labels[order], _in_order(predicted, order))
    except EvergreenError as error:
        return f"{str(error).removeprefix(f'{model.name}: ')}{_made_up(model)}"
    if not math.isfinite(value):
        return f"{own.function} returns {value} for {len(labels)} synthetic rows of {_kind(model)}; it must return a number for such rows"
    if value != again:
        return f"{own.function} returns {value:g} and then {again:g} for the same rows; it must be deterministic"
    if not math.isclose(value, reordered, rel_tol=SAME, abs_tol=SAME):
        return (
            f"{own.function} returns {value:g}, and {reordered:g} for the same rows in another order, which intervals draw anew; it must "
            f"not depend on their order"
        )
    return _fails_with_a_new_class(of_nobody, own, modules, labels, predicted) if model.task == "multiclass" else ""


def _fails_with_a_new_class(
    model: ModelConfig, own: OwnMetric, modules: Modules, labels: np.ndarray, predicted: np.ndarray | pd.DataFrame
) -> str:
    """Why it cannot be called on the day on which a class appears; empty when it can."""
    import numpy as np

    try:
        measure_own(model, own, modules, np.where(np.arange(len(labels)) == 0, NEW_CLASS, labels), predicted)
    except EvergreenError as error:
        return f"with a label of a class that the version does not know: {str(error).removeprefix(f'{model.name}: ')}"
    return ""


def refuse_unfit(model: ModelConfig, modules: Modules) -> None:
    """Refuse a model with a metric of its own that is none, before any work.

    :param model: the model, as its recipe declares it
    :param modules: those in the model's folder, as the recipe holds them
    :raises ConfigError: when a function cannot be imported or called, or is none of labels and predictions alone
    """
    for own in model.metrics.own:
        if problem := unfit(model, own, modules):
            raise ConfigError(f"{model.name}: metrics.own: {own.name}: {problem}.")


def _not_callable(path: str, modules: Modules) -> str:
    """Why a function cannot be found, or called with two arrays; empty when it can."""
    try:
        function = _loaded(path, modules)
    except ConfigError as error:
        return str(error)
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return f"{path}{inspect.signature(function)} cannot be called with two arrays; it must take labels and predictions, and no more"
    except ValueError:  # of some functions that are not written in Python, nobody knows the signature
        pass
    return ""


@cache
def _loaded(path: str, modules: Modules) -> Function:
    """A function by its import path, of the module's frozen text where there is one."""
    module, _, name = path.rpartition(".")
    text = dict(modules).get(module)
    try:
        found: Any = importlib.import_module(module) if text is None else executed(text, f"{module}.py", modules)
    except MemoryError:
        raise
    except ConfigError:
        raise
    except TEAM_ERRORS as error:
        raise ConfigError(
            f"{path} cannot be imported ({type(error).__name__}: {error}); write {module.partition('.')[0]}.py beside model.yaml, or "
            f"install the package"
        ) from error
    function = getattr(found, name, None)
    if not callable(function):
        names = [known for known in vars(found) if not known.startswith("_")]
        raise ConfigError(f"{module} has no function {name!r}; {did_you_mean(name, names)}define it there")
    return function  # type: ignore[no-any-return]


def _sample(model: ModelConfig) -> tuple[np.ndarray, np.ndarray | pd.DataFrame]:
    """Rows of all classes with chances that say something of them, or figures above 0 with estimates of them."""
    import numpy as np

    random = np.random.default_rng(0)
    if model.task == "multiclass":
        classes = tuple(sorted(model.target.class_texts)) or SAMPLE_CLASSES
        numbers = random.permutation(max(SAMPLE_ROWS, len(classes))) % len(classes)
        chances = random.uniform(0.1, 1, (len(numbers), len(classes)))
        chances[np.arange(len(numbers)), numbers] += random.uniform(0, 1, len(numbers))
        return of_classes(classes, classes, numbers.astype("float64"), likeliest(chances / chances.sum(axis=1, keepdims=True)))
    if model.task == "classification":
        labels = random.permutation(SAMPLE_ROWS) % 2
        return labels.astype("float64"), (0.25 + 0.3 * labels + random.uniform(0, 0.4, SAMPLE_ROWS)).astype("float64")
    figures = random.uniform(1, 100, SAMPLE_ROWS)
    return figures, figures * random.uniform(0.7, 1.3, SAMPLE_ROWS)


def _in_order(predicted: np.ndarray | pd.DataFrame, order: np.ndarray) -> np.ndarray | pd.DataFrame:
    import numpy as np

    return predicted[order] if isinstance(predicted, np.ndarray) else predicted.iloc[order].reset_index(drop=True)


def _kind(model: ModelConfig) -> str:
    return {"classification": "both classes", "multiclass": "all classes"}.get(model.task, "figures from 1 to 100")


def _made_up(model: ModelConfig) -> str:
    """What a function that knows its classes by their texts needs, where nobody has declared them."""
    if model.task != "multiclass" or model.target.class_texts:
        return ""
    return f" The classes of these rows are made up ({', '.join(SAMPLE_CLASSES)}); if it needs its own, declare them: target.classes."
