"""MLflow tracking of trainings: one run for each run key, whatever is retried, killed or done twice at once.

Who claims a run first decides (`claims`); whoever comes to the end removes what others left. Trials of tuning are nested runs.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from include.evergreen.config import ModelConfig
from include.evergreen.foundation.errors import TransientError
from include.evergreen.foundation.redaction import redact
from include.evergreen.foundation.settings import Settings
from include.evergreen.state.effects import side_effect
from include.evergreen.state.mlflow_store import RUN_KEY_TAG, folder_digest, mlflow_client, reaching_mlflow
from include.evergreen.training import claims
from include.evergreen.training.storable import stored

if TYPE_CHECKING:
    import datetime as dt

    import numpy as np
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run
    from mlflow.store.artifact.artifact_repo import ArtifactRepository
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)
TRIAL_OF_TAG = "evergreen.trial_of"
TRIAL_TAG = "evergreen.trial"
OUR_PARAMS = frozenset({"estimator", "seed", "window", "holdout", "days"})  # of a run in MLflow, beside the estimator's own
FAILED_TAG = "evergreen.failed_because"
MODEL_FOLDER = "model-"
DIGEST_CHARACTERS = 36  # what MLflow keeps of a dataset's digest
SHOWN_CHARACTERS = 500


@dataclass(frozen=True)
class SavedModel:
    """A fitted pipeline in MLflow's format in a folder of this machine; ``digest`` is over its files' names and bytes."""

    folder: Path
    digest: str
    signature: Any

    @classmethod
    def at(cls, folder: Path) -> SavedModel:
        """Describe the model that `save` wrote to a folder, by its files alone.

        :param folder: the one on this machine that was given to `save`
        :returns: the model, with the digest and the signature of what lies there now
        """
        from mlflow.models import Model

        return cls(folder, folder_digest(folder), Model.load(str(folder)).signature)

    @property
    def artifact(self) -> str:
        """Its folder in the run, named by content: a second process cannot overwrite what the first recorded."""
        return f"{MODEL_FOLDER}{self.digest[:12]}"


@dataclass(frozen=True)
class Rows:
    """Rows that a training read: ``context`` is ``training`` or ``holdout``, ``days`` their first and last."""

    context: str
    snapshot_digest: str
    path: str
    rows: int
    days: tuple[str, str]


@reaching_mlflow
def begin_run(model: str, run_key: str, run_name: str, began: dt.datetime) -> str:
    """Begin, or go on with, the one MLflow run of a training: the claimed one, one that a killed attempt left, or a new one.

    :param model: name of the model, and of its MLflow experiment
    :param run_key: the key of the training
    :param run_name: the name that a new run gets
    :param began: when the training began, which is the start of a new run
    :returns: the id of the run, which is running
    """
    client = mlflow_client()
    claimed = claims.claimed_run(run_key)
    with side_effect("train.claim"):
        if claimed is None or not _restored(client, claimed):
            experiment = _experiment(client, model)
            left = _runs(client, experiment, RUN_KEY_TAG, run_key)
            start = int(began.timestamp() * 1000)
            mine = left[0] if left else client.create_run(experiment, start_time=start, tags={RUN_KEY_TAG: run_key}, run_name=run_name)
            counting = claims.claim_run(run_key, model, str(mine.info.run_id), instead_of=claimed)
            if counting != mine.info.run_id:
                _delete(client, mine.info.run_id)
            claimed = counting
        client.update_run(claimed, status="RUNNING")
    return claimed


def save(model: ModelConfig, pipeline: Pipeline, example: pd.DataFrame, predicted: np.ndarray, folder: Path) -> None:
    """Write a fitted pipeline in MLflow's format, for `SavedModel.at`.

    Raises `ConfigError` when it could not be loaded without running code that ``train.trusted_types`` does not allow.

    :param model: the model, which says what types are trusted
    :param pipeline: the fitted pipeline
    :param example: rows as the pipeline takes them, which give the signature's inputs and are kept as the input example
    :param predicted: the predictions for ``example``, which give the signature's output
    :param folder: where its files go; it must not be there yet
    """
    from mlflow.models import infer_signature

    _save(model, pipeline, folder, example, infer_signature(example, predicted))


@reaching_mlflow
def log_candidate(
    run_id: str,
    model: SavedModel,
    *,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, Any],
    inputs: list[Rows],
    documents: Mapping[str, Any],
) -> str:
    """Log the model and its facts in the run, and end it. Done again, it gives the same.

    :param run_id: the id of the claimed MLflow run
    :param model: the pipeline's files
    :param params: MLflow's params, by name
    :param metrics: the metrics on the holdout, by name
    :param tags: MLflow's tags, by name
    :param inputs: the rows that were fitted on and those of the holdout, as MLflow's datasets
    :param documents: JSON documents, by their paths in the run
    :returns: the URI of the model in the run
    """
    from mlflow.entities import Metric, Param, RunTag

    client = mlflow_client()
    run = client.get_run(run_id)
    with side_effect("train.log"):
        client.log_batch(
            run_id,
            metrics=[Metric(name, value, run.info.start_time, 0) for name, value in metrics.items()],
            params=[Param(name, str(value)) for name, value in params.items()],
            tags=[RunTag(name, str(value)) for name, value in tags.items()],
        )
        _log_inputs(client, run_id, [_dataset(model_input, model.signature) for model_input in inputs])
        for path, document in documents.items():
            log_file(run_id, path, json.dumps(document, indent=2))
    with side_effect("train.artifact"):
        _files(run).log_artifacts(str(model.folder), model.artifact)
    with side_effect("train.finish"):
        if FAILED_TAG in run.data.tags:  # of an earlier attempt
            client.delete_tag(run_id, FAILED_TAG)
        client.set_terminated(run_id)
    return f"{run.info.artifact_uri}/{model.artifact}"


def _log_inputs(client: MlflowClient, run_id: str, datasets: list[DatasetInput]) -> None:
    """Of two attempts that log the same at once, MLflow's store refuses one for what the other wrote meanwhile; then it finds it there."""
    from mlflow.exceptions import MlflowException

    try:
        client.log_inputs(run_id, datasets)
    except MlflowException:
        client.log_inputs(run_id, datasets)


