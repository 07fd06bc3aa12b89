"""Evaluates a gate's criteria and the serving check on the same evidence; an error becomes a result `not_evaluated`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import error_text
from include.evergreen.foundation.errors import EvergreenError, TransientError
from include.evergreen.gates import criteria as judges
from include.evergreen.gates.behaviour import judge_behaviour
from include.evergreen.gates.criteria import CriterionResult
from include.evergreen.gates.decision import COMPARISON
from include.evergreen.gates.evidence import Evidence, gather
from include.evergreen.gates.serving import ServingCheck
from include.evergreen.gates.slices import judge_slices
from include.evergreen.registry.champions import RegisteredVersion
from include.evergreen.training.candidate import Candidate

log = logging.getLogger(__name__)
JUDGES: Final[dict[str, Callable[..., CriterionResult]]] = {
    "absolute": judges.judge_absolute,
    "champion": judges.judge_against_champion,
    "baseline": judges.judge_against_baseline,
    "slices": judge_slices,
    "calibration": judges.judge_calibration,
    "speed": judges.judge_speed,
    "size": judges.judge_size,
    "stability": judges.judge_stability,
    "behaviour": judge_behaviour,
}
"""Kind of criterion -> what judges it, from the criterion and the evidence."""


def evaluate(catalog: Catalog, model: ModelConfig, candidate: Candidate, champion: RegisteredVersion | None) -> list[CriterionResult]:
    """Judge a candidate by every criterion of its gate, and by the serving check. Writes nothing.

    Whatever is raised becomes a result that is not evaluated, except `TransientError` and `MemoryError`.

    :param catalog: what is declared now
    :param model: the model as it is declared now, whose gate asks
    :param candidate: the candidate to judge
    :param champion: the version to compare it with, if there is one
    :returns: each criterion's result, in the order of model.yaml; then, if the champion could not be computed, one that says so; and
        last that of the serving check; a single result when the gate is disabled, or the evidence cannot be gathered
    """
    if model.gate.mode == "disabled":
        message = "the gate is disabled in model.yaml: the candidate is approved without evaluation"
        return [CriterionResult("gate", "", None, None, "not_applicable", message)]

    def judged(kind: str, metric: str, judge: Callable[[], Any]) -> Any:
        try:
            return judge()
        except (TransientError, MemoryError):
            raise
        except Exception as error:  # of a team's own code, or of ours: neither rejects a candidate
            return _broken(catalog, model, kind, metric, error)

    evidence = judged("evidence", "", partial(gather, catalog, model, candidate, champion))
    if isinstance(evidence, CriterionResult):
        return [evidence]
    with ServingCheck(evidence, model.gate.serving_timeout_seconds) as serving:
        results = [
            judged(criterion.kind, getattr(criterion, "metric", None) or "", partial(JUDGES[criterion.kind], criterion, evidence))
            for criterion in model.gate.criteria
        ]
        return [*results, *_broken_champion(evidence), serving.result()]


def _broken_champion(evidence: Evidence) -> list[CriterionResult]:
    """That nothing was compared, though there is a champion: said even where no criterion compares with it."""
    if not evidence.is_champion_broken:
        return []
    return [CriterionResult(COMPARISON, "", None, None, "not_applicable", f"{evidence.why_no_champion}: nothing is compared with it")]


def _broken(catalog: Catalog, model: ModelConfig, kind: str, metric: str, error: Exception) -> CriterionResult:
    """With the error's message; of an error that is not ours, and may quote personal data, only its type."""
    message = error_text(catalog, model, error)
    if not isinstance(error, EvergreenError):
        message = f"it could not be evaluated: {message}"
        log.warning("%s: %s %s %s", model.name, kind, metric, message, exc_info=error if str(error) in message else None)
    return CriterionResult(kind, metric, None, None, "not_evaluated", message)
