"""Trains a candidate on a snapshot and records it, once for each run key, whatever is retried or killed."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.erased.stale_reads import refuse_stale_reads
from include.evergreen.features.build import TARGET
from include.evergreen.features.reader import PARTITION_COLUMN
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.serving.inference import as_fitted, one_thread
from include.evergreen.state import ledger, mlflow_store, storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import candidates
from include.evergreen.state.database.upsert import insert_once
from include.evergreen.state.effects import side_effect
from include.evergreen.training import claims, tracking
from include.evergreen.training.candidate import Candidate, find_candidate, recorded_candidate
from include.evergreen.training.environment import environment
from include.evergreen.training.fitting import learn, newest_apart
from include.evergreen.training.metrics import measure
from include.evergreen.training.pipeline import MIN_CATEGORY_ROWS, Chosen, declared, predict
from include.evergreen.training.recipes import Recipe, build_recipe, keep_recipe, signature_digest
from include.evergreen.training.snapshot import Snapshot
from include.evergreen.training.tuning import TuningResult, check_choices, choose

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)


def train(
    catalog: Catalog, model: ModelConfig, snapshot: Snapshot, reason: str, *, tags: Mapping[str, str] | None = None
) -> tuple[Candidate, bool]:
    """Fit on all but the newest ``train.holdout_days`` days, measure on those, and log it all in one MLflow run, with ``tags``.

    The run key covers snapshot and recipe: training again what was trained finds it. What an attempt that was killed had chosen by
    tuning, the next one keeps. Raises `DataError` for rows that nothing can be learnt from or measured on, `ConfigError` for an
    estimator that is refused, and `TransientError` when MLflow, the database or the storage does not answer.

    :param catalog: what is declared now
    :param model: the model to train
    :param snapshot: the rows to train on
    :param reason: why it is trained, for the record
    :param tags: names and values of more tags for the MLflow run
    :returns: the recorded candidate, and whether this call made it
    """
    began, entered = clock.now(), time.monotonic()
    recipe = build_recipe(catalog, model)
    run_key = _run_key(recipe, snapshot)
    if existing := recorded_candidate(run_key):
        log.info("%s as of %s: already trained as MLflow run %s", model.name, snapshot.as_of, existing.mlflow_run_id)
        _restore_reference(model, snapshot, existing)
        _tidy(existing)
        return existing, False
    fit_rows, holdout = split_by_time(model, snapshot.frame())
    _refuse_rows(model, snapshot, fit_rows, holdout)
    check_choices(model)
    run_id = tracking.begin_run(model.name, run_key, f"{model.name} as of {snapshot.as_of}", began)
    with tracking.failing(run_id, is_recorded=lambda: recorded_candidate(run_key) is not None):
        fitting = time.monotonic()
        outcome = _settled(run_key, model, fit_rows)
        fitted = fit_chosen(model, fit_rows, holdout, outcome.chosen)
        fit_seconds = time.monotonic() - fitting
        log.info(
            "%s as of %s: fitted on %d rows; on the holdout of %d rows: %s", model.name, snapshot.as_of, len(fit_rows), len(holdout),
            ", ".join(f"{name} {value:.4f}" for name, value in fitted.metrics.items()),
        )  # fmt: skip
        facts = {
            "reason": reason,
            "fit_rows": len(fit_rows),
            "holdout_rows": len(holdout),
            "holdout_first": str(holdout[PARTITION_COLUMN].min()),
            "holdout_last": str(holdout[PARTITION_COLUMN].max()),
            "python": platform.python_version(),
            "environment": fitted.environment,
            "estimator": outcome.chosen.estimator,
            "parameters": outcome.chosen.parameters,
            "tuning": outcome.tuning,
            "fit_seconds": fit_seconds,
        }
        example = typical_row(model, fit_rows)
        with tracking.saved(model, fitted.pipeline, as_fitted(example), predict(fitted.pipeline, model, example)) as saved:
            if outcome.tuning is not None:
                tracking.log_trials(model.name, run_key, run_id, outcome.tuning)
            artifact_uri = tracking.log_candidate(
                run_id,
                saved,
                params={
                    **tracking.as_params(outcome.chosen.estimator, outcome.chosen.parameters),
                    "seed": model.train.seed,
                    "window_days": snapshot.window_days,
                    "holdout_days": model.train.holdout_days,
                },
                metrics=fitted.metrics,
                tags={
                    "evergreen.as_of": snapshot.as_of,
                    "evergreen.snapshot": snapshot.digest,
                    "evergreen.recipe": recipe.digest,
                    "evergreen.reason": reason,
                    **(tags or {}),
                },
                inputs=[_tracked_rows(snapshot, "training", fit_rows), _tracked_rows(snapshot, "holdout", holdout)],
                documents={"training.json": facts},
            )
        reference_path = f"references/{model.name}/{run_key[:16]}.parquet"
        with side_effect("train.reference"):
            storage.write_frame(reference_path, reference_rows(model, fitted.pipeline, fit_rows))
        candidate = Candidate(
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
            metrics=fitted.metrics,
            facts={**facts, "seconds_around_fit": time.monotonic() - entered - fit_seconds},
        )
        with side_effect("train.record"), writing() as connection:
            refuse_stale_reads(connection, {name.split("/")[0] for name in snapshot.members}, began, is_derived=True)
            values = {name: value for name, value in candidate.__dict__.items() if name != "run_key"}
            keep_recipe(connection, recipe)
            if insert_once(connection, candidates, {"run_key": run_key}, {**values, "recorded_at": clock.now()}):
                ledger.bind(connection, candidates, {"run_key": run_key}, kind="training")
    recorded = find_candidate(run_key)
    _tidy(recorded)
    return recorded, True


@dataclass(frozen=True)
class Fitted:
    """A pipeline fitted on a training's rows, its metrics on the holdout, and the `environment` it was fitted in."""

    pipeline: Pipeline
    metrics: dict[str, float]
    environment: dict[str, Any]


