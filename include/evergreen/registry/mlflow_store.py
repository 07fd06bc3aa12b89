"""All that we ask of MLflow: one run for each run key, one registered version for each blessed run, two aliases.

MLflow shows people what there is. What is served is decided by our own database (`champions`).
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from include.evergreen.errors import ConfigError, DataError, TransientError
from include.evergreen.quiet import import_quietly
from include.evergreen.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pandas as pd
    from mlflow import MlflowClient
    from sklearn.pipeline import Pipeline

RUN_KEY_TAG = "evergreen.run_key"
TRUSTED_TYPES = ["numpy.dtype"]  # plain data; skops trusts scikit-learn's own types by itself
HTTP_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class LoggedModel:
    run_id: str
    artifact_uri: str
    artifact_digest: str


def _reaching_mlflow(function: Callable[P, R]) -> Callable[P, R]:
    """MLflow's own errors name no server; ours do, and say that a retry may help."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return function(*args, **kwargs)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            uri = Settings.from_environment().mlflow_tracking_uri
            raise TransientError(
                f"The MLflow store {uri} could not be used: {str(error).splitlines()[0][:300]}. "
                f"Is it running, and is MLFLOW_TRACKING_URI right?"
            ) from error

    return wrapped


@_reaching_mlflow
def log_candidate(
    *,
    model: str,
    run_key: str,
    run_name: str,
    pipeline: Pipeline,
    example: pd.DataFrame,
    predicted: np.ndarray,
    params: dict[str, Any],
    metrics: dict[str, float],
    tags: dict[str, Any],
) -> LoggedModel:
    """Log a fitted pipeline with its facts in the one run of ``run_key``; a retry continues that run."""
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.models import infer_signature

    client = _client()
    run_id = _run_of(client, model, run_key, run_name)
    moment = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, moment, 0) for name, value in metrics.items()],
        params=[Param(name, str(value)) for name, value in params.items()],
        tags=[RunTag(f"evergreen.{name}", str(value)) for name, value in tags.items()],
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        _save(model, pipeline, path, example, infer_signature(example, predicted))
        digest = _folder_digest(path)
        artifact = f"model-{digest[:12]}"  # named by content: a second process cannot overwrite what the first recorded
        client.log_artifacts(run_id, str(path), artifact)
    client.set_terminated(run_id)
    return LoggedModel(run_id, f"{client.get_run(run_id).info.artifact_uri}/{artifact}", digest)


@_reaching_mlflow
def load_model(artifact_uri: str, artifact_digest: str) -> Pipeline:
    """The fitted pipeline at ``artifact_uri``, loaded without running any code from it.

    Raises `DataError` when its bytes are not those that were registered.
    """
    import mlflow.artifacts

    skops_io = import_quietly("skops.io")

    with tempfile.TemporaryDirectory() as folder:
        local = url2pathname(urlsplit(artifact_uri).path) if artifact_uri.startswith("file:") else None
        path = Path(local or mlflow.artifacts.download_artifacts(artifact_uri=artifact_uri, dst_path=folder))
        found = _folder_digest(path)
        if found != artifact_digest:
            raise DataError(
                f"The model at {artifact_uri} has digest {found[:12]}, but {artifact_digest[:12]} was registered: "
                f"its files were changed. It is not served. Restore them, or train again."
            )
        return skops_io.load(path / "model.skops", trusted=TRUSTED_TYPES)


@_reaching_mlflow
def register_version(model: str, run_key: str, run_id: str, artifact_uri: str, tags: dict[str, str], *, is_challenger: bool) -> int:
    """The registered version of this run, made now unless it stands already; a challenger that is the newest gets the alias."""
    from mlflow.exceptions import MlflowException

    client = _client()
    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    standing = client.search_model_versions(f"name = '{model}'")
    found = [each for each in standing if each.run_id == run_id]
    version = found[0] if found else client.create_model_version(model, artifact_uri, run_id=run_id, tags={RUN_KEY_TAG: run_key, **tags})
    is_newest = all(int(each.version) <= int(version.version) for each in standing)  # an old one that is found again moves nothing
    if is_challenger and is_newest:
        client.set_registered_model_alias(model, "challenger", version.version)
    return int(version.version)


@_reaching_mlflow
def set_champion_alias(model: str, version: int) -> None:
    _client().set_registered_model_alias(model, "champion", str(version))


@_reaching_mlflow
def champion_alias(model: str) -> int | None:
    """The version that MLflow's alias names, for comparison with ours."""
    from mlflow.exceptions import MlflowException

    try:
        return int(_client().get_model_version_by_alias(model, "champion").version)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


@_reaching_mlflow
def prepare_store() -> None:
    """Make MLflow's tables now rather than in the first task."""
    _client().search_experiments(max_results=1)


def _save(model: str, pipeline: Pipeline, path: Path, example: pd.DataFrame, signature: Any) -> None:
    import mlflow.sklearn

    import_quietly("skops.io")
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        with _quiet_mlflow():
            mlflow.sklearn.save_model(
                pipeline,
                str(path),
                serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
                skops_trusted_types=TRUSTED_TYPES,
                signature=signature,
                input_example=example,
                pip_requirements=["scikit-learn", "skops"],
            )
    except mlflow.exceptions.MlflowException as error:
        if not isinstance(error.__context__, UntrustedTypesFoundException):
            raise
        raise ConfigError(
            f"{model}: the estimator cannot be stored in a form that loads without running code: {error.__context__} "
            f"Choose an estimator of scikit-learn's own."
        ) from error


def _client() -> MlflowClient:
    for name, value in HTTP_LIMITS.items():
        os.environ.setdefault(name, value)  # its own defaults keep a task waiting for many minutes
    from mlflow import MlflowClient

    uri = Settings.from_environment().mlflow_tracking_uri
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _run_of(client: MlflowClient, model: str, run_key: str, run_name: str) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(model)
    if experiment is None:
        artifacts = Settings.from_environment().mlflow_artifacts
        try:
            experiment_id = client.create_experiment(model, artifact_location=f"{artifacts}/{model}" if artifacts else None)
        except MlflowException as error:  # another run made it in the meantime
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment_id = client.get_experiment_by_name(model).experiment_id
    else:
        experiment_id = experiment.experiment_id
    found = client.search_runs([experiment_id], filter_string=f"tags.`{RUN_KEY_TAG}` = '{run_key}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    return str(client.create_run(experiment_id, run_name=run_name, tags={RUN_KEY_TAG: run_key}).info.run_id)


def _folder_digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of all files in ``folder``."""
    hasher = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        hasher.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode())
        hasher.update(file.read_bytes())
    return hasher.hexdigest()


@contextmanager
def _quiet_mlflow() -> Iterator[None]:
    """MLflow warns about pip environments that nobody asks it to make."""
    import logging

    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
