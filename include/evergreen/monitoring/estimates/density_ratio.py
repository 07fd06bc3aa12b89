"""How much likelier a row is in the window than in the reference: the weights under which the reference looks like the window."""

from __future__ import annotations

import numpy as np

from include.evergreen.monitoring.estimates.estimate import NotEstimatedError
from include.evergreen.monitoring.estimates.units import Units

PENALTY = 0.1  # C of the logistic regression, for rows that count as many as there are
LEAST, MOST = 0.02, 50.0  # of a weight; their mean is 1
LEAST_EFFECTIVE_ROWS = 30
LEAST_UNITS = 0.5  # of the reference's days, as a share
POWERS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)


def density_ratio(reference: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Estimate the density ratio by a classifier that tells window from reference.

    Both count the same in all, so the ratio is the odds of being in the window (M. Sugiyama, T. Suzuki and T. Kanamori, "Density Ratio
    Estimation in Machine Learning", 2012, chapter 4: by probabilistic classification).

    :param reference: as `Design.matrix` gives it
    :param window: as `Design.matrix` gives it
    :returns: one weight for each row of the reference, of mean 1
    :raises NotEstimatedError: when the weighted reference is worth too few rows (L. Kish, "Survey Sampling", 1965): the window has rows
        such as it hardly knows
    """
    from sklearn.linear_model import LogisticRegression

    if reference.shape[1] == 0:
        return np.ones(len(reference))
    rows = len(reference) + len(window)
    is_window = np.repeat([0, 1], [len(reference), len(window)])
    counts = np.repeat([rows / 2 / len(reference), rows / 2 / len(window)], [len(reference), len(window)])
    classifier = LogisticRegression(C=PENALTY, max_iter=200)
    classifier.fit(np.concatenate([reference, window]), is_window, sample_weight=counts)
    odds = np.exp(classifier.decision_function(reference).clip(-20, 20))
    weights: np.ndarray = (odds / odds.mean()).clip(LEAST, MOST)
    if (effective := effective_rows(weights)) < LEAST_EFFECTIVE_ROWS:
        raise NotEstimatedError(
            f"the holdout of its version has next to no rows like those that were scored (worth {effective:.0f} of {len(weights)}; "
            f"{LEAST_EFFECTIVE_ROWS} are needed)"
        )
    normalised: np.ndarray = weights / weights.mean()
    return normalised


def tempered(weights: np.ndarray, units: Units) -> np.ndarray:
    """Flatten weights that rest on too few days (H. Shimodaira, 2000: a power of the density ratio trades variance for bias).

    Where features have one value a day, the density ratio picks the day that is most like the window's.

    :param weights: one for each row of the reference
    :param units: of the reference
    :returns: the greatest of some powers of them, of mean 1, by which the units are worth at least `LEAST_UNITS` of what they are worth
        by themselves
    """
    for power in POWERS:
        flattened: np.ndarray = weights**power / (weights**power).mean()
        if effective_rows(units.sums(flattened)) >= LEAST_UNITS * effective_rows(units.sums(np.ones(len(weights)))):
            break
    return flattened


def effective_rows(weights: np.ndarray) -> float:
    """Say how many rows of equal weight know as much.

    :param weights: one for each row
    :returns: the square of their sum over the sum of their squares
    """
    return float(weights.sum() ** 2 / (weights**2).sum())
