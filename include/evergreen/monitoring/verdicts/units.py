"""How sure a difference between reference and window is when rows of one partition are alike: partitions are the units that were drawn.

A figure of a side is the mean of a score over its rows. Its variance has two parts, estimated by analysis of variance: between the rows
of a partition, and between partitions (Kish 1965; Donner and Klar 2000). Where partitions do not differ more than chance makes
them, rows count in full; where each partition has one value, only partitions count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

FEW = 10.0  # effective rows below which a share is compared exactly, and not by a normal approximation


@dataclass(frozen=True)
class Contrast:
    """The difference of two means, window less reference, with its ``variance`` and that variance's degrees of ``freedom``.

    ``likeness`` is the intraclass correlation: the part of the variance of a row that its whole partition shares.
    """

    difference: float
    variance: float
    freedom: float
    likeness: float

    @property
    def p_value(self) -> float:
        """Two-sided, by Student's distribution (Satterthwaite 1946)."""
        from scipy import special

        if self.variance <= 0:
            return 1.0 if self.difference == 0 else 0.0
        return float(2 * special.stdtr(self.freedom, -abs(self.difference) / math.sqrt(self.variance)))


@dataclass(frozen=True)
class Between:
    """How partitions of one side differ: the mean ``square`` of their means, its degrees of ``freedom``, and their ``typical`` rows."""

    square: float
    freedom: int
    typical: float


@dataclass(frozen=True)
class Side:
    """A side's partitions: their rows, the sum of a score over each, and that of its squares. Those without rows are left out."""

    rows: np.ndarray
    sums: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray, scores: np.ndarray) -> Side:
        """Score the rows of a side by the bin that they are in.

        :param counts: rows by partition and bin
        :param scores: the score of each bin
        :returns: the side
        """
        rows = counts.sum(axis=1)
        filled = rows > 0
        counts = counts[filled]
        return cls(rows[filled].astype(np.float64), counts @ scores, counts @ scores**2)

    @classmethod
    def share(cls, hits: np.ndarray, rows: np.ndarray) -> Side:
        """Score rows by 1 for a hit and by 0 else.

        :param hits: of each partition, the rows that are hits
        :param rows: of each partition, all rows
        :returns: the side
        """
        filled = rows > 0
        counted = hits[filled].astype(np.float64)
        return cls(rows[filled].astype(np.float64), counted, counted)

    @property
    def total(self) -> float:
        """All rows."""
        return float(self.rows.sum())

    @property
    def mean(self) -> float:
        """The mean score of a row."""
        return float(self.sums.sum() / self.total)

    @property
    def concentration(self) -> float:
        """One by the number of partitions where they are of equal size; more where they are not."""
        return float((self.rows**2).sum() / self.total**2)

    def between(self, noise: float) -> Between:
        """How the partitions differ.

        :param noise: what a sum of squares that is 0 may be by rounding
        :returns: the parts of an analysis of variance that are between partitions, of which there are two at least
        """
        freedom = len(self.rows) - 1
        squares = float((self.rows * (self.sums / self.rows - self.mean) ** 2).sum())
        return Between(squares / freedom if squares > noise else 0.0, freedom, self.total * (1 - self.concentration) / freedom)

    def effective_rows(self, likeness: float) -> float:
        """How many independent rows would tell as much.

        :param likeness: the intraclass correlation
        :returns: the rows by the design effect; one for each partition where their rows are all alike
        """
        return self.total / (1 + (self.concentration * self.total - 1) * likeness)


def contrast(reference: Side, current: Side) -> Contrast:
    """Compare two means, with a variance that both sides' partitions are asked for.

    :param reference: with at least one row
    :param current: likewise; one partition will do, since partitions of the reference say how much partitions differ
    :returns: the difference and how sure it is
    """
    sides = reference, current
    noise = 1e-12 * sum(float(side.squares.sum()) for side in sides)  # what rounding leaves of a sum of squares that is 0
    within_squares = sum(float((side.squares - side.sums**2 / side.rows).sum()) for side in sides)
    within_freedom = sum(side.total - len(side.rows) for side in sides)
    within = within_squares / within_freedom if within_freedom and within_squares > noise else 0.0
    between = [side.between(noise) for side in sides if len(side.rows) > 1]
    between_freedom = sum(each.freedom for each in between)
    shared = _shared(within, within_freedom, between, between_freedom) if between_freedom else 0.0
    if not within_freedom:  # one row each: nothing says whether they would be alike
        within, within_freedom, shared = shared, between_freedom, 0.0
    of_rows = within * (1 / reference.total + 1 / current.total)
    of_partitions = shared * (reference.concentration + current.concentration)
    variance = of_rows + of_partitions
    if variance <= 0:
        return Contrast(current.mean - reference.mean, 0.0, 1.0, 0.0)
    uncertain = (of_rows**2 / within_freedom if within_freedom else 0.0) + (of_partitions**2 / between_freedom if between_freedom else 0.0)
    return Contrast(current.mean - reference.mean, variance, variance**2 / uncertain, shared / (shared + within))


def _shared(within: float, within_freedom: float, between: list[Between], freedom: int) -> float:
    """The variance that a partition's rows share, as expected of an estimate that is uncertain and cannot be below 0.

    An estimate of 0 from few rows for each partition does not show that there is none. Sides are estimated apart, and count by their
    partitions: by their rows, a week of large days would outvote fifty days of a sample.
    """
    from scipy import special

    estimate = sum(each.freedom * (each.square - within) / each.typical for each in between) / freedom
    if not within:
        return estimate
    uncertain = sum(2 * each.freedom * (max(each.square, within) / each.typical / freedom) ** 2 for each in between)
    uncertain += 2 / within_freedom * sum(each.freedom * within / each.typical / freedom for each in between) ** 2
    error = math.sqrt(uncertain)
    distance = estimate / error
    density = math.exp(-(distance**2) / 2) / math.sqrt(2 * math.pi)
    return error * (density + distance * float(special.ndtr(distance)))


def compare_shares(reference: Side, current: Side, likeness: float) -> tuple[float, Contrast]:
    """Compare two shares.

    :param reference: from `Side.share`
    :param current: likewise
    :param likeness: the intraclass correlation where the reference cannot tell, since all of its rows are alike
    :returns: the p-value, two-sided, and what it rests on
    """
    found = contrast(reference, current)
    if 0 < reference.mean < 1:
        likeness = found.likeness
    drawn, seen = reference.effective_rows(likeness), current.effective_rows(likeness)
    pooled = (reference.mean * drawn + current.mean * seen) / (drawn + seen)
    before, now = reference.mean, current.mean
    if pooled > 0.5:  # what is rare is compared
        before, now, pooled = 1 - before, 1 - now, 1 - pooled
    if pooled * min(drawn, seen) >= FEW:
        return found.p_value, found
    return max(found.p_value, _exact(before * drawn, drawn, now * seen, seen)), found


def _exact(before: float, drawn: float, now: float, seen: float) -> float:
    """Of all hits, how likely so many (or so few) are the window's (Przyborowski and Wilenski 1940); rounded so that less is sure."""
    from scipy import special

    tiny = 1e-9
    expected = seen / (drawn + seen)
    if now * drawn > before * seen:
        hits, others = math.floor(now + tiny), math.ceil(before - tiny)
        tail = special.bdtrc(hits - 1, hits + others, expected) if hits else 1.0
    else:
        hits, others = math.ceil(now - tiny), math.floor(before + tiny)
        tail = special.bdtr(hits, hits + others, expected)
    return float(min(1.0, 2 * tail))
