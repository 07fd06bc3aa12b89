"""Fits a candidate on a snapshot, and keeps it: once for each run key, whatever is retried or killed."""

from __future__ import annotations

import datetime as dt
import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.evergreen import clock, storage
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.database import reading, writing
from include.evergreen.database.tables import candidates
from include.evergreen.database.upsert import insert_once
from include.evergreen.erasure import refuse_what_was_read_before_an_erasure
from include.evergreen.errors import DataError
from include.evergreen.features.build import TARGET
from include.evergreen.features.reader import PARTITION_COLUMN
from include.evergreen.partitions.digest import document_digest
from include.evergreen.recipes import keep_recipe, recipe_of, signature_digest
from include.evergreen.registry import mlflow_store
from include.evergreen.training.metrics import measure
from include.evergreen.training.pipeline import MIN_CATEGORY_ROWS, as_fitted, build_pipeline, fit, predict
from include.evergreen.training.snapshot import Snapshot

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)
THREADS = 1  # measured: on shared cores more threads are slower, and one gives the same bits every time


@dataclass(frozen=True)
class Candidate:
    """A trained model, before any gate. ``metrics`` are those on its holdout."""

    run_key: str
    model: str
    as_of: dt.date
    snapshot_digest: str
    recipe_digest: str
    signature_digest: str
    mlflow_run_id: str
    artifact_uri: str
    artifact_digest: str
    reference_path: str
    metrics: dict[str, float]
    facts: dict[str, Any]


def train(catalog: Catalog, model: ModelConfig, snapshot: Snapshot, reason: str) -> tuple[Candidate, bool]:
    """Fit on all but the newest ``train.holdout_days`` days, measure on those, and log it all in one MLflow run.

    The run key covers snapshot and recipe: training again what was trained finds it, and also says that it is not new.
    """
    began = clock.now()
    recipe = recipe_of(catalog, model)
    run_key = document_digest({"model": model.name, "as_of": snapshot.as_of, "snapshot": snapshot.digest, "recipe": recipe.digest})
    if found := _find(run_key):
        log.info("%s as of %s: already trained as MLflow run %s", model.name, snapshot.as_of, found.mlflow_run_id)
        _restore_reference(model, snapshot, found)
        return found, False
    fit_rows, holdout = split_by_time(model, snapshot.frame())
    pipeline = build_pipeline(model)
    features = [feature.name for feature in model.features]
    with one_thread():
        _refuse_one_class(model, snapshot, fit_rows)
        fit(pipeline, model, fit_rows[features], fit_rows[TARGET].to_numpy())
        metrics = measure(model, holdout[TARGET].to_numpy(), predict(pipeline, model, holdout[features]))
    log.info("%s as of %s: fitted on %d rows; on the holdout of %d rows: %s", model.name, snapshot.as_of, len(fit_rows),
             len(holdout), ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))  # fmt: skip
    example = typical_row(model, fit_rows)
    reference_path = f"references/{model.name}/{run_key[:16]}.parquet"
    storage.write_frame(reference_path, reference_rows(model, pipeline, fit_rows))
    facts = {
        "reason": reason,
        "fit_rows": len(fit_rows),
        "holdout_rows": len(holdout),
        "holdout_first": str(holdout[PARTITION_COLUMN].min()),
        "holdout_last": str(holdout[PARTITION_COLUMN].max()),
        "python": platform.python_version(),
        "estimator": model.train.estimator,
    }
    logged = mlflow_store.log_candidate(
        model=model.name,
        run_key=run_key,
        run_name=f"{model.name} as of {snapshot.as_of}",
        pipeline=pipeline,
        example=as_fitted(example),
        predicted=predict(pipeline, model, example),
        params={
            "estimator": model.train.estimator,
            **model.train.parameters,
            "seed": model.train.seed,
            "window_days": snapshot.window_days,
            "holdout_days": model.train.holdout_days,
        },
        metrics=metrics,
        tags={"as_of": snapshot.as_of, "snapshot": snapshot.digest, "recipe": recipe.digest, "reason": reason},
    )
    candidate = Candidate(
        run_key=run_key,
        model=model.name,
        as_of=snapshot.as_of,
        snapshot_digest=snapshot.digest,
        recipe_digest=recipe.digest,
        signature_digest=signature_digest(model),
        mlflow_run_id=logged.run_id,
        artifact_uri=logged.artifact_uri,
        artifact_digest=logged.artifact_digest,
        reference_path=reference_path,
        metrics=metrics,
        facts=facts,
    )
    with writing() as connection:
        read = {name.split("/")[0] for name in snapshot.members}
        refuse_what_was_read_before_an_erasure(connection, read, began, is_derived=True)
        values = {name: value for name, value in candidate.__dict__.items() if name != "run_key"}
        keep_recipe(connection, recipe)
        insert_once(connection, candidates, {"run_key": run_key}, {**values, "recorded_at": clock.now()})
    return find_candidate(run_key), True


def find_candidate(run_key: str) -> Candidate:
    """The candidate with this run key; `DataError` when there is none."""
    if found := _find(run_key):
        return found
    raise DataError(f"No candidate with run key {run_key!r} is recorded. Run the training from its first task.")


def split_by_time(model: ModelConfig, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to fit on, and the holdout: the newest ``train.holdout_days`` days that the frame has."""
    held_out = sorted(frame[PARTITION_COLUMN].unique())[-model.train.holdout_days :]
    newest = frame[PARTITION_COLUMN].isin(held_out)
    return frame[~newest], frame[newest]


def reference_rows(model: ModelConfig, pipeline: Any, fit_rows: pd.DataFrame) -> pd.DataFrame:
    """A fixed sample of what the candidate was fitted on, with its predictions: what drift is measured against."""
    sample = fit_rows.sample(n=min(model.monitor.reference_rows, len(fit_rows)), random_state=model.train.seed).sort_index()
    features = sample[[feature.name for feature in model.features]]
    return sample.assign(prediction=predict(pipeline, model, features)).reset_index(drop=True)


def _restore_reference(model: ModelConfig, snapshot: Snapshot, candidate: Candidate) -> None:
    """Maintenance removes the reference sample of an old candidate that nobody wanted; if somebody does now, it is needed."""
    if storage.exists(candidate.reference_path):
        return
    pipeline = mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest)
    with one_thread():
        storage.write_frame(candidate.reference_path, reference_rows(model, pipeline, split_by_time(model, snapshot.frame())[0]))


def typical_row(model: ModelConfig, rows: pd.DataFrame) -> pd.DataFrame:
    """One row that nobody has: of each number the median, of each category the most frequent, or none where all are rare.

    It goes to MLflow as the input example, from where a person's row could not be erased.
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


@contextmanager
def one_thread() -> Iterator[None]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=THREADS):
        yield


def _refuse_one_class(model: ModelConfig, snapshot: Snapshot, fit_rows: pd.DataFrame) -> None:
    if model.task == "classification" and fit_rows[TARGET].nunique() < 2:
        raise DataError(
            f"{model.name} as of {snapshot.as_of}: all {len(fit_rows)} rows to fit on have the same target, so there is "
            f"nothing to learn. Check target.positive_above ({model.target.positive_above}) and the window."
        )


def _find(run_key: str) -> Candidate | None:
    with reading() as connection:
        row = connection.execute(candidates.select().where(candidates.c.run_key == run_key)).first()
    if row is None:
        return None
    return Candidate(**{name: row._mapping[name] for name in Candidate.__dataclass_fields__})