@reaching_mlflow
def log_trials(model: str, run_key: str, run_id: str, tuning: dict[str, Any]) -> None:
    """Log each trial of tuning as a run nested in the candidate's; those that are there already stay.

    :param model: name of the model, and of its MLflow experiment
    :param run_key: the key of the training
    :param run_id: the id of the candidate's MLflow run
    :param tuning: how the choice was made, as `tuning.TuningResult` has it
    """
    from mlflow.entities import Metric, Param, RunTag

    client = mlflow_client()
    experiment = _experiment(client, model)
    start = client.get_run(run_id).info.start_time
    with side_effect("train.log"):
        existing = {run.data.tags.get(TRIAL_TAG): run for run in reversed(_runs(client, experiment, TRIAL_OF_TAG, run_key))}
        for trial in tuning["trials"]:
            number = str(trial["number"])
            run = existing.get(number)
            if run is not None and run.info.status in ("FINISHED", "FAILED"):
                continue
            keys = {TRIAL_OF_TAG: run_key, TRIAL_TAG: number, "mlflow.parentRunId": run_id}
            nested = (run or client.create_run(experiment, start_time=start, tags=keys, run_name=f"trial {number}")).info.run_id
            defined = [score for score in trial["scores"] if score is not None]
            metrics = [Metric(f"{tuning['metric']}_of_fold", score, start, step) for step, score in enumerate(defined)]
            if trial["score"] is not None:
                metrics.append(Metric(tuning["metric"], trial["score"], start, 0))
            client.log_batch(
                nested,
                metrics=metrics,
                params=[Param(name, str(value)) for name, value in as_params(trial["estimator"], trial["parameters"]).items()]
                + [Param("days", str(trial["days"]))],
                tags=[RunTag(FAILED_TAG, trial["error"])] if trial["error"] else [],
            )
            client.set_terminated(nested, status="FAILED" if trial["error"] else "FINISHED", end_time=start + int(1000 * trial["seconds"]))


