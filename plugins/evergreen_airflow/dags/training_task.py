"""The training task, which runs in the worker or in a container, as model.yaml declares."""

from __future__ import annotations

import datetime as dt

from airflow.sdk import BaseOperator

from evergreen_airflow.operators.training import TrainCandidateOperator
from include.evergreen.config import ModelConfig

WORKER_TIMEOUT = dt.timedelta(hours=4)


def training_task(model: ModelConfig) -> BaseOperator:
    """Return the task ``train``. Its result is the same wherever it runs, so downstream tasks do not depend on the choice.

    :param model: the model as it is declared now
    :returns: the task, within the current DAG
    """
    docker = model.train.docker
    if model.train.run_in == "worker" or docker is None:
        return TrainCandidateOperator(task_id="train", model=model.name, execution_timeout=WORKER_TIMEOUT)
    from evergreen_airflow.operators.containers import TrainInContainerOperator  # imports Docker's client only where it is used

    timeout = dt.timedelta(minutes=docker.timeout_minutes)
    return TrainInContainerOperator(task_id="train", model=model.name, docker=docker, execution_timeout=timeout)