def fit_chosen(model: ModelConfig, fit_rows: pd.DataFrame, holdout: pd.DataFrame, chosen: Chosen) -> Fitted:
    """Fit and measure as `train` does, with no effect on anything outside: equal rows and an equal choice give equal bits.

    :param model: the model, as its recipe declares it
    :param fit_rows: the rows of the training frame to fit on
    :param holdout: the rows of the training frame to measure on
    :param chosen: the estimator and its parameters
    :returns: the fitted pipeline, its metrics on the holdout and the environment
    """
    pipeline = learn(model, fit_rows, chosen)
    with one_thread():
        predicted = predict(pipeline, model, holdout[model.feature_names])
        return Fitted(pipeline, measure(model, holdout[TARGET].to_numpy(), predicted), environment())


def make_run_key(catalog: Catalog, model: ModelConfig, snapshot: Snapshot) -> str:
    """The run key by which `train` knows a training of this model, as it is declared now, on a snapshot."""
    return _run_key(build_recipe(catalog, model), snapshot)


def split_by_time(model: ModelConfig, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a training frame into the rows to fit on and the holdout: the newest ``train.holdout_days`` days that the frame has."""
    return newest_apart(frame, model.train.holdout_days)


def reference_rows(model: ModelConfig, pipeline: Any, fit_rows: pd.DataFrame) -> pd.DataFrame:
    """Draw a fixed sample of what a candidate was fitted on, with its predictions: what drift is measured against.

    :param model: the model, whose ``monitor.reference_rows`` and ``train.seed`` decide which rows are drawn
    :param pipeline: the fitted pipeline
    :param fit_rows: the rows of the training frame that it was fitted on
    :returns: the drawn rows in their order, with the column ``prediction``
    """
    sample = fit_rows.sample(n=min(model.monitor.reference_rows, len(fit_rows)), random_state=model.train.seed).sort_index()
    features = sample[model.feature_names]
    return sample.assign(prediction=predict(pipeline, model, features)).reset_index(drop=True)


def _restore_reference(model: ModelConfig, snapshot: Snapshot, candidate: Candidate) -> None:
    """Maintenance removes the reference sample of an old candidate that nobody wanted; if somebody does now, it is needed."""
    if storage.exists(candidate.reference_path):
        return
    pipeline = mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest, model.train.trusted_types)
    with one_thread(), side_effect("train.reference"):
        storage.write_frame(candidate.reference_path, reference_rows(model, pipeline, split_by_time(model, snapshot.frame())[0]))


def typical_row(model: ModelConfig, rows: pd.DataFrame) -> pd.DataFrame:
    """One row that nobody has: of each number the median, of each category the most frequent, or none where all are rare.

    It goes to MLflow as the input example, from where a person's row could not be erased.

    :param model: the model, which declares the features
    :param rows: rows with these features
    :returns: a frame of one row, with the features in their declared order
    """
    import pandas as pd

    typical = {}
    for feature in model.features:
        column = rows[feature.name]
        if feature.kind == "numeric":
            typical[feature.name] = pd.Series([column.median()], dtype="float64")
        else:
            counts = column.value_counts()
            common = counts[counts >= MIN_CATEGORY_ROWS]
            typical[feature.name] = pd.Series([common.index[0] if len(common) and not feature.personal else None], dtype="string")
    return pd.DataFrame(typical)


def _settled(run_key: str, model: ModelConfig, fit_rows: pd.DataFrame) -> TuningResult:
    """The choice that counts for this run key: an earlier attempt's, or what tuning finds now."""
    if not model.train.leaves_open:
        return choose(model, fit_rows)
    kept = claims.settled_choice(run_key)
    if kept is None:
        result = choose(model, fit_rows)
        with side_effect("train.choose"):
            kept = claims.settle_choice(run_key, {**asdict(result.chosen), "tuning": result.tuning})
    return TuningResult(Chosen(kept["estimator"], kept["parameters"]), kept["tuning"])


def _refuse_rows(model: ModelConfig, snapshot: Snapshot, fit_rows: pd.DataFrame, holdout: pd.DataFrame) -> None:
    """Before anything is done: rows of which nothing can be learnt, or on which nothing can be measured."""
    for rows, message in ((fit_rows, "there are no rows to fit on"), (holdout, "the holdout has no rows")):
        if not len(rows):
            raise DataError(
                f"{model.name} as of {snapshot.as_of}: {message}. The snapshot has rows of {snapshot.frame()[PARTITION_COLUMN].nunique()} "
                f"days, of which train.holdout_days keeps the newest {model.train.holdout_days}. Ingest more days, or choose a later as_of."
            )
    if model.task == "classification" and fit_rows[TARGET].nunique() < 2:
        raise DataError(
            f"{model.name} as of {snapshot.as_of}: all {len(fit_rows)} rows to fit on have the same target, so there is "
            f"nothing to learn. Check target.positive_above ({model.target.positive_above}) and the window."
        )


def _tracked_rows(snapshot: Snapshot, context: str, rows: pd.DataFrame) -> tracking.Rows:
    days = rows[PARTITION_COLUMN]
    return tracking.Rows(context, snapshot.digest, snapshot.frame_path, len(rows), (str(days.min()), str(days.max())))


def _tidy(candidate: Candidate) -> None:
    """It is recorded, and counts; what other attempts left can wait for a day on which MLflow answers."""
    try:
        tracking.tidy(candidate.model, candidate.run_key, candidate.mlflow_run_id, candidate.artifact_uri)
    except TransientError as error:
        log.warning("%s: what other attempts left in MLflow is not removed now: %s", candidate.model, error)


def _run_key(recipe: Recipe, snapshot: Snapshot) -> str:
    return document_digest({"model": recipe.model, "as_of": snapshot.as_of, "snapshot": snapshot.digest, "recipe": recipe.digest})


def read_chosen(candidate: Candidate, model: ModelConfig) -> Chosen:
    """What was fitted; ``model`` is what the candidate was trained as, and says it of those of older releases."""
    if "parameters" in candidate.facts:
        return Chosen(candidate.facts["estimator"], candidate.facts["parameters"])
    return declared(model)
