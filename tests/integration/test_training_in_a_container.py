"""A model that trains in a container, through a real Airflow with a real Docker daemon."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from include.evergreen.config import Catalog
from include.evergreen.training import container, find_candidate
from tests.integration.conftest import wait_for_dags
from tests.servers.docker import IMAGE, DockerDaemon
from tests.unit.flights import at_home
from tests.unit.lifecycle import AS_OF, MODEL, include_with, settle_ingested
from tools.embedded import EmbeddedAirflow
from tools.ports import reserved_port
from tools.rest import AirflowApi

TIMEOUT_SECONDS = 180
DAG = f"{MODEL}.train"
STOPPED_WITHIN_SECONDS = 30  # Airflow tells a task that it was marked at its next heartbeat
CONTAINER = f"\ntrain:\n  run_in: docker\n  docker: {{image: '{IMAGE}', cpus: 2, memory_mb: 2048, timeout_minutes: 5}}\n"


@dataclass(frozen=True)
class Training:
    api: AirflowApi
    daemon: DockerDaemon

    def start(self, window_days: int) -> str:
        return self.api.trigger(DAG, conf={"as_of": str(AS_OF), "window_days": window_days, "reason": "in a container"})

    def state(self, run_id: str) -> str | None:
        found = self.api.task_instances(DAG, run_id)
        return next((each["state"] for each in found if each["task_id"] == "train"), None)

    def wait_for(self, reached: Callable[[], bool], within: float = TIMEOUT_SECONDS) -> None:
        deadline = time.monotonic() + within
        while not reached():
            assert time.monotonic() < deadline, self.api.task_instances(DAG)
            time.sleep(0.3)

    def runs_a_container(self) -> bool:
        return any(each["State"] == "running" for each in self.daemon.containers())


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory, docker_daemon: DockerDaemon) -> Iterator[Training]:
    with pytest.MonkeyPatch.context() as patch, at_home(tmp_path_factory.mktemp("home")) as home:
        settle_ingested()
        declared = include_with(tmp_path_factory.mktemp("declared"), patch) / "models" / MODEL / "model.yaml"
        declared.write_text(declared.read_text().replace("\ntrain:\n", CONTAINER))
        environment = {"DOCKER_HOST": docker_daemon.url, container.MOUNTS: docker_daemon.mounts}
        with reserved_port() as port, EmbeddedAirflow(home, port=port, environment=environment) as airflow:
            api = airflow.api()
            wait_for_dags(api, len(Catalog().model_names()))
            found = Training(api, docker_daemon)
            found.wait_for(lambda: DAG in api.dag_ids())
            api.pause(DAG, paused=False)
            yield found


def test_a_run_of_the_dag_trains_in_a_container_and_goes_on_to_the_gate(training: Training) -> None:
    run_id = training.start(15)
    training.wait_for(lambda: training.state(run_id) == "success")
    (answer,) = [_xcom(training.api, run_id)]
    candidate = find_candidate(answer["run_key"])
    assert answer["is_new"] is True
    assert candidate.facts["reason"] == "in a container"
    assert os.stat(Path(candidate.artifact_uri.removeprefix("file://"))).st_uid == os.getuid()
    log = training.api.task_log(DAG, run_id, "train")
    assert any("fitted on" in line for line in log)
    assert training.daemon.containers() == []
    training.wait_for(lambda: not training.api.runs(DAG, state=["queued", "running"]))
    gate = next(each for each in training.api.task_instances(DAG, run_id) if each["task_id"] == "gate")
    assert gate["state"] == "success"


def test_a_task_that_is_marked_failed_in_airflow_leaves_no_container(training: Training) -> None:
    run_id = training.start(16)
    training.wait_for(training.runs_a_container)
    training.api.patch(f"dags/{DAG}/dagRuns/{run_id}/taskInstances/train", {"new_state": "failed"})
    training.wait_for(lambda: training.daemon.containers() == [], within=STOPPED_WITHIN_SECONDS)
    assert training.state(run_id) == "failed"


def _xcom(api: AirflowApi, run_id: str) -> dict[str, Any]:
    found = api.get(f"dags/{DAG}/dagRuns/{run_id}/taskInstances/train/xcomEntries/return_value", deserialize="true")["value"]
    assert isinstance(found, dict), found
    return found
