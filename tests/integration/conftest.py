"""One real Airflow for all integration tests: own home, own port, the shipped DAGs over a small include tree."""

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from include.evergreen.database import migrate
from include.evergreen.registry.mlflow_store import prepare_store
from tools.embedded import ROOT, EmbeddedAirflow, free_port
from tools.failures import failures_since
from tools.landing_zone import lay_out
from tools.rest import AirflowApi

FIRST_PORT = 18080
SETTLED_LOOKS = 4
TIMEOUT_SECONDS = 240


@dataclass
class Running:
    """A running Airflow, and how to wait for it."""

    airflow: EmbeddedAirflow
    api: AirflowApi
    home: Path
    include: Path

    def settle(self, reached=lambda: True) -> None:
        """Wait until no run but the armed sensors is active and ``reached`` holds."""
        deadline, quiet = time.monotonic() + TIMEOUT_SECONDS, 0
        while quiet < SETTLED_LOOKS:
            assert time.monotonic() < deadline, f"still active: {self.active()}"
            assert self.airflow.dead_component() is None
            quiet = quiet + 1 if not self.active() and reached() else 0
            time.sleep(0.4)

    def active(self) -> list[str]:
        runs = self.api.runs("~", state=["queued", "running"])
        return [f"{run['dag_id']} {run['dag_run_id']}" for run in runs if not run["dag_id"].endswith(".retrain")]

    def backfill(self, dataset: str, first: str, last: str, reprocess: str = "none") -> None:
        """Backfill through the scheduler, and wait for all that follows."""
        backfill = self.api.backfill(f"{dataset}.ingest", first, last, reprocess=reprocess)
        self.settle(lambda: self.api.backfill_is_done(backfill))

    def run(self, dag_id: str, **arguments) -> dict:
        """Trigger a run and return it when it, and all that follows from it, has ended."""
        run_id = self.api.trigger(dag_id, **arguments)
        self.settle()
        return next(run for run in self.api.runs(dag_id) if run["dag_run_id"] == run_id)

    def failures(self):
        return failures_since(self.api, self.home / "airflow" / "logs", "2000-01-01T00:00:00Z")

    def runs_of(self, dag_id: str, partition: str) -> list[dict]:
        return [run for run in self.api.runs(dag_id) if run["partition_key"] == partition]


@pytest.fixture(scope="session")
def landing(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("landing")
    lay_out(folder)
    return folder


@pytest.fixture(scope="session")
def running(tmp_path_factory, landing):
    """Airflow with three datasets and two models that need few days, all DAGs switched on."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(landing, home / "landing")
    include = small_include(tmp_path_factory.mktemp("include"))
    before = dict(os.environ)
    os.environ.update(EVERGREEN_HOME=str(home), EVERGREEN_INCLUDE=str(include))
    try:
        migrate()
        prepare_store()
        with EmbeddedAirflow(home, port=free_port(FIRST_PORT)) as airflow:
            api = airflow.api()
            wait_for_dags(api, 14)
            for dag_id in api.dag_ids():
                api.pause(dag_id, paused=False)
            yield Running(airflow, api, home, include)
    finally:
        os.environ.clear()
        os.environ.update(before)


def small_include(folder: Path) -> Path:
    """The shipped datasets and models, trained on days rather than weeks so that ten days are enough."""
    for kind in ("datasets", "models"):
        shutil.copytree(ROOT / "include" / kind, folder / kind, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.glob("models/*/model.yaml"):
        text = re.sub(r"window_days: \d+", "window_days: 10", path.read_text())
        text = re.sub(r"min_days: \d+", "min_days: 4", text)
        text = re.sub(r"holdout_days: \d+", "holdout_days: 2", text)
        text = text.replace("at_least: 0.55", "at_least: 0.4").replace("at_most: 0.65", "at_most: 5")
        path.write_text(re.sub(r"margin: [\d.]+", "margin: 1", text))
    return folder


def wait_for_dags(api: AirflowApi, count: int) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(api.dag_ids()) < count:
        assert not api.import_errors(), api.import_errors()
        assert time.monotonic() < deadline, api.dag_ids()
        time.sleep(0.3)
