"""Feature contributions to each prediction: Shapley values against the typical row of the training.

A prediction is set against that of the typical row (each number its median, each category its most frequent). The
difference is shared out among the features: a feature's share is its mean effect over the orders in which the row's values
can take the typical ones' place, one after the other (Shapley 1953; Strumbelj & Kononenko 2014). The shares always add up to the
prediction minus the typical row's. `docs/decisions/how-predictions-are-explained.md` says why, and what it costs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from math import factorial
from operator import or_
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.config import ModelConfig
from include.evergreen.features.columns import contribution_column, feature_column
from include.evergreen.foundation.errors import DataError
from include.evergreen.serving.inference import as_fitted, classes_of
from include.evergreen.serving.likeliest import decided, probability
from include.evergreen.state import storage
from include.evergreen.training.fit_job import typical_row
from include.evergreen.training.pipeline import predict

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)
MOST_EXACT = 7  # features up to which all orders count: 2^7 predictions a row are about what sampling costs beyond that
PAIRS = 8  # of orders that are sampled beyond that, each with its reverse
SEED = 20130209  # the same orders for every row, every day: a row that is scored again is explained again as it was
ROWS_AT_ONCE = 100_000


def explained(model: ModelConfig, pipeline: Pipeline, features: pd.DataFrame, reference_path: str) -> pd.DataFrame | None:
    """Explain predictions against the typical row of the version's reference sample.

    :param model: the model, as the version's recipe declares it
    :param pipeline: the version's fitted pipeline
    :param features: the features that were scored, one row each
    :param reference_path: where the storage keeps the reference sample
    :returns: the `contributions`; None, and a warning, when the sample is lost, as scoring does not wait for what only explains it
    """
    try:
        reference = storage.read_frame(reference_path, [feature_column(name) for name in model.feature_names])
    except DataError as error:
        log.warning("%s: its predictions are stored without contributions: %s", model.name, error)
        return None
    return contributions(model, pipeline, features, typical_row(model, reference))


def contributions(model: ModelConfig, pipeline: Pipeline, features: pd.DataFrame, typical: pd.DataFrame) -> pd.DataFrame:
    """Share out each prediction's difference from the typical row's among the features.

    :param model: the model, as the version's recipe declares it
    :param pipeline: the version's fitted pipeline
    :param features: the features that were scored, one row each
    :param typical: a frame of one row, which is what a feature's value is set against
    :returns: one column a feature, named as `contribution_columns` says, one row for each of ``features``, in the prediction's own
        unit; of a classification that is the probability: what is shared out is the number that is logged; of several classes that of the
        class that is predicted
    """
    exact = len(model.features) <= MOST_EXACT
    return exact_contributions(model, pipeline, features, typical) if exact else sampled_contributions(model, pipeline, features, typical)


def sampled_contributions(model: ModelConfig, pipeline: Pipeline, features: pd.DataFrame, typical: pd.DataFrame) -> pd.DataFrame:
    """As `contributions`, over `PAIRS` orders and their reverses: at most 2 x `PAIRS` x features predictions a row.

    A reverse makes up for much of its order's error, since a feature that came early comes late (antithetic sampling: Mitchell,
    Cooper, Frank & Holmes, "Sampling Permutations for Shapley Value Estimation", 2022).

    :param model: the model, as the version's recipe declares it
    :param pipeline: the version's fitted pipeline
    :param features: the features that were scored, one row each
    :param typical: a frame of one row, which is what a feature's value is set against
    :returns: as `contributions`; the same for the same row each time
    """
    count = len(model.features)
    random = np.random.default_rng(SEED)
    sampled = [random.permutation(count).tolist() for _ in range(PAIRS)]
    orders = [order for forwards in sampled for order in (forwards, forwards[::-1])]
    coalitions = sorted({coalition for order in orders for coalition in _growing(order)})  # each is predicted once
    values = _values(model, pipeline, features, typical, coalitions)
    shares = np.zeros((count, len(features)))
    for order in orders:
        for feature, (coalition, grown) in zip(order, pairwise(_growing(order)), strict=True):
            shares[feature] += values[grown] - values[coalition]
    return _frame(model, shares / len(orders), features)


def exact_contributions(model: ModelConfig, pipeline: Pipeline, features: pd.DataFrame, typical: pd.DataFrame) -> pd.DataFrame:
    """As `contributions`, over all orders: 2^features predictions a row.

    By the sum over coalitions of the others, each with the share of the orders in which just these come first (Shapley, "A Value
    for n-Person Games", 1953).

    :param model: the model, as the version's recipe declares it
    :param pipeline: the version's fitted pipeline
    :param features: the features that were scored, one row each
    :param typical: a frame of one row, which is what a feature's value is set against
    :returns: as `contributions`
    """
    count = len(model.features)
    values = _values(model, pipeline, features, typical, range(2**count))
    weights = [factorial(size) * factorial(count - size - 1) / factorial(count) for size in range(count)]
    shares = np.zeros((count, len(features)))
    for coalition in range(2**count):
        for feature in range(count):
            if not coalition >> feature & 1:
                shares[feature] += weights[coalition.bit_count()] * (values[coalition | 1 << feature] - values[coalition])
    return _frame(model, shares, features)


def contribution_columns(model: ModelConfig) -> list[str]:
    """Name the columns of the predictions that hold the contributions.

    :param model: the model, as the version's recipe declares it
    :returns: the names, in the order of the declared features
    """
    return [contribution_column(feature.name) for feature in model.features]


def _frame(model: ModelConfig, shares: np.ndarray, features: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(dict(zip(contribution_columns(model), shares, strict=True)), index=features.index)


def _growing(order: Sequence[int]) -> Iterator[int]:
    """The sets of features (bits) that have taken their turn, from none to all of them."""
    return accumulate((1 << feature for feature in order), or_, initial=0)


def _values(
    model: ModelConfig, pipeline: Pipeline, features: pd.DataFrame, typical: pd.DataFrame, coalitions: Sequence[int]
) -> dict[int, np.ndarray]:
    """For each coalition the predictions, one a row, when its features have the row's values and all others the typical ones."""
    names = model.feature_names
    own, absent = as_fitted(features[names]), as_fitted(typical[names])
    values: dict[int, np.ndarray] = {}
    called = decided(predict(pipeline, model, features[names])) if model.task == "multiclass" else None
    at_once = max(1, ROWS_AT_ONCE // max(1, len(own)))
    for first in range(0, len(coalitions), at_once):
        batch = coalitions[first : first + at_once]
        predicted = predict(pipeline, model, _mixed(own, absent, batch))
        if called is not None:
            known = np.ones(len(classes_of(pipeline)), dtype=bool)
            predicted = probability(predicted, np.tile(called, len(batch)), known)
        values.update(zip(batch, predicted.reshape(len(batch), len(own)), strict=True))
    return values


def _mixed(own: pd.DataFrame, absent: pd.DataFrame, coalitions: Sequence[int]) -> pd.DataFrame:
    """All rows of ``own`` once for each coalition, one after the other."""
    import pandas as pd

    columns = {}
    for number, name in enumerate(own.columns):
        is_own = np.array([bool(coalition >> number & 1) for coalition in coalitions])[:, None]
        columns[name] = np.where(is_own, own[name].to_numpy()[None, :], absent[name].to_numpy()[0]).ravel()
    return pd.DataFrame(columns)