def as_params(estimator: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Write an estimator and its parameters as MLflow's params.

    :param estimator: its import path
    :param parameters: its keyword arguments, by name
    :returns: the params by name, the estimator's path first, as ``estimator``; one that is called like a param of ours is
        ``parameters.<name>``
    """
    return {"estimator": estimator, **{f"parameters.{name}" if name in OUR_PARAMS else name: value for name, value in parameters.items()}}


@contextmanager
def failing(run_id: str, is_recorded: Callable[[], bool], tell: Callable[[BaseException], str]) -> Iterator[None]:
    """Within it, what fails ends the run as FAILED (or KILLED), with the reason; unless another attempt recorded the candidate.

    :param run_id: the id of the training's MLflow run
    :param is_recorded: tells whether the candidate is recorded by now
    :param tell: says of what was raised what may be shown
    :raises BaseException: what was raised within, once the run is marked
    """
    try:
        yield
    except BaseException as error:
        try:
            if not is_recorded():
                _end(run_id, "FAILED" if isinstance(error, Exception) else "KILLED", tell(error))
        except TransientError as unreachable:  # what failed first is what matters
            log.warning("MLflow run %s is not marked as failed: %s", run_id, unreachable)
        raise


@reaching_mlflow
def tidy(model: str, run_key: str, run_id: str, artifact_uri: str) -> None:
    """Remove what attempts that were killed, or came second, left of this run key: other runs, trials logged twice, other model folders.

    :param model: name of the model, and of its MLflow experiment
    :param run_key: the key of the training
    :param run_id: the id of the MLflow run that counts
    :param artifact_uri: the URI of the model that counts, a folder of that run
    """
    client = mlflow_client()
    experiment = _experiment(client, model)
    with side_effect("train.tidy"):
        for run in _runs(client, experiment, RUN_KEY_TAG, run_key):
            if run.info.run_id != run_id:
                _delete(client, run.info.run_id)
        seen = set()
        for run in _runs(client, experiment, TRIAL_OF_TAG, run_key):
            number = run.data.tags.get(TRIAL_TAG)
            if number in seen or run.data.tags.get("mlflow.parentRunId") != run_id:
                _delete(client, run.info.run_id)
            seen.add(number)
        run = client.get_run(run_id)
        for artifact in _files(run).list_artifacts():
            if artifact.is_dir and artifact.path.startswith(MODEL_FOLDER) and artifact.path != artifact_uri.rsplit("/", 1)[-1]:
                _files(run).delete_artifacts(artifact.path)
        if run.info.status != "FINISHED":
            client.set_terminated(run_id)


@reaching_mlflow
def log_file(run_id: str, path_in_run: str, content: bytes | str) -> None:
    """Put a file into a run, in place of one of that path; the caller names the side effect.

    :param run_id: the id of the MLflow run
    :param path_in_run: its path, such as ``gate/decision.json``
    :param content: its bytes, or its text, which is stored as UTF-8
    """
    inside = PurePosixPath(path_in_run)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / inside.name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        files = _files(mlflow_client().get_run(run_id))
        files.log_artifact(str(file), None if inside.parent == PurePosixPath() else str(inside.parent))


@reaching_mlflow
def _end(run_id: str, status: str, reason: str) -> None:
    with side_effect("train.finish"):
        mlflow_client().set_tag(run_id, FAILED_TAG, reason[:SHOWN_CHARACTERS])
        mlflow_client().set_terminated(run_id, status=status)


def _dataset(rows: Rows, signature: Any) -> Any:
    """The snapshot as MLflow knows a dataset; it takes a name and a digest once for each run, so the name says which part."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    storage = Settings.from_environment().storage
    root = storage if "://" in storage else Path(storage).absolute().as_uri()
    scheme = root.partition("://")[0]
    dataset = Dataset(
        name=f"{PurePosixPath(rows.path).parent.name} {rows.context} rows",
        digest=rows.snapshot_digest[:DIGEST_CHARACTERS],
        source_type="local" if scheme == "file" else scheme,
        source=json.dumps({"uri": redact(f"{root.rstrip('/')}/{rows.path}"), "snapshot": rows.snapshot_digest}),
        schema=json.dumps({"mlflow_colspec": signature.inputs.to_dict()}),
        profile=json.dumps({"num_rows": rows.rows, "first": rows.days[0], "last": rows.days[1]}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", rows.context)])


def _save(model: ModelConfig, pipeline: Pipeline, path: Path, example: pd.DataFrame, signature: Any) -> None:
    import mlflow.sklearn

    _, trusted = stored(model, pipeline)
    with _quick_and_quiet_mlflow():
        mlflow.sklearn.save_model(
            pipeline,
            str(path),
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
            skops_trusted_types=trusted,
            signature=signature,
            input_example=example,
            pip_requirements=["scikit-learn", "skops"],
        )


def _experiment(client: MlflowClient, model: str) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(model)
    if experiment is not None:
        return str(experiment.experiment_id)
    artifacts = Settings.from_environment().mlflow_artifacts
    try:
        return str(client.create_experiment(model, artifact_location=f"{artifacts}/{model}" if artifacts else None))
    except MlflowException as error:  # another run made it in the meantime
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(model).experiment_id)


def _runs(client: MlflowClient, experiment: str, tag: str, value: str) -> list[Run]:
    """The runs with this tag, the oldest first."""
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment], filter_string=f"tags.`{tag}` = '{value}'", max_results=1000, page_token=token)
        runs.extend(page)
        token = page.token
        if not token:
            return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def _restored(client: MlflowClient, run_id: str) -> bool:
    """Whether MLflow still has the run; one that was deleted by hand is taken back."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    if run.info.lifecycle_stage == "deleted":
        client.restore_run(run_id)
    return True


def _delete(client: MlflowClient, run_id: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.delete_run(run_id)
    except MlflowException as error:  # another attempt was quicker
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "INVALID_STATE"):
            raise


def _files(run: Run) -> ArtifactRepository:
    """Where the run's files lie now: MLflow's client goes on where they lay when it was first asked."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(run.info.artifact_uri, tracking_uri=Settings.from_environment().mlflow_tracking_uri)


@contextmanager
def _quick_and_quiet_mlflow() -> Iterator[None]:
    """MLflow warns about pip environments that nobody asks it to make, after 1.5 s of looking through all that is installed."""
    from mlflow.utils import requirements_utils

    logger = logging.getLogger("mlflow")
    level, known = logger.level, requirements_utils._MODULES_TO_PACKAGES
    logger.setLevel(logging.ERROR)
    requirements_utils._MODULES_TO_PACKAGES = known or {}  # as if it had looked; the three names that we give it need no look
    try:
        yield
    finally:
        logger.setLevel(level)
        requirements_utils._MODULES_TO_PACKAGES = known
