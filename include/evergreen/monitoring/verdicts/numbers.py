"""Compares a number of a window with its reference: how far it moved, and whether that can be chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from include.evergreen.monitoring.profiles import NumericColumn
from include.evergreen.monitoring.verdicts import measures
from include.evergreen.monitoring.verdicts.measures import Steps
from include.evergreen.monitoring.verdicts.units import Contrast, Side, compare_shares, contrast

TAIL = 0.1  # the reference's share at either end from where on values are taken for exponentially distributed
FARTHEST = 6.0  # normal scores end here: ten absurd values among a thousand say little, a whole partition of them much
LEAST_FOR_SHAPE = 30  # effective rows of the window from which the means of skewed scores are near enough to normal
COARSE = 10  # cells of equal shares of the reference, for the measures that need cells


@dataclass(frozen=True)
class Finding:
    """One comparison of one column: ``aspect`` says of what, ``limit`` from which effect on it matters."""

    aspect: str
    effect: float
    limit: float
    p_value: float


def compare_values(reference: NumericColumn, current: NumericColumn, limit: float) -> tuple[Finding, dict[str, float], float]:
    """Compare the finite values of a column; both sides have some, and the reference has two different ones.

    :param reference: the champion's
    :param current: the window's, on the same bins
    :param limit: the Wasserstein distance, in deviations of the reference, that matters
    :returns: the finding, all measures by name, and how alike the rows of a partition are (the intraclass correlation)
    """
    from scipy import special

    before, now = _steps(reference), _steps(current)
    moved = measures.wasserstein(before, now) / before.deviation
    ranks = _ranks(before.counts)
    sides = Side.of(reference.counts, ranks), Side.of(current.counts, ranks)
    by_rank = contrast(*sides)
    independent, seen = (side.effective_rows(by_rank.likeness) for side in sides)
    scored = [_normal_scores(before, side, ranks, independent) for side in (before, now)]
    found = [contrast(Side.of(reference.counts, scored[0]), Side.of(current.counts, scored[1]))]
    for degree in (2, 3, 4) if seen >= LEAST_FOR_SHAPE else (2,):  # spread, skewness, tails, by bounded scores (Neyman 1937)
        scores = special.eval_legendre(degree, 2 * ranks - 1)
        found.append(contrast(Side.of(reference.counts, scores), Side.of(current.counts, scores)))
    cells = [_coarse(side.counts, ranks) for side in (before, now)]
    figures = {
        "wasserstein": moved,
        "kolmogorov_smirnov": measures.kolmogorov_smirnov(before.counts, now.counts),
        "jensen_shannon": measures.jensen_shannon(*cells),
        "population_stability": measures.population_stability(*cells),
    }
    return Finding("values", moved, limit, _together(found)), figures, by_rank.likeness


def compare_constant(reference: NumericColumn, current: NumericColumn, limit: float) -> tuple[Finding, dict[str, float], float]:
    """Compare with a reference that has one value alone, in no unit of which a distance could be told: how many rows left it.

    :param reference: the champion's, with one value
    :param current: the window's, on the same bins
    :param limit: the Jensen-Shannon distance that matters
    :returns: the finding, all measures by name, and 0
    """
    same = int(np.argmax(reference.counts.sum(axis=0)))
    others = [np.stack([side.counts[:, same], side.counts.sum(axis=1) - side.counts[:, same]]) for side in (reference, current)]
    sides = [Side.share(each[1], each.sum(axis=0)) for each in others]
    p_value, _ = compare_shares(sides[0], sides[1], likeness=0.0)
    before, now = (each.sum(axis=1) for each in others)
    apart = measures.jensen_shannon(before, now)
    figures = {"jensen_shannon": apart, "total_variation": measures.total_variation(before, now)}
    return Finding("values", apart, limit, p_value), figures, 0.0


def compare_lost(reference: NumericColumn, current: NumericColumn, limit: float) -> Finding | None:
    """Compare how many rows have no finite value.

    :param reference: the champion's
    :param current: the window's
    :param limit: the Jensen-Shannon distance that matters
    :returns: the finding, which is sure where one side has no value at all; None where neither side lost any
    """
    before, now = Side.share(reference.lost, reference.rows), Side.share(current.lost, current.rows)
    if before.mean == now.mean == 0:
        return None
    apart = measures.jensen_shannon(*(np.array([side.mean, 1 - side.mean]) for side in (before, now)))
    p_value, _ = compare_shares(before, now, likeness=0.0)
    if (before.mean == 1) != (now.mean == 1):
        p_value = 0.0  # nothing is left to compare, whatever chance may be
    return Finding("missing", apart, limit, p_value)


def is_constant(column: NumericColumn) -> bool:
    """Whether a column has one value alone.

    :param column: with at least one finite value
    :returns: whether all of its finite values are the same
    """
    return bool(np.nanmin(column.least) == np.nanmax(column.greatest))


def _together(found: list[Contrast]) -> float:
    """Bonferroni's p-value of those that can differ at all."""
    told = [each.p_value for each in found if each.variance > 0 or each.difference]
    return min(1.0, len(told) * min(told)) if told else 1.0


def _steps(column: NumericColumn) -> Steps:
    """The mean of each bin; where a sum is more than a float holds, the edge nearest to the middle."""
    counts, edges = column.counts.sum(axis=0), column.bins.edges
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        values = column.sums.sum(axis=0) / counts + column.bins.origin
    nearest = np.concatenate([[edges[0]], edges])
    low, high = np.concatenate([[-np.inf], edges]), np.concatenate([edges, [np.inf]])
    return Steps(np.where(np.isfinite(values), values.clip(low, high), nearest), counts)


def _ranks(counts: np.ndarray) -> np.ndarray:
    """Of each bin, the share of the reference below its middle."""
    return np.asarray((np.cumsum(counts) - counts / 2) / counts.sum())


def _normal_scores(reference: Steps, side: Steps, ranks: np.ndarray, independent: float) -> np.ndarray:
    """Where values of each bin would lie if the reference were normal.

    Beyond the reference's tenths, by how far they are beyond, and how much that says given the few rows that are there: the predictive
    distribution of exponential excesses of which the mean is estimated (Lomax).
    """
    from scipy import special

    rank = ranks.clip(0.5 / (independent + 1), 1 - 0.5 / (independent + 1))
    scores = special.ndtri(rank)
    for sign in (1, -1):
        tail_ranks = ranks if sign > 0 else 1 - ranks
        beyond = tail_ranks >= 1 - TAIL
        inside = (reference.counts > 0) & ~beyond
        if not inside.any() or not beyond.any():
            continue
        start = sign * (sign * reference.values[inside]).max()
        weights = np.where(beyond, reference.counts, 0)
        mass = weights.sum() / reference.rows
        excess = sign * (side.values - start)
        mean = float(weights @ (sign * (reference.values - start))) / weights.sum() if mass else reference.deviation
        units = max(mass * independent, 1.0)
        share = (mass * independent + 1) / (independent + 1)
        with np.errstate(over="ignore", invalid="ignore"):
            log_tail = math.log(share) - units * np.log1p(np.maximum(excess, 0) / (units * mean))
        scores[beyond] = sign * -special.ndtri_exp(log_tail[beyond])
    return np.asarray(np.nan_to_num(scores, nan=0.0, posinf=FARTHEST, neginf=-FARTHEST).clip(-FARTHEST, FARTHEST))


def _coarse(counts: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    return np.bincount((ranks * COARSE).astype(int).clip(0, COARSE - 1), weights=counts, minlength=COARSE)
