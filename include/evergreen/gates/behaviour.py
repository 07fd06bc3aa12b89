"""Behaviour checks: runs a model's own `checks.py` on the candidate. Its text is part of the gate digest."""

from __future__ import annotations

from typing import Any

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import BehaviourCriterion
from include.evergreen.config.loader import shown_path
from include.evergreen.features.build import quotable
from include.evergreen.foundation.errors import ConfigError, EvergreenError
from include.evergreen.foundation.team_code import TEAM_ERRORS, Modules, executed, modules_beside
from include.evergreen.gates.criteria import CriterionResult, verdict
from include.evergreen.gates.evidence import Evidence
from include.evergreen.testkit.behaviour import Check

FILE = "checks.py"


def checks_source(catalog: Catalog, model: ModelConfig) -> str | None:
    """Read the model's checks.py.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :returns: the text of the file as it stands now; None when there is none
    """
    path = catalog.model_path(model.name).with_name(FILE)
    return path.read_text(encoding="utf-8") if path.is_file() else None


def checks_code(catalog: Catalog, model: ModelConfig) -> dict[str, Any]:
    """Describe what the behaviour checks are: part of the question that a gate asks.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :returns: the text of checks.py under ``checks``, and of the modules beside it that it imports, if any, under ``modules``
    """
    text = checks_source(catalog, model)
    modules = _modules(catalog, model, text or "")
    return {"checks": text, **({"modules": dict(modules)} if modules else {})}


def judge_behaviour(criterion: BehaviourCriterion, evidence: Evidence) -> CriterionResult:
    """Judge the candidate by the team's own checks.py, of which all checks must pass.

    :param criterion: the criterion as model.yaml declares it
    :param evidence: the candidate and its holdout
    :returns: how many checks passed (the value) of how many there are (the threshold), with each check's outcome
    :raises ConfigError: when checks.py cannot be used, or a check fails of itself; what that says is left out where features are
        personal, as it may quote a row
    :raises EvergreenError: what predicting raises
    :raises MemoryError: when there is not enough memory
    """
    catalog, model = evidence.catalog, evidence.model
    place = shown_path(catalog.model_path(model.name).with_name(FILE))
    personal = model.has_personal_features
    outcomes, failures = [], []
    for check in _checks(catalog, model, place):
        try:
            outcome = check.examine(evidence.chances, evidence.features)
        except (EvergreenError, MemoryError):
            raise
        except TEAM_ERRORS as error:
            raise ConfigError(f"{place}: the check {check.name!r} cannot be tried: {quotable(error, personal=personal)}") from (
                None if personal else error
            )
        outcomes.append({"check": check.name, "passed": outcome.passed, "value": outcome.value, "message": outcome.message})
        if not outcome.passed:
            failures.append(f"{check.name!r} failed: {outcome.message}")
    passed = len(outcomes) - len(failures)
    told = "; ".join([f"{passed} of {len(outcomes)} checks of {FILE} pass", *failures])
    return CriterionResult(
        criterion.kind, "checks_passed", float(passed), float(len(outcomes)), verdict(not failures), told, None, {"checks": outcomes}
    )


def _modules(catalog: Catalog, model: ModelConfig, text: str) -> Modules:
    return modules_beside(catalog.model_path(model.name).parent, text)


def _checks(catalog: Catalog, model: ModelConfig, place: str) -> list[Check]:
    text = checks_source(catalog, model)
    if text is None:
        raise ConfigError(
            f"{place}: there is no such file; the behaviour criterion of {model.name} needs it. Write it, or remove the criterion."
        )
    checks = getattr(executed(text, place, _modules(catalog, model, text)), "CHECKS", None)
    if not isinstance(checks, list | tuple) or not checks or not all(isinstance(check, Check) for check in checks):
        raise ConfigError(f"{place} must set CHECKS to a list of checks, each made by invariance, direction or must_pass of the testkit.")
    return list(checks)
