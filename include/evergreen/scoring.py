"""Scores a partition with the champion that had not seen its day, and with the challenger in its shadow."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.evergreen import clock, storage
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.database import reading, writing
from include.evergreen.database.tables import prediction_sets
from include.evergreen.database.upsert import upsert
from include.evergreen.erasure import refuse_what_was_read_before_an_erasure
from include.evergreen.errors import ConfigError
from include.evergreen.features.build import feature_frame, features_source
from include.evergreen.features.reader import PartitionCache
from include.evergreen.partitions import current_partition
from include.evergreen.partitions.digest import document_digest, frame_digest
from include.evergreen.registry import champions, mlflow_store
from include.evergreen.stages import Stage, record_stage
from include.evergreen.training.candidate import one_thread, signature_digest
from include.evergreen.training.pipeline import predict

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictionSet:
    """The predictions of one model for one partition. Version 0 as challenger means that none was in shadow."""

    model: str
    partition: dt.date
    version: int
    challenger_version: int
    rows: int
    digest: str
    path: str
    input_digest: str
    origin: str

    def frame(self) -> pd.DataFrame:
        """The keys of the scored rows, their features, ``prediction`` and, with a challenger, ``challenger_prediction``."""
        return storage.read_frame(self.path)


@dataclass(frozen=True)
class Outcome:
    """What came of a stage: ``done``, ``unchanged``, ``waiting`` or ``skipped``, and why, in words."""

    status: str
    words: str
    facts: dict[str, Any]

    @property
    def is_done(self) -> bool:
        return self.status in {"done", "unchanged"}


def score(catalog: Catalog, model: ModelConfig, partition: dt.date, origin: str) -> Outcome:
    """Score ``partition`` unless an input is missing or no champion may score it; scoring again replaces, or finds, the same."""
    missing = missing_inputs(model, partition)
    if missing:
        return stage_waits(model, "score", partition, missing)
    serving = champions.champion_for(model.name, partition)
    if serving is None:
        words = f"no champion with an as_of up to {partition}: train and promote one first"
        record_stage(model.name, "score", partition, "skipped", {"words": words})
        return Outcome("skipped", words, {})
    _refuse_other_features(model, serving)
    shadow = champions.challenger_for(model.name, partition)
    if shadow and shadow.signature_digest != signature_digest(model):
        shadow = None
    input_digest = _input_digest(catalog, model, partition, serving, shadow)
    standing = find_predictions(model.name, partition)
    if standing and standing.input_digest == input_digest and storage.exists(standing.path):
        words = f"version {standing.version} has scored the same {standing.rows} rows already"
        record_stage(model.name, "score", partition, "done", {"words": words})
        return Outcome("unchanged", words, _facts(standing))
    began = clock.now()
    predictions = _predict(catalog, model, partition, serving, shadow)
    written = _keep(model, partition, predictions, serving.version, shadow.version if shadow else 0, input_digest, origin, began)
    words = f"{written.rows} rows scored by version {written.version}"
    if shadow:
        words += f", and by challenger {shadow.version} in its shadow"
    record_stage(model.name, "score", partition, "done", {"words": words})
    log.info("%s %s: %s", model.name, partition, words)
    return Outcome("done", words, _facts(written))


def find_predictions(model: str, partition: dt.date) -> PredictionSet | None:
    found = predictions_of(model, partition, partition)
    return found[0] if found else None


def predictions_of(model: str, first: dt.date = dt.date.min, last: dt.date = dt.date.max) -> list[PredictionSet]:
    """The prediction sets from ``first`` to ``last``, oldest first."""
    query = (
        prediction_sets.select()
        .where(prediction_sets.c.model == model, prediction_sets.c.partition.between(first, last))
        .order_by(prediction_sets.c.partition)
    )
    with reading() as connection:
        rows = connection.execute(query).all()
    return [PredictionSet(**{name: row._mapping[name] for name in PredictionSet.__dataclass_fields__}) for row in rows]


def missing_inputs(model: ModelConfig, partition: dt.date) -> list[str]:
    """The input partitions that ``partition`` needs and that are not there, as ``dataset/day``."""
    wanted = [(each.dataset, partition - dt.timedelta(days=each.lag_days)) for each in model.inputs]
    return [f"{dataset}/{day}" for dataset, day in wanted if current_partition(dataset, day) is None]


def stage_waits(model: ModelConfig, stage: Stage, partition: dt.date, missing: list[str]) -> Outcome:
    words = f"waiting for {', '.join(missing)}"
    record_stage(model.name, stage, partition, "waiting", {"words": words, "waiting_for": missing})
    return Outcome("waiting", words, {"waiting_for": missing})


def _refuse_other_features(model: ModelConfig, serving: champions.RegisteredVersion) -> None:
    if serving.signature_digest != signature_digest(model):
        raise ConfigError(
            f"{model.name}: version {serving.version} was trained on other features, or another target, than model.yaml declares now; "
            f"it cannot score with these. Train and promote a version with the new ones, or take the change back."
        )


def _predict(
    catalog: Catalog,
    model: ModelConfig,
    partition: dt.date,
    serving: champions.RegisteredVersion,
    shadow: champions.RegisteredVersion | None,
) -> pd.DataFrame:
    rows, features = feature_frame(catalog, model, partition, PartitionCache(partition))
    keys = rows[[key for key in catalog.dataset(model.rows).keys if key not in features.columns]]
    with one_thread():
        columns = {"prediction": predict(mlflow_store.load_model(serving.artifact_uri, serving.artifact_digest), model, features)}
        if shadow:
            challenger = mlflow_store.load_model(shadow.artifact_uri, shadow.artifact_digest)
            columns["challenger_prediction"] = predict(challenger, model, features)
    return keys.join(features).assign(**columns)


def _keep(
    model: ModelConfig,
    partition: dt.date,
    predictions: pd.DataFrame,
    version: int,
    shadow: int,
    input_digest: str,
    origin: str,
    began: dt.datetime,
) -> PredictionSet:
    digest = frame_digest(predictions)
    path = f"predictions/{model.name}/{partition}/{digest[:16]}.parquet"
    storage.write_frame(path, predictions)
    key = {"model": model.name, "partition": partition}
    values: dict[str, Any] = {"version": version, "challenger_version": shadow, "rows": len(predictions), "digest": digest, "path": path,
              "input_digest": input_digest, "origin": origin}  # fmt: skip
    with writing() as connection:
        refuse_what_was_read_before_an_erasure(connection, [each.dataset for each in model.inputs], began, is_derived=True)
        upsert(connection, prediction_sets, key, {**values, "recorded_at": clock.now()})
    return PredictionSet(model=model.name, partition=partition, **values)


def _input_digest(
    catalog: Catalog,
    model: ModelConfig,
    partition: dt.date,
    serving: champions.RegisteredVersion,
    shadow: champions.RegisteredVersion | None,
) -> str:
    """What decides the predictions: the versions, the features' code, and every partition that the features may read."""
    cache = PartitionCache(partition)
    known = {
        f"{each.dataset}/{version.partition}": version.digest
        for each in model.inputs
        for version in cache.known(
            each.dataset,
            partition,
            partition - dt.timedelta(days=each.lag_days + each.window_days - 1),
            partition - dt.timedelta(days=each.lag_days),
        )
    }
    versions = [serving.artifact_digest, shadow.artifact_digest if shadow else None]
    return document_digest({"known": known, "versions": versions, "features": features_source(catalog, model)})


def _facts(written: PredictionSet) -> dict[str, Any]:
    return {"rows": written.rows, "version": written.version, "challenger_version": written.challenger_version,
            "path": written.path, "origin": written.origin}  # fmt: skip
