"""Slices of the holdout by a column: each against a threshold, against the others, and against the champion."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from include.evergreen.config.classes import recalled_class
from include.evergreen.config.gate import MOST_CODES, SlicesCriterion
from include.evergreen.config.metrics import Metric
from include.evergreen.gates.bootstrap import OfSums, Statistic, interval, replicates, student_interval
from include.evergreen.gates.criteria import SHOWN_CONFIDENCE, CriterionResult, Verdict, verdict
from include.evergreen.gates.evidence import Evidence
from include.evergreen.gates.scored import Scored
from include.evergreen.training.metrics import Measures, ratio

if TYPE_CHECKING:
    import pandas as pd

WORSE_CONFIDENCE = 0.95  # one-sided confidence that a slice is worse than the champion's
BINS = 4  # of a numeric column, unless it is said
MOST_EXACT = 2**53  # beyond it, floats have no whole numbers apart
MOST_RATIO = 1e9
TRUE_POSITIVE_RATE = Metric("true_positive_rate", "higher", (0, 1), "Of the positive rows, the share that it calls so.")
SHOWN_SLICES = 50  # the largest; a column of thousands of values makes no table


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice, the ``chosen`` rows (a mask). ``value`` is None where they do not define it; ``champion``, too, or when there is none."""

    name: str
    rows: int
    value: float | None
    interval: tuple[float, float] | None
    champion: float | None
    is_judged: bool
    is_worse: bool
    chosen: np.ndarray

    def details(self) -> dict[str, Any]:
        """Write the slice as a decision keeps it.

        :returns: a JSON document; which rows are in it is left out
        """
        return {
            "slice": self.name,
            "rows": self.rows,
            "value": self.value,
            "interval": list(self.interval) if self.interval else None,
            "champion": self.champion,
            "judged": self.is_judged,
        }


def judge_slices(criterion: SlicesCriterion, evidence: Evidence) -> CriterionResult:
    """Judge the slices of at least ``min_rows`` rows; smaller ones are shown. Raises what `Evidence.column` does.

    :param criterion: the criterion as model.yaml declares it
    :param evidence: the candidate and its holdout, and the champion's predictions where it can be compared
    :returns: the worst slice, or the two that are farthest apart, against what is allowed; not evaluated when there are too few to judge;
        the details have the largest `SHOWN_SLICES` slices, and the names of those that are worse than the champion's
    """
    column = evidence.column(criterion.by, allow_personal=criterion.allow_personal)
    groups = _disclosable(criterion, list(_slices(criterion, evidence, column)))
    slices = [_measured(criterion, evidence, name, chosen) for name, chosen in groups]
    judged = [part for part in slices if part.is_judged]
    details: dict[str, Any] = {
        "by": criterion.by,
        "slices": [part.details() for part in sorted(slices, key=lambda part: -part.rows)[:SHOWN_SLICES]],
        "worse_than_champion": [part.name for part in judged if part.is_worse],
        **({"smallest_group": criterion.smallest_group} if criterion.allow_personal else {}),
    }
    needed = 1 if criterion.judge == "worst" else 2
    if len(judged) < needed:
        message = (
            f"{len(judged)} of the {len(slices)} slices by {criterion.by} have {criterion.min_rows} rows on which "
            f"{_figure(criterion)} is defined; {needed} must. Lower min_rows, or choose a longer train.holdout"
        )
        return CriterionResult(criterion.kind, _figure(criterion), None, None, "not_evaluated", message, None, details)
    value, threshold, between, outcome, message = _verdict(criterion, evidence, judged)
    if worse := details["worse_than_champion"]:
        message += f"; worse than the champion's on the same rows: {', '.join(worse)}"
    return CriterionResult(criterion.kind, _figure(criterion), value, threshold, outcome, message, between, details)


def _figure(criterion: SlicesCriterion) -> str:
    """What is measured in each slice."""
    if criterion.metric is not None:
        return criterion.metric
    return "positive_rate" if criterion.judge == "disparate_impact" else "true_positive_rate"


