"""The MLflow registry: one registered version for each blessed run, and two aliases. (`training.tracking` logs the runs.)

MLflow displays versions to people; our own database decides what is served (`champions`).
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.foundation.settings import Settings
from include.evergreen.foundation.silent_import import import_quietly
from include.evergreen.state.model_types import UntrustedTypesError, types_to_trust

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from sklearn.pipeline import Pipeline

Alias = Literal["champion", "challenger"]
RUN_KEY_TAG = "evergreen.run_key"
MODEL_FILE = "model.skops"
ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}  # what MLflow answers for an alias or a version that is not there
HTTP_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}

P = ParamSpec("P")
R = TypeVar("R")


class ArtifactError(DataError):
    """A model's files are gone, or not those that were recorded, or of a kind that is not loaded."""


class UnloadableError(ArtifactError):
    """The files are those that were recorded, and this process can make no model of them."""


def reaching_mlflow(function: Callable[P, R]) -> Callable[P, R]:
    """Turn what MLflow raises in a function into `TransientError`: its own errors name no server; ours do, and say what may help.

    :param function: uses MLflow's store; what it raises that is neither MLflow's, nor of a database or the disk, passes
    :returns: the function with the same signature
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if not isinstance(error, _refusals()):
                raise
            uri = Settings.from_environment().mlflow_tracking_uri
            raise TransientError(
                f"The MLflow store {uri} could not be used: {(str(error).splitlines() or [type(error).__name__])[0][:300]}. "
                f"Is it running, and is MLFLOW_TRACKING_URI right?"
            ) from error

    return wrapped


def _refusals() -> tuple[type[Exception], ...]:
    """What a store, or the disk, says when it cannot be used. A local artifact is loaded without MLflow, whose import takes seconds."""
    mlflow, sqlalchemy = sys.modules.get("mlflow.exceptions"), sys.modules.get("sqlalchemy.exc")
    return (OSError, *([mlflow.MlflowException] if mlflow else []), *([sqlalchemy.SQLAlchemyError] if sqlalchemy else []))


@reaching_mlflow
def load_model(artifact_uri: str, artifact_digest: str, trusted_types: Sequence[str] = ()) -> Pipeline:
    """Load a fitted pipeline without running any code from its files.

    :param artifact_uri: the folder of the model's files, local or in MLflow's store
    :param artifact_digest: their `folder_digest`, as it was recorded
    :param trusted_types: full names of classes that it may hold besides scikit-learn's (the model's ``train.trusted_types``)
    :returns: the pipeline
    :raises ArtifactError: when the files are not those that were recorded, or are gone, or hold another type
    :raises UnloadableError: when the files are those that were recorded, and skops can make no model of them
    """
    skops_io = import_quietly("skops.io")
    with _artifact(artifact_uri, artifact_digest) as path:
        if not (path / MODEL_FILE).is_file():
            raise ArtifactError(
                f"The model at {artifact_uri} has no {MODEL_FILE}, the one format that loads without running code. Train again."
            )
        try:
            file = (path / MODEL_FILE).read_bytes()
            return skops_io.loads(file, trusted=types_to_trust(file, trusted_types))
        except UntrustedTypesError as error:
            raise ArtifactError(
                f"The model at {artifact_uri} is not loaded: {error}, untrusted types. Allow them by name in train.trusted_types of its "
                f"model.yaml if you trust who wrote it, or train with another estimator."
            ) from error
        except Exception as error:  # whatever a file that is no such model makes skops raise
            raise UnloadableError(
                f"The model at {artifact_uri} cannot be loaded: {type(error).__name__}: {str(error)[:300]}. It was recorded so; its "
                f"{MODEL_FILE} is no model, or one of another release of skops or of its estimator's library. Train again."
            ) from error


@reaching_mlflow
def verify_artifact(artifact_uri: str, artifact_digest: str) -> None:
    """Make sure that a model's files are those that were recorded; raises `ArtifactError` unless they are.

    :param artifact_uri: the folder of the model's files, local or in MLflow's store
    :param artifact_digest: their `folder_digest`, as it was recorded
    """
    with _artifact(artifact_uri, artifact_digest):
        pass


@reaching_mlflow
def artifact_bytes(artifact_uri: str, artifact_digest: str) -> int:
    """Measure a model's files; raises `ArtifactError` unless they are those that were recorded.

    :param artifact_uri: the folder of the model's files, local or in MLflow's store
    :param artifact_digest: their `folder_digest`, as it was recorded
    :returns: the bytes of all files below the folder, together
    """
    with _artifact(artifact_uri, artifact_digest) as path:
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


@reaching_mlflow
def make_version(model: str, run_key: str, run_id: str, artifact_uri: str, tags: dict[str, str]) -> int:
    """Make MLflow's version of a run, and the registered model, unless they are there.

    :param model: name of the model, which is also that of MLflow's registered model
    :param run_key: the key of the training, for the tag `RUN_KEY_TAG`
    :param run_id: MLflow's id of the run that logged the model
    :param artifact_uri: the folder of the model's files, local or in MLflow's store
    :param tags: more tags of a new version; one that is there keeps its own
    :returns: the version's number; the lowest, should the run have several
    :raises MlflowException: when the store cannot be used; `reaching_mlflow` makes `TransientError` of it
    """
    from mlflow.exceptions import MlflowException

    client = mlflow_client()
    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    if existing := _versions_of_run(client, model, run_id):
        return min(existing)
    return int(client.create_model_version(model, artifact_uri, run_id=run_id, tags={RUN_KEY_TAG: run_key, **tags}).version)


@reaching_mlflow
def remove_other_versions(model: str, run_id: str, *, keep: int) -> None:
    """Remove the versions that registrations which were killed, or came second, made of a run beside the one to keep.

    :param model: name of the model
    :param run_id: MLflow's id of the run; versions of other runs stay
    :param keep: the number of the version that stays
    """
    client = mlflow_client()
    for number in _versions_of_run(client, model, run_id):
        if number != keep:
            client.delete_model_version(model, str(number))


@reaching_mlflow
def alias(model: str, name: Alias) -> int | None:
    """Read which version an alias names in MLflow, for comparison with our record.

    :param model: name of the model
    :param name: ``champion`` or ``challenger``
    :returns: the version's number; None when the alias names none, or MLflow has no such model
    :raises MlflowException: when the store cannot be used; `reaching_mlflow` makes `TransientError` of it
    """
    from mlflow.exceptions import MlflowException

    try:
        return int(mlflow_client().get_model_version_by_alias(model, name).version)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


@reaching_mlflow
def set_alias(model: str, name: Alias, version: int | None) -> bool:
    """Make an alias name a version in MLflow, or nothing.

    :param model: name of the model
    :param name: ``champion`` or ``challenger``
    :param version: the version's number; None: the alias is removed, if it is there
    :returns: whether MLflow has that version; True for None
    :raises MlflowException: when the store cannot be used; `reaching_mlflow` makes `TransientError` of it
    """
    from mlflow.exceptions import MlflowException

    try:
        if version is None:
            mlflow_client().delete_registered_model_alias(model, name)
        else:
            mlflow_client().set_registered_model_alias(model, name, str(version))
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        return version is None
    return True


@reaching_mlflow
def prepare_store() -> None:
    """Make MLflow's tables now rather than in the first task."""
    mlflow_client().search_experiments(max_results=1)


