"""One function for each kind of criterion: the figures in, a verdict in words out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from include.evergreen.config import METRICS, ModelConfig
from include.evergreen.config.gate import AbsoluteCriterion, ChampionCriterion

Verdict = Literal["passed", "failed", "not_applicable", "not_evaluated"]


@dataclass(frozen=True)
class CriterionResult:
    """What one criterion found; ``words`` is the sentence that people read."""

    kind: str
    metric: str
    value: float | None
    threshold: float | None
    verdict: Verdict
    words: str


def judge_absolute(criterion: AbsoluteCriterion, candidate: dict[str, float]) -> CriterionResult:
    bound = criterion.at_least if criterion.at_least is not None else criterion.at_most
    assert bound is not None
    value = candidate.get(criterion.metric)
    if value is None or math.isnan(value):
        return _unmeasured(criterion.kind, criterion.metric, bound)
    at_least = criterion.at_least is not None
    passed = value >= bound if at_least else value <= bound
    words = f"{criterion.metric} is {value:.4f}; it must be {'at least' if at_least else 'at most'} {bound:g}"
    return CriterionResult(criterion.kind, criterion.metric, value, bound, "passed" if passed else "failed", words)


def judge_against_champion(
    criterion: ChampionCriterion,
    model: ModelConfig,
    candidate: dict[str, float],
    champion: dict[str, float] | None,
    why_none: str = "there is no champion yet",
) -> CriterionResult:
    if champion is None:
        words = f"{why_none} to compare {criterion.metric} with"
        return CriterionResult(criterion.kind, criterion.metric, candidate.get(criterion.metric), None, "not_applicable", words)
    value, other = candidate.get(criterion.metric), champion.get(criterion.metric)
    if value is None or other is None or math.isnan(value) or math.isnan(other):
        return _unmeasured(criterion.kind, criterion.metric, other)
    higher_is_better = METRICS[model.task][criterion.metric] == "higher"
    threshold = other - criterion.margin if higher_is_better else other + criterion.margin
    passed = value >= threshold if higher_is_better else value <= threshold
    words = (
        f"{criterion.metric} is {value:.4f}, the champion's on the same rows {other:.4f}; "
        f"it must be {'at least' if higher_is_better else 'at most'} {threshold:.4f} (margin {criterion.margin:g})"
    )
    return CriterionResult(criterion.kind, criterion.metric, value, threshold, "passed" if passed else "failed", words)


def _unmeasured(kind: str, metric: str, threshold: float | None) -> CriterionResult:
    words = f"{metric} could not be measured on the holdout (one class only, or no rows)"
    return CriterionResult(kind, metric, None, threshold, "not_evaluated", words)