def _slices(criterion: SlicesCriterion, evidence: Evidence, column: pd.Series) -> Iterator[tuple[str, np.ndarray]]:
    """The name of each slice, such as ``origin=LGA``, and which rows are in it; in the order of the values."""
    import pandas as pd

    missing = column.isna().to_numpy()
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    values = column.to_numpy(dtype="float64", na_value=np.nan) if is_number else np.empty(0)
    is_whole = is_number and bool(np.all((np.abs(values[~missing]) < MOST_EXACT) & (values[~missing] % 1 == 0)))
    if is_number and not _is_categorical(evidence, criterion.by) and column.nunique() > _most_values(criterion, is_whole=is_whole):
        edges = np.unique(np.quantile(values[~missing], np.linspace(0, 1, (criterion.bins or BINS) + 1)))
        numbers = np.searchsorted(edges[1:-1], values, side="right")
        for number, (low, high) in enumerate(itertools.pairwise(edges)):
            is_first, is_last = number == 0, number == len(edges) - 2
            name = f"{low:g} to {high:g}" if is_last else f"{low:g} to below {high:g}"
            if criterion.allow_personal and (is_first or is_last):  # the lowest and the highest value are a person's own
                name = "of all values" if is_first and is_last else f"below {high:g}" if is_first else f"from {low:g}"
            yield f"{criterion.by} {name}", (numbers == number) & ~missing
    else:
        codes, distinct = pd.factorize(column.astype("Int64") if is_whole else column.astype("string"), sort=True)
        for code, value in enumerate(distinct):
            yield f"{criterion.by}={value}", codes == code
    if missing.any():
        yield f"{criterion.by} missing", missing