def mlflow_client() -> MlflowClient:
    """Make a client of the configured store. A server that is out of reach it gives up within a minute, a SQL store after about 100 s.

    :returns: a client of its own, for tracking and registry; `HTTP_LIMITS` hold in this process from now on, unless they were set
    """
    for name, value in HTTP_LIMITS.items():
        os.environ.setdefault(name, value)  # its own defaults keep a task waiting for many minutes
    from mlflow import MlflowClient

    uri = Settings.from_environment().mlflow_tracking_uri
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _versions_of_run(client: MlflowClient, model: str, run_id: str) -> list[int]:
    versions = client.search_model_versions(f"name = '{model}' and run_id = '{run_id}'")
    return [int(version.version) for version in versions if version.run_id == run_id]


@contextmanager
def _artifact(artifact_uri: str, artifact_digest: str) -> Iterator[Path]:
    """The model's folder on a local disk, its bytes verified."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(url2pathname(urlsplit(artifact_uri).path)) if artifact_uri.startswith("file:") else _downloaded(artifact_uri, folder)
        if not path.is_dir() or not any(path.iterdir()):
            raise ArtifactError(f"The model at {artifact_uri} is gone. It is not served. Restore its files from a backup, or train again.")
        actual = folder_digest(path)
        if actual != artifact_digest:
            raise ArtifactError(
                f"The model at {artifact_uri} has digest {actual[:12]}, but {artifact_digest[:12]} was registered: "
                f"its files were changed. It is not served. Restore them, or train again."
            )
        yield path


def _downloaded(artifact_uri: str, folder: str) -> Path:
    """A folder that does not exist where the store has none of this name: its error for that is the one for a store that is ill."""
    import mlflow.artifacts

    parent, _, name = artifact_uri.rpartition("/")
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=artifact_uri, dst_path=folder))
    except mlflow.MlflowException:
        if name in {PurePosixPath(artifact.path).name for artifact in mlflow.artifacts.list_artifacts(artifact_uri=parent)}:
            raise
        return Path(folder) / "gone"


def folder_digest(folder: Path) -> str:
    """Digest the names and bytes of all files below a folder, in the order of their paths.

    :param folder: on a local disk; empty folders below it do not count
    :returns: SHA-256, as 64 hex digits
    """
    hasher = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        hasher.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode())
        hasher.update(file.read_bytes())
    return hasher.hexdigest()
