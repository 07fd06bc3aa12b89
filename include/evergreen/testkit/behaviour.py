"""Building blocks for a model's own `checks.py`: behavioural tests (invariance, direction, minimum cases).

A `checks.py` sets CHECKS to a list of these. Each is tried on the holdout's features (a frame of what model.yaml declares), with
predictions as they are served: chances for a classification, those of each class where there are several, the target's unit for a
regression.

    CHECKS = [
        invariance("a mile more hardly counts", lambda rows: rows.assign(distance=rows["distance"] + 1), at_most=0.01),
        direction("later in the day is later", lambda rows: rows.assign(departure_hour=rows["departure_hour"] + 3), up=True),
        must_pass("a calm morning", {"departure_hour": 6, "cancelled_rate_1d": 0}, at_most=0.5),
    ]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Change = Callable[["pd.DataFrame"], "pd.DataFrame"]
Predict = Callable[["pd.DataFrame"], "np.ndarray | pd.DataFrame"]  # of several classes a frame with a column for each


@dataclass(frozen=True)
class BehaviourResult:
    """How one check came out: ``value`` is what it measured, ``message`` says it with what is allowed."""

    passed: bool
    value: float
    message: str


@dataclass(frozen=True)
class Check:
    """A promise by name. ``examine`` gets a way to predict and rows with all features."""

    name: str
    examine: Callable[[Predict, pd.DataFrame], BehaviourResult]


def invariance(name: str, change: Change, *, at_most: float, share: float = 1.0, of: str | None = None) -> Check:
    """A check that a change of the rows hardly moves the predictions.

    Raises `ValueError` for a share that is none; what tries the check raises it when ``change`` drops or adds rows or columns.

    :param name: what the check is called in a decision
    :param change: gets a copy of the rows, and gives them changed, with the same rows and columns in their order
    :param at_most: how far a prediction may move: as a probability for a classification, in the target's unit for a regression
    :param share: the share of the predictions that must keep to it, above 0 and at most 1
    :param of: of several classes, the one whose probability it is about; None: whichever moves farthest
    :returns: the check, for CHECKS
    """
    _refuse_a_bad_share(name, share)

    def examine(predict: Predict, rows: pd.DataFrame) -> BehaviourResult:
        before, after = predict(rows), _changed(predict, change, rows)
        if of is None and not isinstance(before, np.ndarray):
            moved = np.abs(after.to_numpy() - before.to_numpy()).max(axis=1)  # type: ignore[union-attr]
        else:
            moved = np.abs(_chances(after, of) - _chances(before, of))
        kept = float((moved <= at_most).mean())
        message = (
            f"{kept:.1%} of {len(rows)} predictions move by at most {at_most:g} (the farthest by {moved.max():.4g}); needed: {share:.1%}"
        )
        return BehaviourResult(kept >= share, kept, message)

    return Check(name, examine)


def direction(name: str, change: Change, *, up: bool, share: float = 0.95, of: str | None = None) -> Check:
    """A check that a change of the rows moves the predictions one way, or leaves them where they are.

    Raises `ValueError` for a share that is none; what tries the check raises it when ``change`` drops or adds rows or columns.

    :param name: what the check is called in a decision
    :param change: gets a copy of the rows, and gives them changed, with the same rows and columns in their order
    :param up: whether predictions must not fall; else they must not rise
    :param share: the share of the predictions that must keep to it, above 0 and at most 1
    :param of: of several classes, the one whose probability it is about
    :returns: the check, for CHECKS
    """
    _refuse_a_bad_share(name, share)

    def examine(predict: Predict, rows: pd.DataFrame) -> BehaviourResult:
        before, after = _chances(predict(rows), of), _chances(_changed(predict, change, rows), of)
        right = float(((after >= before) if up else (after <= before)).mean())
        message = f"{right:.1%} of {len(rows)} predictions do not go {'down' if up else 'up'}; needed: {share:.1%}"
        return BehaviourResult(right >= share, right, message)

    return Check(name, examine)


def must_pass(
    name: str, features: Mapping[str, Any], *, at_least: float | None = None, at_most: float | None = None, of: str | None = None
) -> Check:
    """A check of a case that anybody can judge: with these features in every row, the mean prediction is within bounds.

    What tries the check raises `KeyError` for a feature that the model does not declare.

    :param name: what the check is called in a decision
    :param features: the values of some features, by name; the others stay those of the rows
    :param at_least: the lower bound: a probability for a classification, in the target's unit for a regression; None: no bound
    :param at_most: the upper bound, in the same unit; None: no bound
    :param of: of several classes, the one whose probability it is about
    :returns: the check, for CHECKS
    :raises ValueError: when neither bound is given
    """
    if at_least is None and at_most is None:
        raise ValueError(f"must_pass({name!r}) needs at_least, at_most or both")
    low, high = -np.inf if at_least is None else at_least, np.inf if at_most is None else at_most

    def examine(predict: Predict, rows: pd.DataFrame) -> BehaviourResult:
        if unknown := sorted(set(features) - set(rows.columns)):
            raise KeyError(f"no such feature: {', '.join(unknown)}; there are: {', '.join(map(str, rows.columns))}")
        case = rows.assign(**features).astype(rows.dtypes.to_dict())
        value = float(_chances(predict(case), of).mean())
        bounds = " and ".join(f"at {side} {bound:g}" for side, bound in (("least", at_least), ("most", at_most)) if bound is not None)
        return BehaviourResult(bool(low <= value <= high), value, f"the mean prediction is {value:.4g}; it must be {bounds}")

    return Check(name, examine)


def _chances(predicted: np.ndarray | pd.DataFrame, of: str | None) -> np.ndarray:
    """One number a row. Raises `ValueError` unless the class is named where there are several, and there alone."""
    if isinstance(predicted, np.ndarray):
        if of is not None:
            raise ValueError(f"of={of!r} names a class, and the model is not of several classes; remove it")
        return predicted
    if of not in predicted.columns:
        raise ValueError(f"of={of!r} is no class of the version; give one of: {', '.join(map(str, predicted.columns))}")
    return np.asarray(predicted[of], dtype="float64")


def _changed(predict: Predict, change: Change, rows: pd.DataFrame) -> np.ndarray | pd.DataFrame:
    changed = change(rows.copy())
    if len(changed) != len(rows) or list(changed.columns) != list(rows.columns):
        raise ValueError("the change must keep the rows and the columns, in their order")
    return predict(changed.astype(rows.dtypes.to_dict()))


def _refuse_a_bad_share(name: str, share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"{name!r}: share is {share:g}; give a share of the rows, above 0 and at most 1")