def _disclosable(criterion: SlicesCriterion, groups: list[tuple[str, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
    """The groups as they may be shown where they are of people: what is too small is one group with others.

    Two at least are in it, and the next smallest with them until it is large enough. So every row is in a group that is shown, and none
    follows from the total and the others. None at all when all rows together are too few.
    """
    if not criterion.allow_personal:
        return groups
    sizes = [int(chosen.sum()) for _, chosen in groups]
    order = sorted(range(len(groups)), key=sizes.__getitem__)
    joined = [number for number in order if sizes[number] < criterion.smallest_group]
    while joined and len(joined) < len(order) and (len(joined) < 2 or sum(sizes[number] for number in joined) < criterion.smallest_group):
        joined.append(order[len(joined)])
    shown = [group for number, group in enumerate(groups) if number not in joined]
    if not joined:
        return shown
    if len(joined) == 1 or sum(sizes[number] for number in joined) < criterion.smallest_group:
        return []
    others = np.logical_or.reduce([groups[number][1] for number in joined])
    return [*shown, (f"{criterion.by} of {len(joined)} other groups", others)]


def _is_categorical(evidence: Evidence, name: str) -> bool:
    """Whether the column is a feature that says of itself that its values are categories, whatever they are written with."""
    return any((feature.name, feature.kind) == (name, "categorical") for feature in evidence.model.features)


def _most_values(criterion: SlicesCriterion, *, is_whole: bool) -> int:
    """How many distinct numbers are slices by value: each of few whole numbers may be a code, whose neighbours are other things."""
    return MOST_CODES if is_whole and criterion.bins is None else criterion.bins or BINS


def _measured(criterion: SlicesCriterion, evidence: Evidence, name: str, chosen: np.ndarray) -> Slice:
    scored = evidence.candidate.among(chosen)
    rows = len(scored.labels)
    if not _may_be_measured(criterion, scored):
        return Slice(name, rows, None, None, None, False, False, chosen)
    is_enough = rows >= criterion.min_rows
    value, drawn = _value(criterion, scored), _drawn(criterion, scored) if is_enough else None
    between = None if drawn is None else interval(drawn, scored.units.count, confidence=SHOWN_CONFIDENCE)
    other, is_worse = None, False
    if evidence.champion is not None:
        theirs, ours = evidence.champion.among(chosen), evidence.candidate.among(chosen & evidence.champion.rows)
        other = _value(criterion, theirs) if len(theirs.labels) and _may_be_measured(criterion, theirs) else None
        if drawn is not None and other is not None and criterion.judge != "disparate_impact":  # of which neither way is better
            metric = ours.measures.metric(criterion.metric) if criterion.metric else TRUE_POSITIVE_RATE
            gained = metric.sign * (metric.judged(_drawn(criterion, ours)) - metric.judged(_drawn(criterion, theirs)))
            apart = interval(gained, ours.units.count, confidence=WORSE_CONFIDENCE)
            is_worse = apart is not None and apart[1] < 0
    return Slice(name, rows, value, between, other, is_enough and value is not None, is_worse, chosen)


def _may_be_measured(criterion: SlicesCriterion, scored: Scored) -> bool:
    """Whether no figure of the rows, if they are of people, is one of too few: a recall is of the positive rows, or those of its class."""
    text = recalled_class(criterion.metric or "")
    counted = len(scored.labels)
    if criterion.judge == "equal_opportunity":
        counted = int(scored.labels.sum())
    elif text is not None and text in scored.measures.classes:
        counted = int((scored.labels == scored.measures.classes.index(text)).sum())
    return not criterion.allow_personal or counted >= criterion.smallest_group


def _value(criterion: SlicesCriterion, scored: Scored) -> float | None:
    if criterion.metric is not None:
        value = scored.value(criterion.metric)
    else:
        value = float(_rate(criterion, scored)(np.ones((1, scored.units.count)))[0])
    return value if value is not None and math.isfinite(value) else None


def _drawn(criterion: SlicesCriterion, scored: Scored) -> np.ndarray:
    if criterion.metric is not None:
        return scored.replicates(criterion.metric)
    drawn: np.ndarray = replicates([_rate(criterion, scored)], scored.units, resamples=scored.resamples, seed=scored.seed)[0]
    return drawn


def _measured_at(criterion: SlicesCriterion, scored: Scored) -> Measures:
    """How decisions are made: at the criterion's own threshold, if it has one, else at the version's."""
    if criterion.decision_threshold is None:
        return scored.measures
    return replace(scored.measures, threshold=criterion.decision_threshold)


def _rate(criterion: SlicesCriterion, scored: Scored) -> Statistic:
    """The share of rows that are called positive: of all, or (equal opportunity) of those that are."""
    called = _measured_at(criterion, scored).called(scored.predicted)
    if criterion.judge == "disparate_impact":
        return OfSums(scored.units, [called], ratio)
    return OfSums(scored.units, [called * scored.labels, scored.labels], ratio)


def _verdict(
    criterion: SlicesCriterion, evidence: Evidence, judged: list[Slice]
) -> tuple[float, float, tuple[float, float] | None, Verdict, str]:
    """Value, threshold, interval, verdict and message."""
    if criterion.judge != "worst":
        return _contrasted(criterion, evidence, judged)
    values = {part.name: part.value for part in judged if part.value is not None}
    assert criterion.metric is not None
    bound = criterion.at_least if criterion.at_least is not None else criterion.at_most
    assert bound is not None
    metric = evidence.candidate.measures.metric(criterion.metric)
    worst = min(values, key=lambda name: metric.sign * metric.judged(values[name]))
    value = values[worst]
    message = (
        f"the worst {metric.judged_name} of {len(values)} slices is {metric.judged(value):.4f}, of {worst}; "
        f"it must be at {'least' if criterion.at_least is not None else 'most'} {bound:g}"
    )
    passed = value >= bound if criterion.at_least is not None else metric.judged(value) <= bound
    return value, bound, next(part.interval for part in judged if part.name == worst), verdict(passed), message


@dataclass(frozen=True)
class _Contrast:
    """Two slices, and how far they are apart: the ratio or the difference of what is measured in each."""

    one: Slice
    other: Slice
    value: float
    drawn: np.ndarray


def _contrasted(
    criterion: SlicesCriterion, evidence: Evidence, judged: list[Slice]
) -> tuple[float, float, tuple[float, float] | None, Verdict, str]:
    """Fails when two slices are surely farther apart than allowed: by a bound for each pair, which all together err at the nominal rate."""
    low, high = criterion.ratios if criterion.judge == "disparate_impact" else (-math.inf, criterion.max_difference or 0.0)
    contrasts = sorted(_contrasts(criterion, evidence, judged), key=lambda contrast: -_distance(criterion, contrast.value))
    confidence = 1 - (1 - WORSE_CONFIDENCE) / len(contrasts)

    def bounds(contrast: _Contrast) -> tuple[float, float] | None:
        units = evidence.candidate.units.count
        if criterion.judge != "disparate_impact":
            return student_interval(contrast.value, contrast.drawn, units, confidence=confidence)
        value, *drawn = np.log(np.append(contrast.value, contrast.drawn).clip(1 / MOST_RATIO, MOST_RATIO))
        ends = student_interval(float(value), np.array(drawn), units, confidence=confidence)
        return ends and (math.exp(ends[0]), math.exp(min(ends[1], math.log(MOST_RATIO))))

    shown, between = contrasts[0], bounds(contrasts[0])
    outcome: Verdict = "passed"
    for contrast in itertools.takewhile(lambda contrast: not low <= contrast.value <= high, contrasts):
        ends = bounds(contrast)
        if ends is None:
            outcome = "not_evaluated"
        elif ends[1] < low or ends[0] > high:
            outcome, shown, between = "failed", contrast, ends
            break
    message = _told(criterion, evidence, shown, low, high)
    if between:
        message += f" (one-sided {100 * confidence:.4g}% bounds {between[0]:.3g} to {between[1]:.3g})"
    if not low <= shown.value <= high:
        message += {
            "failed": ", so it is surely outside",
            "passed": ", which is not surely outside",
            "not_evaluated": ". Whether that is chance cannot be told: the rows of some slice lie on too few days. Choose a longer holdout",
        }[outcome]
    return shown.value, low if shown.value < low or (shown.value < 1 and math.isfinite(low)) else high, between, outcome, message


def _contrasts(criterion: SlicesCriterion, evidence: Evidence, judged: list[Slice]) -> Iterator[_Contrast]:
    """Of disparate impact each slice against the largest, else each two of them, the higher one first."""
    drawn = [_drawn(criterion, evidence.candidate.within(part.chosen, number)) for number, part in enumerate(judged)]
    values = [part.value or 0.0 for part in judged]
    if criterion.judge == "disparate_impact":
        largest = max(range(len(judged)), key=lambda number: judged[number].rows)
        for number in range(len(judged)):
            if number != largest:
                ratios = _ratios(np.append(values[number], drawn[number]), np.append(values[largest], drawn[largest]))
                yield _Contrast(judged[number], judged[largest], float(ratios[0]), ratios[1:])
    else:
        for one, other in itertools.combinations(sorted(range(len(judged)), key=lambda number: -values[number]), 2):
            yield _Contrast(judged[one], judged[other], values[one] - values[other], drawn[one] - drawn[other])


def _ratios(shares: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """Shares over others; over 0 it is `MOST_RATIO`, as JSON has no infinity, and of both 0 it is 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where((bases == 0) & (shares == 0), 1.0, shares / bases)
    return np.where(ratios > MOST_RATIO, MOST_RATIO, ratios)


def _told(criterion: SlicesCriterion, evidence: Evidence, contrast: _Contrast, low: float, high: float) -> str:
    one, other = contrast.one, contrast.other
    threshold = _measured_at(criterion, evidence.candidate).threshold
    if criterion.judge == "disparate_impact":
        return (
            f"rows called positive from {threshold:g}: {one.value:.1%} in {one.name}, {other.value:.1%} in {other.name} "
            f"(the largest), {low:g} to {high:g} times as many are allowed: a ratio of {contrast.value:.3g}"
        )
    figure = criterion.metric or f"the share of positive rows called so from {threshold:g}"
    return (
        f"{figure} is {other.value:.4f} in {other.name} and {one.value:.4f} in {one.name}, at most {high:g} apart is allowed: "
        f"it is {contrast.value:.4f}"
    )


def _distance(criterion: SlicesCriterion, value: float) -> float:
    """How far apart that is: of a ratio, either way."""
    if criterion.judge != "disparate_impact":
        return value
    return abs(math.log(value)) if value > 0 else math.inf
