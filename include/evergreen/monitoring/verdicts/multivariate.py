"""Whether a window can be told from the reference by its columns together: a change of how they go together, which none shows alone.

A classifier tells rows of the reference from those of the window, by each column and by the product of any two; it is judged on
partitions that it was not fitted on (Lopez-Paz and Oquab 2017). By chance, and because partitions differ, it tells some partitions of
the reference from the others, too. The window is held against how well it tells as many of them in a row (a test of cyclic shifts). So
partitions are the units, whatever their rows share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from include.evergreen.monitoring.profiles import CategoryColumn, NumericColumn, Profile
from include.evergreen.monitoring.profiles.columns import Column
from include.evergreen.monitoring.profiles.sample import MISSING
from include.evergreen.monitoring.verdicts.units import Side, contrast
from include.evergreen.serving.inference import one_thread

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

LEVEL = 0.05
SHIFTS = 39  # windows of the reference that are told apart, at most
LEAST_PARTITIONS = 20  # of the reference: with fewer, no p-value is below LEVEL
LEAST_ROWS = 30  # of the window's sample, half of them in either fold
MOST_NUMBERS = 4_000_000  # rows times what is known of each
MOST_ROWS = 5_000
MOST_INPUTS = 100  # columns, and cells of categories
CHOSEN = 16  # of the inputs and their products, by which a classifier tells rows apart: those that differ most where it is fitted
ALIKE = 0.5  # likeness within a partition from which a column names its partition, and says nothing of others
RARE = 0.02  # share of a cell below which it is no input
HEAVIEST = 3  # cells of a category that are inputs
FARTHEST = 2.5  # normal scores end here

State = Literal["drifted", "alike", "not enough rows"]


@dataclass(frozen=True)
class MultivariateVerdict:
    """``auc`` is how often the classifier gives a row of the window more than one of the reference: .5 where they cannot be told apart.

    It is None where nothing is said, and ``message`` says why; ``p_value`` is None where ``auc`` does not matter. ``telling`` names the
    columns, and pairs of them, that tell most.
    """

    state: State
    auc: float | None = None
    p_value: float | None = None
    telling: tuple[str, ...] = ()
    message: str = ""


def judge_together(reference: Profile, current: Profile, limit: float) -> MultivariateVerdict:
    """Judge the columns of a window together.

    :param reference: the champion's, from `profile_reference`
    :param current: of the window's partitions, counted on that reference
    :param limit: the area under the curve (AUC) that matters
    :returns: the verdict; the same for the same profiles
    """
    before, now = (side.sample.pick(np.flatnonzero(side.sample.sizes)) for side in (reference, current))
    partitions, count = len(before.sizes), len(now.sizes)
    if partitions < LEAST_PARTITIONS or not count:
        return _not_enough(f"the reference has rows of {partitions} days, and {LEAST_PARTITIONS} are needed")
    rows = int(np.median(before.sizes))  # as many of each, or the window would be told by being larger
    inputs = _inputs(reference, current, before.first(rows).merge(now.first(rows)).codes)
    if not inputs:
        return _not_enough("no column differs within a day")
    rows = min(rows, MOST_ROWS // (partitions + count), MOST_NUMBERS // (len(inputs) * (len(inputs) + 1) // 2) // (partitions + count))
    now = now.first(rows)
    if min(now.sizes[::2].sum(), now.sizes[1::2].sum() if count > 1 else now.sizes[0] // 2) < LEAST_ROWS // 2:
        return _not_enough(f"the reference has {rows} rows of a day, so as many of each of the {count} days of the window are compared")
    sample = before.first(rows).merge(now)
    tellers = _Tellers.of(inputs, sample.codes, sample.sizes)
    theirs = np.arange(partitions + count) >= partitions
    with one_thread():
        auc = tellers.auc(theirs)
        if auc < limit:
            return MultivariateVerdict("alike", auc)
        p_value = _p_value(tellers, auc, partitions, count)
    state: State = "drifted" if p_value < LEVEL else "alike"
    return MultivariateVerdict(state, auc, p_value, tuple(tellers.telling(theirs)) if state == "drifted" else ())


def _not_enough(message: str) -> MultivariateVerdict:
    return MultivariateVerdict("not enough rows", message=message)


def _p_value(tellers: _Tellers, auc: float, partitions: int, count: int) -> float:
    """The rank of the window among as many days in a row of the reference, taken as a circle.

    It ends as soon as it cannot be below LEVEL (Besag and Clifford 1991): most windows are like others, and that is soon seen.
    """
    starts = np.random.default_rng(0).permutation(partitions)[:SHIFTS]
    above = 0
    for done, start in enumerate(starts, start=1):
        shifted = np.zeros(partitions + count, bool)
        shifted[(start + np.arange(count)) % partitions] = True
        above += tellers.auc(shifted) >= auc
        if above + 1 >= LEVEL * (len(starts) + 1):
            return (above + 1) / (done + 1)
    return (above + 1) / (len(starts) + 1)


@dataclass(frozen=True)
class _Input:
    """What a classifier is given of a column: ``scores`` by code."""

    name: str
    place: int
    scores: np.ndarray


def _inputs(reference: Profile, current: Profile, codes: np.ndarray) -> list[_Input]:
    """Scored by the rows of both sides, since partitions of either must be told by the same measure."""
    found = [
        each
        for place, (name, column) in enumerate(reference.columns.items())
        for each in _of_column(name, place, column, current.columns[name], np.bincount(codes[:, place], minlength=MISSING + 1))
    ]
    return found[:MOST_INPUTS]


def _of_column(name: str, place: int, before: Column, now: Column, seen: np.ndarray) -> Iterator[_Input]:
    from scipy import special

    if isinstance(before, NumericColumn) and isinstance(now, NumericColumn):
        counts = seen[: before.bins.count]
        if np.count_nonzero(counts) > 1 and before.counts.sum() and now.counts.sum():
            ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
            if not _is_alike(before.counts, now.counts, ranks):
                scores = np.zeros(MISSING + 1)  # missing: as the median
                scores[: len(ranks)] = special.ndtri(ranks.clip(1e-9, 1 - 1e-9)).clip(-FARTHEST, FARTHEST)
                yield _Input(name, place, scores)
    elif isinstance(before, CategoryColumn) and isinstance(now, CategoryColumn):
        shares = seen[: before.cells.count] / seen.sum()
        for cell in np.argsort(-shares, kind="stable")[:HEAVIEST]:
            scores = np.zeros(MISSING + 1)
            scores[cell] = 1.0
            cells = scores[: before.cells.count]
            if RARE <= shares[cell] <= 1 - RARE and not _is_alike(before.counts, now.counts, cells):
                spread = np.sqrt(shares[cell] * (1 - shares[cell]))
                yield _Input(f"{name} {before.cells.names[cell]}", place, (scores - shares[cell]) / spread)


def _is_alike(before: np.ndarray, now: np.ndarray, scores: np.ndarray) -> bool:
    return contrast(Side.of(before, scores), Side.of(now, scores)).likeness > ALIKE


@dataclass(frozen=True)
class _Tellers:
    """Tells any choice of partitions from the others.

    ``values`` of each input or product by row; rows are in the order of their halves of partitions, of which there are two each.
    """

    names: list[str]
    values: np.ndarray
    half: np.ndarray

    @classmethod
    def of(cls, inputs: list[_Input], codes: np.ndarray, sizes: np.ndarray) -> _Tellers:
        ends = np.cumsum(sizes)
        place = np.arange(len(codes)) - np.repeat(ends - sizes, sizes)
        half = 2 * np.repeat(np.arange(len(sizes)), sizes) + (place >= np.repeat(sizes, sizes) / 2)
        single = np.stack([each.scores[codes[:, each.place]] for each in inputs]).astype(np.float32)
        values = [single, *(single[:number] * single[number] for number in range(1, len(inputs)))]
        names = [each.name for each in inputs]
        pairs = [f"{names[number]} with {name}" for number in range(1, len(inputs)) for name in names[:number]]
        return cls(names + pairs, np.concatenate(values), half)

    @cached_property
    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Add up each half.

        :returns: the sums by half and input or product, and the rows of each half
        """
        rows = np.bincount(self.half, minlength=self.half.max() + 1)
        sums = np.zeros((len(rows), len(self.values)))
        filled = np.flatnonzero(rows)
        sums[filled] = np.add.reduceat(self.values, (np.cumsum(rows) - rows)[filled], axis=1).T
        return sums, rows

    def auc(self, theirs: np.ndarray) -> float:
        """How well a classifier tells some partitions from the others, on those that it was not fitted on.

        :param theirs: which partitions are told; of a single one, half of its rows are in each fold
        :returns: the area under the curve, the mean of two folds
        """
        found = []
        for fold in (0, 1):
            fitted = self._fitted(theirs, fold)
            is_fitted, labels = fitted[self.half], theirs[self.half // 2]
            values = self.values[self._differing(theirs, fitted)[:CHOSEN]].T
            classifier = _classifier().fit(values[is_fitted], labels[is_fitted])
            found.append(_auc(labels[~is_fitted], classifier.decision_function(values[~is_fitted])))
        return float(np.mean(found))

    def telling(self, theirs: np.ndarray) -> list[str]:
        """Name the columns or pairs that differ most.

        :param theirs: which partitions are told
        :returns: three, the most telling first
        """
        return [self.names[number] for number in self._differing(theirs, np.ones(2 * len(theirs), bool))[:3]]

    def _fitted(self, theirs: np.ndarray, fold: int) -> np.ndarray:
        """Which halves a classifier is fitted on: every other partition of either side."""
        number = np.where(theirs, np.cumsum(theirs), np.cumsum(~theirs))
        fitted = np.repeat(number % 2 == fold, 2)
        if theirs.sum() == 1:
            fitted[2 * np.flatnonzero(theirs)[0] + np.arange(2)] = [fold == 0, fold == 1]
        return fitted

    def _differing(self, theirs: np.ndarray, fitted: np.ndarray) -> np.ndarray:
        """The numbers of what differs most between the sides by Student's statistic of partitions' means, the most first."""
        sums, rows = (each * fitted.reshape(-1, *[1] * (each.ndim - 1)) for each in self.halves)
        totals, counts = sums[::2] + sums[1::2], rows[::2] + rows[1::2]
        there = counts > 0
        means, is_theirs = totals[there] / counts[there, None], theirs[there]
        sides = [means[is_theirs], means[~is_theirs]]
        squares = sum(((side - side.mean(axis=0)) ** 2).sum(axis=0) for side in sides)
        noise = squares / max(len(means) - 2, 1) * (1 / len(sides[0]) + 1 / len(sides[1]))
        apart = np.abs(sides[0].mean(axis=0) - sides[1].mean(axis=0)) / np.sqrt(noise + 1e-12)
        return np.argsort(-apart, kind="stable")


def _auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """As scikit-learn has it, in a third of the time (Mann and Whitney 1947)."""
    from scipy import stats

    positive = int(labels.sum())
    return float(stats.rankdata(scores)[labels].sum() - positive * (positive + 1) / 2) / (positive * (len(labels) - positive))


def _classifier() -> ClassifierMixin:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1, priors=[0.5, 0.5])
