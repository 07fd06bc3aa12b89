"""Evaluates every criterion on the same rows, and records one decision for a candidate and a champion."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import WITHOUT_EFFECT, BehaviourCriterion
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import document_digest
from include.evergreen.gates.behaviour import checks_source
from include.evergreen.gates.criteria import CriterionResult
from include.evergreen.gates.evaluate import evaluate
from include.evergreen.gates.rejections import alert_of_rejections
from include.evergreen.gates.report import render
from include.evergreen.registry import champions
from include.evergreen.state import ledger, mlflow_store
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import decisions
from include.evergreen.state.database.upsert import insert_once
from include.evergreen.state.effects import side_effect
from include.evergreen.training import Candidate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """The gate's word: ``blessed``, ``rejected`` or ``not_evaluated``. ``champion_version`` 0 means that there was none.

    A broken evaluation is tried again when the question is asked again: ``attempt`` counts the answers that differed.
    """

    id: int
    model: str
    run_key: str
    champion_version: int
    gate_digest: str
    as_of: dt.date
    attempt: int
    mode: str
    verdict: str
    criteria: list[dict[str, Any]]
    recorded_at: dt.datetime

    @property
    def would_be(self) -> str:
        """What the criteria alone say, whatever the gate's mode."""
        return verdict_of([each["verdict"] for each in self.criteria])

    @property
    def words(self) -> str:
        mode = f"{self.mode}, by the criteria alone {self.would_be}; " if self.mode == "dry_run" else ""
        return mode + "; ".join(f"{each['verdict']}: {each['words']}" for each in self.criteria)

    @property
    def brief(self) -> str:
        """How many criteria passed and, in words, those that did not."""
        verdicts = [each["verdict"] for each in self.criteria]
        unfit = f", {verdicts.count('not_applicable')} not applicable" if "not_applicable" in verdicts else ""
        told = [f"{each['verdict']}: {each['words']}" for each in self.criteria if each["verdict"] in ("failed", "not_evaluated")]
        return "; ".join([f"{verdicts.count('passed')} of {len(verdicts)} criteria passed{unfit}", *told])


def decide(catalog: Catalog, model: ModelConfig, candidate: Candidate) -> Decision:
    """Judge ``candidate`` against its holdout and the champion of now; the same question gets the same, recorded answer.

    Of a candidate that is champion, that is the decision that let it become so: it is not judged against itself. What is
    broken (an artifact, the holdout, checks.py) is recorded as not evaluated. Raises `TransientError`, and records nothing, when
    MLflow, the database or the storage does not answer.
    """
    champion = champions.champion(model.name)
    if champion and champion.run_key == candidate.run_key:
        blessing = blessing_of(candidate.run_key)
        assert blessing is not None
        return blessing
    key = {
        "run_key": candidate.run_key,
        "champion_version": champion.version if champion else 0,
        "gate_digest": gate_digest(catalog, model),
    }
    decision = _find(key)
    if decision is None or decision.verdict == "not_evaluated":
        results = evaluate(catalog, model, candidate, champion)
        decision = _record(key, model, candidate, results)
        for each in decision.criteria:
            log.info("%s as of %s: %s: %s", model.name, candidate.as_of, each["verdict"], each["words"])
    log.info("%s as of %s: the gate's decision is %s", model.name, candidate.as_of, decision.verdict)
    if decision.mode != "enabled":
        log.warning("%s as of %s: the gate's mode is %s: %s", model.name, candidate.as_of, decision.mode, decision.words)
    _log_report(decision, candidate)
    alert_of_rejections(model, decision)
    return decision


def gate_digest(catalog: Catalog, model: ModelConfig) -> str:
    """Of the question: the criteria, how they are judged and, where they ask for it, the text of checks.py.

    A default counts as not said, so a new key with a default makes no new question.
    """
    asked = model.gate.model_dump(mode="json", exclude_defaults=True, exclude=WITHOUT_EFFECT)
    if any(isinstance(each, BehaviourCriterion) for each in model.gate.criteria):
        asked["checks"] = checks_source(catalog, model)
    return document_digest(asked)


def verdict_of(verdicts: list[str]) -> str:
    """One failed criterion rejects; one that could not be evaluated leaves the candidate undecided; else it is blessed."""
    if "failed" in verdicts:
        return "rejected"
    return "not_evaluated" if "not_evaluated" in verdicts else "blessed"


def latest_decision(model: str) -> Decision | None:
    found = all_decisions(model, limit=1)
    return found[0] if found else None


def blessing_of(run_key: str, until: dt.datetime | None = None) -> Decision | None:
    """The newest blessed decision on a candidate, or the newest of those recorded by ``until``."""
    query = decisions.select().filter_by(run_key=run_key, verdict="blessed").order_by(decisions.c.id.desc()).limit(1)
    with reading() as connection:
        row = connection.execute(query if until is None else query.where(decisions.c.recorded_at <= until)).first()
    return Decision(**row._mapping) if row else None


def all_decisions(model: str, limit: int = 1000) -> list[Decision]:
    """The newest decisions first."""
    query = decisions.select().where(decisions.c.model == model).order_by(decisions.c.id.desc()).limit(limit)
    with reading() as connection:
        return [Decision(**row._mapping) for row in connection.execute(query)]


def _record(key: dict[str, Any], model: ModelConfig, candidate: Candidate, results: list[CriterionResult]) -> Decision:
    """The decision that stands: this one, unless another was quicker, or it says again what the last attempt said."""
    mode = model.gate.mode
    verdict = verdict_of([each.verdict for each in results]) if mode == "enabled" else "blessed"
    judged = [asdict(each) for each in results]
    with side_effect("gate.record"), writing() as connection:
        last = _newest(connection, key)
        if last is None or (last.verdict == "not_evaluated" and (verdict != last.verdict or _words(judged) != _words(last.criteria))):
            attempt = last.attempt + 1 if last else 1
            said = {"as_of": candidate.as_of, "mode": mode, "verdict": verdict, "criteria": judged}
            if insert_once(connection, decisions, {**key, "attempt": attempt}, {**said, "model": model.name, "recorded_at": clock.now()}):
                ledger.append(connection, kind="decision", model=model.name, body={**key, "attempt": attempt, **said})
    decision = _find(key)
    assert decision is not None
    return decision


def _words(criteria: list[dict[str, Any]]) -> list[str]:
    return [each["words"] for each in criteria if each["verdict"] == "not_evaluated"]


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
    return Decision(**row._mapping) if row else None
