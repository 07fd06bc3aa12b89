"""The task that trains: in the worker, or in a container, as model.yaml says."""

from __future__ import annotations

import datetime as dt

from airflow.sdk import BaseOperator

from evergreen_airflow.operators.training import TrainCandidateOperator
from include.evergreen.config import ModelConfig

IN_WORKER = dt.timedelta(hours=4)


def training_task(model: ModelConfig) -> BaseOperator:
    """Task ``train``. It returns the same wherever it trains, so what follows need not know."""
    docker = model.train.docker
    if model.train.run_in == "worker" or docker is None:
        return TrainCandidateOperator(task_id="train", model=model.name, execution_timeout=IN_WORKER)
    from evergreen_airflow.operators.containers import TrainInContainerOperator  # Docker's client, for those alone who use it

    timeout = dt.timedelta(minutes=docker.timeout_minutes)
    return TrainInContainerOperator(task_id="train", model=model.name, docker=docker, execution_timeout=timeout)
