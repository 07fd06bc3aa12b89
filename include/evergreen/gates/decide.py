"""The gate's entry point: evaluates every criterion and records one decision for a candidate against the champion."""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import WITHOUT_EFFECT, BehaviourCriterion
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import document_digest
from include.evergreen.gates.behaviour import checks_code
from include.evergreen.gates.criteria import CriterionResult
from include.evergreen.gates.decision import COMPARISON, Decision, combine_verdicts, find_blessing
from include.evergreen.gates.evaluate import evaluate
from include.evergreen.gates.rejections import alert_of_rejections
from include.evergreen.gates.report import render
from include.evergreen.registry import champions, servable
from include.evergreen.state import ledger, mlflow_store
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import decisions
from include.evergreen.state.database.upsert import insert_once
from include.evergreen.state.effects import side_effect
from include.evergreen.training.candidate import Candidate

log = logging.getLogger(__name__)


def decide(catalog: Catalog, model: ModelConfig, candidate: Candidate) -> Decision:
    """Judge ``candidate`` against its holdout and the champion of now; the same question returns the recorded decision.

    Of a candidate that is champion, that is the decision that let it become so: it is not judged against itself. What is
    broken (an artifact, the holdout, checks.py) is recorded as not evaluated. That, and a blessing for which the champion could not be
    computed, is tried again each time that it is asked for: nobody is promoted uncompared over a champion that was mended. Raises
    `TransientError`, and records nothing, when MLflow, the database or the storage does not answer.

    :param catalog: what is declared now
    :param model: the model as it is declared now, whose gate asks the question
    :param candidate: the candidate to judge
    :returns: the decision that stands, new or as it was recorded before
    """
    champion = champions.champion(model.name)
    if champion and champion.run_key == candidate.run_key:
        blessing = find_blessing(candidate.run_key)
        assert blessing is not None
        return blessing
    key = {
        "run_key": candidate.run_key,
        "champion_version": champion.version if champion else 0,
        "gate_digest": gate_digest(catalog, model),
    }
    decision = _find(key)
    if decision is None or decision.is_open:
        results = evaluate(catalog, model, candidate, champion)
        decision = _record(key, model, candidate, results)
        for criterion in decision.criteria:
            if criterion["message"] not in decision.uncompared:
                log.info("%s as of %s: %s: %s", model.name, candidate.as_of, criterion["verdict"], criterion["message"])
        if decision.uncompared:
            log.warning("%s as of %s: not compared with the champion: %s", model.name, candidate.as_of, decision.uncompared)
    log.info("%s as of %s: the gate's decision is %s", model.name, candidate.as_of, decision.verdict)
    if decision.mode != "enabled":
        log.warning("%s as of %s: the gate's mode is %s: %s", model.name, candidate.as_of, decision.mode, decision.message)
    _alert_of_comparison(model, champion, decision)
    _log_report(decision, candidate)
    alert_of_rejections(model, decision)
    return decision


def _alert_of_comparison(model: ModelConfig, champion: champions.RegisteredVersion | None, decision: Decision) -> None:
    """Raise an alert while the champion cannot be computed; resolve it when it can, or when there is another one."""
    broken = [criterion["message"] for criterion in decision.criteria if criterion["kind"] == COMPARISON]
    if not champion or not broken:
        servable.can_be_compared(model.name)
        return
    message = (
        f"The candidate of {model.name} as of {decision.as_of} was judged without the champion: {broken[0]}. It may take the champion's "
        f"place by the other criteria alone. `evergreen decisions {model.name}` shows them."
    )
    servable.cannot_be_compared(champion, message)


def gate_digest(catalog: Catalog, model: ModelConfig) -> str:
    """Digest the question that a gate asks: the criteria, how they are judged and, where they ask for it, the text of checks.py.

    A default counts as not said, so a new key with a default makes no new question.

    :param catalog: what is declared now
    :param model: the model as it is declared now, whose gate asks the question
    :returns: SHA-256, in hex
    """
    asked = model.gate.model_dump(mode="json", exclude_defaults=True, exclude=WITHOUT_EFFECT)
    if any(isinstance(criterion, BehaviourCriterion) for criterion in model.gate.criteria):
        asked |= checks_code(catalog, model)
    return document_digest(asked)


def _record(key: dict[str, Any], model: ModelConfig, candidate: Candidate, results: list[CriterionResult]) -> Decision:
    """The decision that stands: this one, unless another was quicker, or nothing that was broken at the last attempt is otherwise now."""
    mode = model.gate.mode
    verdict = combine_verdicts([result.verdict for result in results]) if mode == "enabled" else "blessed"
    judged = [result.as_record() for result in results]
    with side_effect("gate.record"), writing() as connection:
        last = _newest(connection, key)
        attempt = last.attempt + 1 if last else 1
        values: dict[str, Any] = {
            "model": model.name, "as_of": candidate.as_of, "mode": mode, "verdict": verdict, "criteria": judged, "recorded_at": clock.now()
        }  # fmt: skip
        new = Decision(id=0, attempt=attempt, **key, **values)
        is_news = last is None or (last.is_open and (new.verdict, new.broken) != (last.verdict, last.broken))
        if is_news and insert_once(connection, decisions, {**key, "attempt": attempt}, values):
            ledger.bind(connection, decisions, {**key, "attempt": attempt}, kind="decision")
    decision = _find(key)
    assert decision is not None
    return decision


@mlflow_store.reaching_mlflow
def _log_report(decision: Decision, candidate: Candidate) -> None:
    """Under a name of its own for each question and attempt, so that logging it again replaces it."""
    name = f"gate/against-version-{decision.champion_version}-{decision.gate_digest[:8]}-attempt-{decision.attempt}.html"
    with side_effect("gate.report"):
        mlflow_store.mlflow_client().log_text(candidate.mlflow_run_id, render(decision), name)


def _find(key: dict[str, Any]) -> Decision | None:
    with reading() as connection:
        return _newest(connection, key)


def _newest(connection: sa.Connection, key: dict[str, Any]) -> Decision | None:
    row = connection.execute(decisions.select().filter_by(**key).order_by(decisions.c.attempt.desc()).limit(1)).first()
    return as_record(Decision, row) if row else None
