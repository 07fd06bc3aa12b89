"""Evaluates every criterion on the same rows, and records one decision for a candidate and a champion."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from include.evergreen import clock, ledger
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import AbsoluteCriterion
from include.evergreen.database import reading, writing
from include.evergreen.database.tables import decisions
from include.evergreen.database.upsert import insert_once
from include.evergreen.features.build import TARGET
from include.evergreen.gates.criteria import CriterionResult, judge_absolute, judge_against_champion
from include.evergreen.gates.holdout import own_features
from include.evergreen.partitions.digest import document_digest
from include.evergreen.recipes import recipe_of_version
from include.evergreen.registry import champions, mlflow_store
from include.evergreen.training import Candidate, find_snapshot
from include.evergreen.training.candidate import one_thread, split_by_time
from include.evergreen.training.metrics import measure
from include.evergreen.training.pipeline import predict

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """The gate's word: ``blessed``, ``rejected`` or ``not_evaluated``. ``champion_version`` 0 means that there was none."""

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
    def words(self) -> str:
        return "; ".join(f"{each['verdict']}: {each['words']}" for each in self.criteria)


def decide(catalog: Catalog, model: ModelConfig, candidate: Candidate) -> Decision:
    """Judge ``candidate`` against its holdout and the champion of now; the same question gets the same, recorded answer.

    Of a candidate that is champion, that is the decision that let it become so: it is not judged against itself.
    """
    champion = champions.champion(model.name)
    if champion and champion.run_key == candidate.run_key:
        return _blessing_of(candidate.run_key)
    key = {
        "run_key": candidate.run_key,
        "champion_version": champion.version if champion else 0,
        "gate_digest": document_digest(model.gate.model_dump(mode="json")),
    }
    if found := _find(key):
        log.info("%s as of %s: already decided: %s", model.name, candidate.as_of, found.verdict)
        return found
    snapshot = find_snapshot(candidate.snapshot_digest)
    _, holdout = split_by_time(model, snapshot.frame())
    recipe = recipe_of_version(catalog, model, candidate.recipe_digest, candidate.signature_digest)
    measured = _measure_again(recipe.config(model), holdout, holdout, candidate)
    others, why_none = None, "there is no champion yet"
    if champion:
        theirs = recipe_of_version(catalog, model, champion.recipe_digest, champion.signature_digest)
        others_config = theirs.config(model)
        if (others_config.target, others_config.rows) != (model.target, model.rows):
            why_none = f"there is no champion with this target (version {champion.version} has another)"
        elif champion.as_of <= candidate.as_of:
            same = theirs.features_digest == recipe.features_digest
            own = holdout if same else own_features(catalog, model, theirs, snapshot.as_of, holdout)
            others = _measure_again(others_config, holdout, own, champion)
        else:  # it may have been fitted on this very holdout
            why_none = f"there is no champion that knew as little (it is as of {champion.as_of})"
    results = [
        judge_absolute(each, measured)
        if isinstance(each, AbsoluteCriterion)
        else judge_against_champion(each, model, measured, others, why_none)
        for each in model.gate.criteria
    ]
    verdict = verdict_of(results)
    with writing() as connection:
        criteria = [asdict(each) for each in results]
        values = {"model": model.name, "as_of": candidate.as_of, "verdict": verdict, "criteria": criteria, "recorded_at": clock.now()}
        if insert_once(connection, decisions, {**key, "attempt": 1}, values):
            body = {**key, "as_of": candidate.as_of, "verdict": verdict, "criteria": criteria}
            ledger.append(connection, kind="decision", model=model.name, body=body)
    decision = _find(key)
    assert decision is not None
    for each in results:
        log.info("%s as of %s: %s: %s", model.name, candidate.as_of, each.verdict, each.words)
    log.info("%s as of %s: the gate's decision is %s", model.name, candidate.as_of, decision.verdict)
    return decision


def verdict_of(results: list[CriterionResult]) -> str:
    """One failed criterion rejects; one that could not be evaluated leaves the candidate undecided; else it is blessed."""
    verdicts = {each.verdict for each in results}
    if "failed" in verdicts:
        return "rejected"
    return "not_evaluated" if "not_evaluated" in verdicts else "blessed"


def latest_decision(model: str) -> Decision | None:
    found = all_decisions(model, limit=1)
    return found[0] if found else None


def all_decisions(model: str, limit: int = 1000) -> list[Decision]:
    """The newest decisions first."""
    query = decisions.select().where(decisions.c.model == model).order_by(decisions.c.id.desc()).limit(limit)
    with reading() as connection:
        return [Decision(**row._mapping) for row in connection.execute(query)]


def _measure_again(
    model: ModelConfig, holdout: pd.DataFrame, features: pd.DataFrame, judged: Candidate | champions.RegisteredVersion
) -> dict[str, float]:
    """The metrics of a stored model on the holdout: of the artifact itself, not of what training said."""
    pipeline = mlflow_store.load_model(judged.artifact_uri, judged.artifact_digest)
    with one_thread():
        predicted = predict(pipeline, model, features[[feature.name for feature in model.features]])
    return measure(model, holdout[TARGET].to_numpy(), predicted)


def _blessing_of(run_key: str) -> Decision:
    blessed = decisions.select().where(decisions.c.run_key == run_key, decisions.c.verdict == "blessed")
    with reading() as connection:
        return Decision(**connection.execute(blessed.order_by(decisions.c.id.desc()).limit(1)).one()._mapping)


def _find(key: dict[str, Any]) -> Decision | None:
    with reading() as connection:
        row = connection.execute(decisions.select().filter_by(**key).order_by(decisions.c.attempt.desc())).first()
    return Decision(**row._mapping) if row else None
