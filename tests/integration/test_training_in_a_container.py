"""A model that trains in a container, through a real Airflow with a real Docker daemon."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.evergreen.training.candidate import find_candidate
from tests.integration.airflow_under_test import Running
from tests.integration.conftest import declare_again
from tests.servers.docker import IMAGE, DockerDaemon
from tools.rest import AirflowApi

TIMEOUT_SECONDS = 180
MODEL = "flight_delay"
DAG = f"{MODEL}.train"
AS_OF = "2013-01-10"
STOPPED_WITHIN_SECONDS = 30  # Airflow tells a task that it was marked at its next heartbeat
CONTAINER = {"run_in": "docker", "docker": {"image": IMAGE, "cpus": 2, "memory_mb": 2048, "timeout_minutes": 5}}


@dataclass(frozen=True)
class Training:
    running: Running
    daemon: DockerDaemon

    def start(self, window: str) -> str:
        return self.running.api.trigger(DAG, conf={"as_of": AS_OF, "window": window, "reason": "in a container"})

    def state(self, run_id: str) -> str | None:
        return self.running.state_of(DAG, run_id, "train")

    def wait_for(self, reached: Callable[[], bool], within: float = TIMEOUT_SECONDS) -> None:
        deadline = time.monotonic() + within
        while not reached():
            assert time.monotonic() < deadline, self.running.api.task_instances(DAG)
            time.sleep(0.3)

    def runs_a_container(self) -> bool:
        return any(each["State"] == "running" for each in self.daemon.containers())


@pytest.fixture(scope="module")
def training(docker_daemon: DockerDaemon, ten_days: Running) -> Iterator[Training]:
    """`ten_days`, where meanwhile flight_delay trains in a container."""
    before = (ten_days.include / "models" / MODEL / "model.yaml").read_text()
    declared = yaml.safe_load(before)
    declared["train"] |= CONTAINER
    declare_again(ten_days, MODEL, yaml.safe_dump(declared, sort_keys=False), trains_in_a_container)
    yield Training(ten_days, docker_daemon)
    declare_again(ten_days, MODEL, before, lambda tasks: not trains_in_a_container(tasks))


def trains_in_a_container(tasks: list[dict[str, Any]]) -> bool:
    return any(task["operator_name"] == "TrainInContainerOperator" for task in tasks)


def test_a_run_of_the_dag_trains_in_a_container_and_goes_on_to_the_gate(training: Training) -> None:
    run_id = training.start("6 days")
    training.wait_for(lambda: training.state(run_id) == "success")
    (answer,) = [_xcom(training.running.api, run_id)]
    candidate = find_candidate(answer["run_key"])
    assert answer["is_new"] is True
    assert candidate.facts["reason"] == "in a container"
    assert os.stat(Path(candidate.artifact_uri.removeprefix("file://"))).st_uid == os.getuid()
    log = training.running.api.task_log(DAG, run_id, "train")
    assert any("fitted on" in line for line in log)
    assert training.daemon.containers() == []
    training.running.settle()
    assert training.running.state_of(DAG, run_id, "gate") == "success"


def test_a_task_that_is_marked_failed_in_airflow_leaves_no_container(training: Training) -> None:
    run_id = training.start("5 days")
    training.wait_for(training.runs_a_container)
    training.running.api.patch(f"dags/{DAG}/dagRuns/{run_id}/taskInstances/train", {"new_state": "failed"})
    training.wait_for(lambda: training.daemon.containers() == [], within=STOPPED_WITHIN_SECONDS)
    assert training.state(run_id) == "failed"


def _xcom(api: AirflowApi, run_id: str) -> dict[str, Any]:
    found = api.get(f"dags/{DAG}/dagRuns/{run_id}/taskInstances/train/xcomEntries/return_value", deserialize="true")["value"]
    assert isinstance(found, dict), found
    return found
