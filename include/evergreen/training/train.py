"""Trains a candidate on a snapshot and records it, once for each run key, whatever is retried or killed."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.erased.stale_reads import refuse_stale_reads
from include.evergreen.features.build import error_text
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.serving.inference import one_thread
from include.evergreen.state import ledger, mlflow_store, storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import candidates
from include.evergreen.state.database.upsert import insert_once
from include.evergreen.state.effects import side_effect
from include.evergreen.training import claims, tracking
from include.evergreen.training.candidate import Candidate, find_candidate, holdout_path, recorded_candidate
from include.evergreen.training.fit_job import HOLDOUT, MODEL, REFERENCE, Fitter, Outcome, fit_here, sample_rows, split_by_time
from include.evergreen.training.metrics import CLASSES_FACT, THRESHOLD_FACT
from include.evergreen.training.pipeline import Chosen, declared
from include.evergreen.training.recipes import EDITION_FACT, Recipe, build_recipe, keep_recipe, signature_digest
from include.evergreen.training.snapshot import Snapshot
from include.evergreen.training.tuning import TuningResult

log = logging.getLogger(__name__)


def train(
    catalog: Catalog,
    model: ModelConfig,
    snapshot: Snapshot,
    reason: str,
    *,
    tags: Mapping[str, str] | None = None,
    fitter: Fitter = fit_here,
) -> tuple[Candidate, bool]:
    """Fit on all but the newest ``train.holdout``, measure on those, and log it all in one MLflow run, with ``tags``.

    The run key covers snapshot and recipe: training again what was trained finds it. What an attempt that was killed had chosen by
    tuning, the next one keeps. Raises `DataError` for rows that nothing can be learnt from or measured on, and `ConfigError` for an
    estimator that is refused.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param snapshot: the rows to train on
    :param reason: why it is trained, for the record
    :param tags: names and values of more tags for the MLflow run
    :param fitter: fits: in this process, or elsewhere; all that is recorded is recorded by this process
    :returns: the recorded candidate, and whether this call made it
    :raises TransientError: when MLflow, the database or the storage does not answer, and no other attempt recorded the candidate meanwhile
    """
    began, entered = clock.now(), time.monotonic()
    recipe = build_recipe(catalog, model)
    run_key = _run_key(recipe, snapshot)
    if existing := recorded_candidate(run_key):
        log.info("%s as of %s: already trained as MLflow run %s", model.name, snapshot.as_of, existing.mlflow_run_id)
        _restore_samples(model, snapshot, existing)
        _tidy(existing)
        return existing, False
    try:
        _attempt(catalog, model, snapshot, recipe, run_key, reason, tags or {}, fitter, began, entered)
    except TransientError:
        if (existing := recorded_candidate(run_key)) is None:
            raise
        log.info("%s as of %s: trained meanwhile as MLflow run %s, by another attempt", model.name, snapshot.as_of, existing.mlflow_run_id)
        _tidy(existing)
        return existing, False
    recorded = find_candidate(run_key)
    _tidy(recorded)
    return recorded, True


def _attempt(
    catalog: Catalog,
    model: ModelConfig,
    snapshot: Snapshot,
    recipe: Recipe,
    run_key: str,
    reason: str,
    tags: Mapping[str, str],
    fitter: Fitter,
    began: dt.datetime,
    entered: float,
) -> None:
    """Fit, log and record; another attempt that comes to its end first removes in MLflow what this one is writing."""
    attempt = fitter(model, snapshot, recipe.modules)
    run_id = tracking.begin_run(model.name, run_key, f"{model.name} as of {snapshot.as_of}", began)
    tell = partial(error_text, catalog, model)
    with tracking.failing(run_id, lambda: recorded_candidate(run_key) is not None, tell), TemporaryDirectory() as folder:
        kept = _kept_choice(run_key) if model.train.leaves_open else None
        settle = partial(_settle_choice, run_key) if model.train.leaves_open else _keep
        outcome = attempt(kept, settle, Path(folder))
        candidate = _log(model, snapshot, recipe, run_key, run_id, outcome, Path(folder), reason, tags)
        facts = {**candidate.facts, "seconds_around_fit": time.monotonic() - entered - outcome.fit_seconds}
        with side_effect("train.record"), writing() as connection:
            refuse_stale_reads(connection, {name.split("/")[0] for name in snapshot.members}, began, is_derived=True)
            values = {name: value for name, value in candidate.__dict__.items() if name not in {"run_key", "facts"}}
            keep_recipe(connection, recipe)
            if insert_once(connection, candidates, {"run_key": run_key}, {**values, "facts": facts, "recorded_at": clock.now()}):
                ledger.bind(connection, candidates, {"run_key": run_key}, kind="training")


def make_run_key(catalog: Catalog, model: ModelConfig, snapshot: Snapshot) -> str:
    """Make the run key by which `train` knows a training.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param snapshot: the rows to train on
    :returns: SHA-256, in hex, over model, as_of, snapshot and recipe
    """
    return _run_key(build_recipe(catalog, model), snapshot)


def _log(
    model: ModelConfig,
    snapshot: Snapshot,
    recipe: Recipe,
    run_key: str,
    run_id: str,
    outcome: Outcome,
    folder: Path,
    reason: str,
    tags: Mapping[str, str],
) -> Candidate:
    """Log what was fitted in MLflow, and keep its samples of rows; the record comes last."""
    chosen, tuning = outcome.result.chosen, outcome.result.tuning
    saved = tracking.SavedModel.at(folder / MODEL)
    facts = {
        "reason": reason,
        EDITION_FACT: recipe.edition,
        "fit_rows": outcome.training[0],
        "holdout_rows": outcome.holdout[0],
        "holdout_first": outcome.holdout[1],
        "holdout_last": outcome.holdout[2],
        "python": outcome.python,
        "environment": outcome.environment,
        "estimator": chosen.estimator,
        "parameters": chosen.parameters,
        "tuning": tuning,
        **({THRESHOLD_FACT: outcome.threshold} if outcome.threshold is not None else {}),
        **({CLASSES_FACT: list(outcome.classes)} if outcome.classes else {}),
        "fit_seconds": outcome.fit_seconds,
    }
    if tuning is not None:
        tracking.log_trials(model.name, run_key, run_id, tuning)
    artifact_uri = tracking.log_candidate(
        run_id,
        saved,
        params={
            **tracking.as_params(chosen.estimator, chosen.parameters),
            "seed": model.train.seed,
            "window": str(snapshot.window),
            "holdout": str(model.train.holdout),
        },
        metrics=outcome.metrics,
        tags={
            "evergreen.as_of": snapshot.as_of,
            "evergreen.snapshot": snapshot.digest,
            "evergreen.recipe": recipe.digest,
            "evergreen.reason": reason,
            **tags,
        },
        inputs=[
            tracking.Rows(context, snapshot.digest, snapshot.frame_path, rows, (first, last))
            for context, (rows, first, last) in (("training", outcome.training), ("holdout", outcome.holdout))
        ],
        documents={"training.json": facts},
    )
    reference_path = f"references/{model.name}/{run_key[:16]}.parquet"
    with side_effect("train.reference"):
        for path, name in ((reference_path, REFERENCE), (holdout_path(reference_path), HOLDOUT)):
            storage.write_bytes(path, (folder / name).read_bytes())
    return Candidate(
        run_key=run_key,
        model=model.name,
        as_of=snapshot.as_of,
        snapshot_digest=snapshot.digest,
        recipe_digest=recipe.digest,
        signature_digest=signature_digest(model),
        mlflow_run_id=run_id,
        artifact_uri=artifact_uri,
        artifact_digest=saved.digest,
        reference_path=reference_path,
        metrics=outcome.metrics,
        facts=facts,
    )


def _kept_choice(run_key: str) -> TuningResult | None:
    """An earlier attempt's choice, which counts."""
    kept = claims.settled_choice(run_key)
    return _as_result(kept) if kept is not None else None


