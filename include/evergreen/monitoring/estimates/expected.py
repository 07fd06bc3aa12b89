"""Metrics of a classification whose labels are known by their probabilities alone.

Of probabilities p, what `training.metrics.sums` adds up for a row is expected to be p times its value if the row is positive, and 1 - p
times its value if not; the metric is made of the expected sums. That is the expected confusion of CBPE (NannyML, "How it works:
Confidence-based Performance Estimation"). Of probabilities that are 0 or 1 it is the metric itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from include.evergreen.training.metrics import Measures, sums

Expected = Callable[[np.ndarray], np.ndarray]  # from several sets of probabilities x rows to one value for each set; NaN where undefined


def expected_metric(measures: Measures, name: str, predicted: np.ndarray) -> Expected | None:
    """Find how a metric is expected of probabilities.

    :param measures: the version's metrics
    :param name: one of them
    :param predicted: the version's own probability of each row, by which it is measured
    :returns: what gives the expected metric of each set of probabilities; None of a metric that has no expectation
    """
    if name == "auc":
        return _auc(predicted)
    if name == "average_precision":
        return _average_precision(predicted)
    if_negative = sums(measures, name, np.zeros(len(predicted)), predicted)
    if_positive = sums(measures, name, np.ones(len(predicted)), predicted)
    if measures.own(name) is not None or if_negative is None or if_positive is None:
        return None
    (negative, finish), positive = if_negative, np.stack(if_positive[0], axis=1)
    base = np.stack(negative, axis=1)

    def expected(probabilities: np.ndarray) -> np.ndarray:
        totals = probabilities @ (positive - base) + base.sum(axis=0)
        rows = np.full((len(probabilities), 1), float(probabilities.shape[1]))
        with np.errstate(invalid="ignore", divide="ignore"):
            return finish(np.concatenate([totals, rows], axis=1))

    return expected


def _auc(predicted: np.ndarray) -> Expected:
    """Pairs of different rows in the right order, ties by half, over all such pairs of a positive and a negative row.

    Of T expected positives, pairs of two positives are half of T^2 less the sum of p^2, whatever the order.
    """
    from scipy.stats import rankdata

    below = rankdata(predicted) - 1  # other rows with a lower score, and half of those with the same

    def expected(probabilities: np.ndarray) -> np.ndarray:
        positive, squares = probabilities.sum(axis=1), (probabilities**2).sum(axis=1)
        pairs = positive * (probabilities.shape[1] - positive) - (positive - squares)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(pairs > 1e-9, (probabilities @ below - (positive**2 - squares) / 2) / pairs, np.nan)

    return expected


def _average_precision(predicted: np.ndarray) -> Expected:
    order = np.argsort(-predicted, kind="stable")
    last = np.flatnonzero(np.append(np.diff(predicted[order]) != 0, True))  # of each threshold
    called = last + 1.0

    def expected(probabilities: np.ndarray) -> np.ndarray:
        hits = np.cumsum(probabilities[:, order], axis=1)[:, last]
        gained = np.diff(hits, axis=1, prepend=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision: np.ndarray = (gained * hits / called).sum(axis=1) / hits[:, -1]
        return precision

    return expected
