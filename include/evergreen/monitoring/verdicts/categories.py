"""Compares a category of a window with its reference: how far its shares moved, and whether that can be chance."""

from __future__ import annotations

import numpy as np

from include.evergreen.monitoring.profiles import CategoryColumn
from include.evergreen.monitoring.verdicts import measures
from include.evergreen.monitoring.verdicts.numbers import Finding
from include.evergreen.monitoring.verdicts.units import Side, compare_shares, contrast

LEAST_EXPECTED = 5.0  # effective rows that a cell must be expected to have for the chi-squared approximation (Cochran 1954)


def compare_categories(reference: CategoryColumn, current: CategoryColumn, limit: float) -> tuple[Finding, dict[str, float], float]:
    """Compare the shares of all cells, missing and unseen ones among them.

    :param reference: the champion's, with rows
    :param current: the window's, with rows, on the same cells
    :param limit: the Jensen-Shannon distance that matters
    :returns: the finding, all measures by name, and how alike the rows of a partition are (the intraclass correlation)
    """
    before, now = reference.counts.sum(axis=0), current.counts.sum(axis=0)
    apart = measures.jensen_shannon(before, now)
    likeness = _likeness(reference, current)
    there = np.flatnonzero(before + now).tolist()
    p_values = [_cell(reference, current, cell, likeness) for cell in there]
    least = len(there) * min(p_values) if len(there) > 1 else 1.0  # one cell on both sides is the same on both
    statistic, of_all = _chi_squared(reference, current, likeness)
    p_value = min(1.0, least if of_all is None else 2 * min(least, of_all))
    if before[-1] < before.sum() and now[-1] == now.sum():
        p_value = 0.0  # it lost its values: nothing is left to compare, whatever chance may be
    figures = {
        "jensen_shannon": apart,
        "chi_squared": statistic,
        "total_variation": measures.total_variation(before, now),
        "greatest_change": measures.greatest_change(before, now),
        "population_stability": measures.population_stability(before[there], now[there]),
    }
    return Finding("values", apart, limit, p_value), figures, likeness


def new_categories(current: CategoryColumn) -> dict[str, int]:
    """Name the categories that the reference has not.

    :param current: the window's
    :returns: those that its partitions kept the names of, with their rows, the most frequent first
    """
    found: dict[str, int] = {}
    for partition in current.unseen:
        for name, rows in partition.items():
            found[name] = found.get(name, 0) + rows
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def vanished_categories(reference: CategoryColumn, current: CategoryColumn, likeness: float) -> list[str]:
    """Name the categories of the reference that the window would have rows of, and has none.

    :param reference: the champion's
    :param current: the window's
    :param likeness: the intraclass correlation
    :returns: their names, the most frequent first
    """
    rows = Side.share(current.lost, current.rows).effective_rows(likeness)
    shares = reference.counts.sum(axis=0) / reference.counts.sum()
    gone = current.counts.sum(axis=0) == 0
    return [name for number, name in enumerate(reference.cells.heavy) if gone[number] and shares[number] * rows >= LEAST_EXPECTED]


def _likeness(reference: CategoryColumn, current: CategoryColumn) -> float:
    """Of the cells together, each weighted by its variance."""
    total = shared = 0.0
    for cell in np.flatnonzero(reference.counts.sum(axis=0)):
        sides = [Side.share(side.counts[:, cell], side.rows) for side in (reference, current)]
        variance = sides[0].mean * (1 - sides[0].mean)
        total += variance
        shared += variance * contrast(*sides).likeness
    return shared / total if total else 0.0


def _cell(reference: CategoryColumn, current: CategoryColumn, cell: int, likeness: float) -> float:
    sides = [Side.share(side.counts[:, cell], side.rows) for side in (reference, current)]
    return compare_shares(sides[0], sides[1], likeness)[0]


def _chi_squared(reference: CategoryColumn, current: CategoryColumn, likeness: float) -> tuple[float, float | None]:
    """The statistic on rows, and its p-value, both corrected by the design effect (Rao and Scott 1984); None where cells are too small."""
    from scipy import special

    before, now = reference.counts, current.counts
    sides = [Side.share(side.sum(axis=1), side.sum(axis=1)) for side in (before, now)]
    effective = [side.effective_rows(likeness) for side in sides]
    shares = (before.sum(axis=0) + now.sum(axis=0)) / (before.sum() + now.sum())
    large = shares * min(effective) >= LEAST_EXPECTED
    if (~large).any():  # the small ones together are one cell, if they are large enough then
        before, now = (np.column_stack([side[:, large], side[:, ~large].sum(axis=1)]) for side in (before, now))
        shares = np.append(shares[large], shares[~large].sum())
    if (shares[-1] * min(effective)) < LEAST_EXPECTED:
        before, now, shares = before[:, :-1], now[:, :-1], shares[:-1]
    if len(shares) < 2:
        return 0.0, None
    found = [contrast(Side.share(before[:, cell], reference.rows), Side.share(now[:, cell], current.rows)) for cell in range(len(shares))]
    rows = 1 / reference.rows.sum() + 1 / current.rows.sum()
    differences = np.array([each.difference for each in found])
    statistic = float((differences**2 / shares).sum() / rows)
    effects = np.array([each.variance for each in found]) / (shares * (1 - shares) * rows)
    freedom = len(shares) - 1 if abs(shares.sum() - 1) < 1e-9 else len(shares)
    design = max(1.0, float((effects * (1 - shares)).sum() / (1 - shares).sum()))
    p_value = float(special.fdtrc(freedom, min(each.freedom for each in found), statistic / design / freedom))
    return statistic / design, p_value
