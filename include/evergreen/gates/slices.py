"""Slices of the holdout by a column: each against a threshold, against the others, and against the champion."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from include.evergreen.config import METRICS
from include.evergreen.config.gate import MOST_CODES, SlicesCriterion
from include.evergreen.gates.bootstrap import OfSums, Statistic, interval, ratio, replicates
from include.evergreen.gates.criteria import SHOWN_CONFIDENCE, CriterionResult, verdict
from include.evergreen.gates.evidence import Evidence
from include.evergreen.gates.scored import Scored

if TYPE_CHECKING:
    import pandas as pd

WORSE_CONFIDENCE = 0.95  # one-sided confidence that a slice is worse than the champion's
BINS = 4  # of a numeric column, unless it is said
MOST_EXACT = 2**53  # beyond it, floats have no whole numbers apart
SHOWN_SLICES = 50  # the largest; a column of thousands of values makes no table


@dataclass(frozen=True)
class Slice:
    """One slice: ``value`` is None where its rows do not define it; ``champion`` where there is none, or it does not either."""

    name: str
    rows: int
    value: float | None
    interval: tuple[float, float] | None
    champion: float | None
    is_judged: bool
    is_worse: bool

    def details(self) -> dict[str, Any]:
        """The slice as a decision keeps it, as JSON."""
        return {
            "slice": self.name,
            "rows": self.rows,
            "value": self.value,
            "interval": list(self.interval) if self.interval else None,
            "champion": self.champion,
            "judged": self.is_judged,
        }


def judge_slices(criterion: SlicesCriterion, evidence: Evidence) -> CriterionResult:
    """Judge the slices of at least ``min_rows`` rows; smaller ones are shown. Not evaluated when there are too few to judge."""
    column = evidence.column(criterion.by)
    slices = [_measured(criterion, evidence, name, chosen) for name, chosen in _slices(criterion, evidence, column)]
    judged = [part for part in slices if part.is_judged]
    details = {
        "by": criterion.by,
        "slices": [part.details() for part in sorted(slices, key=lambda part: -part.rows)[:SHOWN_SLICES]],
        "worse_than_champion": [part.name for part in judged if part.is_worse],
    }
    needed = 1 if criterion.judge == "worst" else 2
    if len(judged) < needed:
        message = (
            f"{len(judged)} of the {len(slices)} slices by {criterion.by} have {criterion.min_rows} rows on which "
            f"{_figure(criterion)} is defined; {needed} must. Lower min_rows, or choose a longer train.holdout_days"
        )
        return CriterionResult(criterion.kind, _figure(criterion), None, None, "not_evaluated", message, None, details)
    value, threshold, between, passed, message = _verdict(criterion, evidence, judged)
    if worse := details["worse_than_champion"]:
        message += f"; worse than the champion's on the same rows: {', '.join(map(str, worse))}"
    return CriterionResult(criterion.kind, _figure(criterion), value, threshold, verdict(passed), message, between, details)


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
            name = f"{criterion.by} {low:g} to {high:g}" if number == len(edges) - 2 else f"{criterion.by} {low:g} to below {high:g}"
            yield name, (numbers == number) & ~missing
    else:
        codes, distinct = pd.factorize(column.astype("Int64") if is_whole else column.astype("string"), sort=True)
        for code, value in enumerate(distinct):
            yield f"{criterion.by}={value}", codes == code
    if missing.any():
        yield f"{criterion.by} missing", missing


def _is_categorical(evidence: Evidence, name: str) -> bool:
    """Whether the column is a feature that says of itself that its values are categories, whatever they are written with."""
    return any((feature.name, feature.kind) == (name, "categorical") for feature in evidence.model.features)


def _most_values(criterion: SlicesCriterion, *, is_whole: bool) -> int:
    """How many distinct numbers are slices by value: each of few whole numbers may be a code, whose neighbours are other things."""
    return MOST_CODES if is_whole and criterion.bins is None else criterion.bins or BINS


def _measured(criterion: SlicesCriterion, evidence: Evidence, name: str, chosen: np.ndarray) -> Slice:
    scored = evidence.candidate.among(chosen)
    rows = len(scored.labels)
    is_enough = rows >= criterion.min_rows
    value, drawn = _value(criterion, scored), _drawn(criterion, scored) if is_enough else None
    between = None if drawn is None else interval(drawn, scored.units.count, confidence=SHOWN_CONFIDENCE)
    other, is_worse = None, False
    if evidence.champion is not None:
        theirs, ours = evidence.champion.among(chosen), evidence.candidate.among(chosen & evidence.champion.rows)
        other = _value(criterion, theirs) if len(theirs.labels) else None
        if drawn is not None and other is not None and criterion.judge != "disparate_impact":  # of which neither way is better
            apart = interval(_drawn(criterion, ours) - _drawn(criterion, theirs), ours.units.count, confidence=WORSE_CONFIDENCE)
            higher_is_better = criterion.metric is None or METRICS[evidence.model.task][criterion.metric] == "higher"
            is_worse = apart is not None and (apart[1] < 0 if higher_is_better else apart[0] > 0)
    return Slice(name, rows, value, between, other, is_enough and value is not None, is_worse)


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


def _rate(criterion: SlicesCriterion, scored: Scored) -> Statistic:
    """The share of rows that are called positive: of all, or (equal opportunity) of those that are."""
    called: np.ndarray = (scored.predicted >= criterion.decision_threshold).astype("float64")
    if criterion.judge == "disparate_impact":
        return OfSums(scored.units, [called], ratio)
    return OfSums(scored.units, [called * scored.labels, scored.labels], ratio)


def _verdict(
    criterion: SlicesCriterion, evidence: Evidence, judged: list[Slice]
) -> tuple[float, float, tuple[float, float] | None, bool, str]:
    """Value, threshold, interval, whether it passed, and the message."""
    values = {part.name: part.value for part in judged if part.value is not None}
    lowest, highest = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    if criterion.judge == "worst":
        assert criterion.metric is not None
        bound = criterion.at_least if criterion.at_least is not None else criterion.at_most
        assert bound is not None
        worst = lowest if METRICS[evidence.model.task][criterion.metric] == "higher" else highest
        value = values[worst]
        passed = value >= bound if criterion.at_least is not None else value <= bound
        message = (
            f"the worst {criterion.metric} of {len(values)} slices is {value:.4f}, of {worst}; "
            f"it must be at {'least' if criterion.at_least is not None else 'most'} {bound:g}"
        )
        return value, bound, next(part.interval for part in judged if part.name == worst), passed, message
    if criterion.judge == "disparate_impact":
        return _disparate_impact(criterion, judged, values)
    assert criterion.max_difference is not None
    value = values[highest] - values[lowest]
    figure = criterion.metric or f"the share of positive rows called so from {criterion.decision_threshold:g}"
    message = (
        f"{figure} is {values[lowest]:.4f} in {lowest} and {values[highest]:.4f} in {highest}, {value:.4f} apart; "
        f"at most {criterion.max_difference:g} is allowed"
    )
    return value, criterion.max_difference, None, value <= criterion.max_difference, message


def _disparate_impact(criterion: SlicesCriterion, judged: list[Slice], values: dict[str, float]) -> tuple[float, float, None, bool, str]:
    """The ratio of each slice's share to that of the largest slice; the one farthest from 1 counts."""
    largest = max(judged, key=lambda part: part.rows).name
    low, high = criterion.ratios
    base = values[largest]
    ratios = {name: value / base if base else (math.inf if value else 1.0) for name, value in values.items()}
    farthest = max((name for name in ratios if name != largest), key=lambda name: _distance(ratios[name]))
    value = min(ratios[farthest], 1e9)  # JSON has no infinity
    message = (
        f"rows called positive from {criterion.decision_threshold:g}: {values[farthest]:.1%} in {farthest}, "
        f"{base:.1%} in {largest} (the largest), a ratio of {value:.3g}; {low:g} to {high:g} is allowed"
    )
    return value, low if value < 1 else high, None, low <= value <= high, message


def _distance(ratio: float) -> float:
    return abs(math.log(ratio)) if 0 < ratio < math.inf else math.inf