def _settle_choice(run_key: str, result: TuningResult) -> TuningResult:
    with side_effect("train.choose"):
        return _as_result(claims.settle_choice(run_key, {**asdict(result.chosen), "tuning": result.tuning}))


def _keep(result: TuningResult) -> TuningResult:
    return result


def _as_result(kept: Mapping[str, Any]) -> TuningResult:
    return TuningResult(Chosen(kept["estimator"], kept["parameters"]), kept["tuning"])


def _restore_samples(model: ModelConfig, snapshot: Snapshot, candidate: Candidate) -> None:
    """Maintenance removes the samples of an old candidate that nobody wanted, earlier releases kept none of the holdout, and disks fail."""
    paths = {REFERENCE: candidate.reference_path, HOLDOUT: holdout_path(candidate.reference_path)}
    lost = [name for name, path in paths.items() if not _is_readable(path)]
    if not lost:
        return
    pipeline = mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest, model.train.trusted_types)
    for name, rows in zip(paths, split_by_time(model, snapshot.frame(), candidate.holdout_first), strict=True):
        if name in lost:
            with one_thread(), side_effect("train.reference"):
                storage.write_frame(paths[name], sample_rows(model, pipeline, rows, name))


def _is_readable(path: str) -> bool:
    try:
        storage.read_table(path)
    except DataError:
        return False
    return True


def _tidy(candidate: Candidate) -> None:
    """It is recorded, and counts; what other attempts left can wait for a day on which MLflow answers."""
    try:
        tracking.tidy(candidate.model, candidate.run_key, candidate.mlflow_run_id, candidate.artifact_uri)
    except TransientError as error:
        log.warning("%s: what other attempts left in MLflow is not removed now: %s", candidate.model, error)


def _run_key(recipe: Recipe, snapshot: Snapshot) -> str:
    return document_digest({"model": recipe.model, "as_of": snapshot.as_of, "snapshot": snapshot.digest, "recipe": recipe.digest})


def read_chosen(candidate: Candidate, model: ModelConfig) -> Chosen:
    """Say what was fitted.

    :param candidate: the candidate, whose facts say it, unless an older release trained it
    :param model: the model, as the candidate's recipe declares it, which says it then; `ConfigError` when that leaves it to tuning
    :returns: the estimator and its parameters
    """
    if "parameters" in candidate.facts:
        return Chosen(candidate.facts["estimator"], candidate.facts["parameters"])
    return declared(model)
