"""What each feature contributed to each prediction: Shapley values against the typical row of the training.

A prediction is set against that of the typical row (each number its median, each category its most frequent). The
difference is shared out among the features: a feature's share is its mean effect over the orders in which the row's values
can take the typical ones' place, one after the other (Shapley 1953; Strumbelj & Kononenko 2014). The shares add up to the
prediction less the typical row's, always. `docs/decisions/how-predictions-are-explained.md` says why, and what it costs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.config import ModelConfig
from include.evergreen.foundation.errors import DataError
from include.evergreen.serving.inference import as_fitted
from include.evergreen.state import storage
from include.evergreen.training.candidate import typical_row
from include.evergreen.training.pipeline import predict

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)
CONTRIBUTION = "contribution:"  # before a feature's name, as a column of the predictions
MOST_EXACT = 7  # features up to which all orders count: 2^7 predictions a row are about what sampling costs beyond that
PAIRS = 8  # of orders that are sampled beyond that, each with its reverse
SEED = 20130209  # the same orders for every row, every day: a row that is scored again is explained again as it was
ROWS_AT_ONCE = 100_000


def explained(model: ModelConfig, pipeline: Pipeline, features: pd.DataFrame, reference_path: str) -> pd.DataFrame | None:
    """`contributions`, against the typical row of the version's reference sample; None, and a warning, when that is lost.

    Scoring does not wait for what only explains it.
    """
    try:
        reference = storage.read_frame(reference_path, model.feature_names)
    except DataError as error:
        log.warning("%s: its predictions are stored without contributions: %s", model.name, error)
        return None
    return contributions(model, pipeline, features, typical_row(model, reference))


def contributions(model: ModelConfig, pipeline: Pipeline, features: pd.DataFrame, typical: pd.DataFrame) -> pd.DataFrame:
    """One column a feature, named as `contribution_columns` says, one row for each of ``features``, in the prediction's own unit.

    ``typical`` is one row. Of a classification the unit is the probability: what is shared out is the number that is logged.
    """
    exact = len(model.features) <= MOST_EXACT
    return exact_contributions(model, pipeline, features, typical) if exact else sampled_contributions(model, pipeline, features, typical)


def sampled_contributions(model: ModelConfig, pipeline: Pipeline, features: pd.DataFrame, typical: pd.DataFrame) -> pd.DataFrame:
    """As `contributions`, over `PAIRS` orders and their reverses: at most 2 x `PAIRS` x features predictions a row.

    A reverse makes up for much of its order's error, since a feature that came early comes late (Mitchell et al. 2022).
    """
    count = len(model.features)
    random = np.random.default_rng(SEED)
    sampled = [[int(each) for each in random.permutation(count)] for _ in range(PAIRS)]
    orders = [order for one in sampled for order in (one, one[::-1])]
    values = _values(model, pipeline, features, typical, _coalitions(orders))
    shares = np.zeros((count, len(features)))
    for order in orders:
        coalition = 0
        for feature in order:
            grown = coalition | 1 << feature
            shares[feature] += values[grown] - values[coalition]
            coalition = grown
    return _frame(model, shares / len(orders), features)


def exact_contributions(model: ModelConfig, pipeline: Pipeline, features: pd.DataFrame, typical: pd.DataFrame) -> pd.DataFrame:
    """As `contributions`, over all orders: 2^features predictions a row."""
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
    """The columns of the predictions that hold the contributions, in the order of the declared features."""
    return [f"{CONTRIBUTION}{feature.name}" for feature in model.features]


def _frame(model: ModelConfig, shares: np.ndarray, features: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(dict(zip(contribution_columns(model), shares, strict=True)), index=features.index)


def _coalitions(orders: Sequence[Sequence[int]]) -> list[int]:
    """The sets of features (bits) that have taken their turn at some moment of some order; each is predicted once."""
    found = {0}
    for order in orders:
        coalition = 0
        for feature in order:
            coalition |= 1 << feature
            found.add(coalition)
    return sorted(found)


def _values(
    model: ModelConfig, pipeline: Pipeline, features: pd.DataFrame, typical: pd.DataFrame, coalitions: Sequence[int]
) -> dict[int, np.ndarray]:
    """For each coalition the predictions, one a row, when its features have the row's values and all others the typical ones."""
    names = model.feature_names
    own, absent = as_fitted(features[names]), as_fitted(typical[names])
    values: dict[int, np.ndarray] = {}
    for some in _batches(coalitions, max(1, ROWS_AT_ONCE // max(1, len(own)))):
        predicted = predict(pipeline, model, _mixed(own, absent, some))
        values.update(zip(some, predicted.reshape(len(some), len(own)), strict=True))
    return values


def _mixed(own: pd.DataFrame, absent: pd.DataFrame, coalitions: Sequence[int]) -> pd.DataFrame:
    """All rows of ``own`` once for each coalition, one after the other."""
    import pandas as pd

    columns = {}
    for number, name in enumerate(own.columns):
        is_own = np.array([bool(coalition >> number & 1) for coalition in coalitions])[:, None]
        columns[name] = np.where(is_own, own[name].to_numpy()[None, :], absent[name].to_numpy()[0]).ravel()
    return pd.DataFrame(columns)


def _batches(coalitions: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for first in range(0, len(coalitions), size):
        yield coalitions[first : first + size]
