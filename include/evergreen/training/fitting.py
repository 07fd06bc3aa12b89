"""Fits a pipeline on rows of a training frame, as ``train`` declares: with sample weights and early stopping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.evergreen.config import ModelConfig
from include.evergreen.features.columns import PARTITION, TARGET, features_of
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.span import Span
from include.evergreen.serving.inference import one_thread
from include.evergreen.training.pipeline import Chosen, build_pipeline, fit
from include.evergreen.training.weights import row_weights

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


def learn(model: ModelConfig, rows: pd.DataFrame, chosen: Chosen | None = None) -> Pipeline:
    """Fit the model's pipeline; the same rows and the same choice give the same bits.

    Besides, what `fit` and `row_weights` raise.

    :param model: the model, as its recipe declares it
    :param rows: rows of a training frame: partition, features and target
    :param chosen: the estimator and its parameters; None: what model.yaml settles
    :returns: the fitted pipeline
    :raises DataError: when there are no rows, early stopping leaves none to fit on, or a classification finds but one class in them
    """
    pipeline = build_pipeline(model, chosen)
    rows = learnable(model, rows)
    features, name = model.feature_names, type(pipeline[-1]).__name__
    judges = None
    if model.train.early_stop is not None:
        rows, judging = newest_apart(model, rows, model.train.early_stop.holdout)
        rows = learnable(model, rows)
        judges = (features_of(judging, features), judging[TARGET].to_numpy())
        _refuse_one_class(model, judging, f"{name} cannot be told when to stop by", "a longer train.early_stop.holdout")
    if not len(rows):
        raise DataError(f"{model.name}: there are no rows to fit on. Choose a longer train.window, or a shorter holdout.")
    ways = ["a longer train.window"]
    if model.train.tune is not None:
        ways.append("fewer train.tune.folds")
    if model.train.early_stop is not None:
        ways.append("a shorter train.early_stop.holdout")
    _refuse_one_class(model, rows, f"{name} cannot learn from", *ways)
    with one_thread():
        fit(pipeline, model, features_of(rows, features), rows[TARGET].to_numpy(), weights=row_weights(model, rows), judges=judges)
    return pipeline


def learnable(model: ModelConfig, rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out what no class can be learned from.

    :param model: the model, as its recipe declares it
    :param rows: rows of a training frame
    :returns: of several classes the rows of those that are declared, if any are, and have ``target.min_class_rows`` rows; else all
    """
    if model.task != "multiclass":
        return rows
    counts = rows[TARGET].value_counts()
    common = counts.index[counts >= model.target.min_class_rows]
    return rows[rows[TARGET].isin([text for text in common if not model.target.classes or text in model.target.class_texts])]


def newest_apart(model: ModelConfig, rows: pd.DataFrame, span: Span) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a training frame by time.

    :param model: whose partitions they are
    :param rows: rows of a training frame, in any order
    :param span: how long before the end of the newest partition the second part begins, by the schedule; partitions without rows count
    :returns: the older rows, and the newest ones
    """
    if not len(rows):
        return rows, rows
    newest = rows[PARTITION] >= model.calendar.first_of(rows[PARTITION].max(), span)
    return rows[~newest], rows[newest]


def _refuse_one_class(model: ModelConfig, rows: pd.DataFrame, what: str, *ways: str) -> None:
    """Libraries either say so in words of their own, or learn a model that knows no other class, or stop at once."""
    if model.task == "regression" or rows[TARGET].nunique() != 1:
        return
    days, only = rows[PARTITION], rows[TARGET].iloc[0]
    if model.task == "multiclass":
        told, other, needed = f"are of the class {only!r}", "another target.column", "rows of two classes at least"
    else:
        told, needed = f"have the target {only:g}", "both 0 and 1"
        other = f"another target.{'positive_above' if model.target.positive is None else 'positive'}"
    raise DataError(
        f"{model.name}: {what} the {len(rows)} rows of {days.min()} to {days.max()}: all {told}, and a "
        f"{model.task} needs {needed}. Choose {', or '.join([*ways, other])}."
    )
