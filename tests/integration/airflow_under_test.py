"""A running Airflow, how to wait for it, and the ten days that the integration tests are about."""

import datetime as dt
import time
from dataclasses import dataclass, field
from pathlib import Path

from include.evergreen.foundation.clock import days
from tools.embedded import EmbeddedAirflow
from tools.failures import failures_since
from tools.rest import AirflowApi

DATASETS = ("outcomes", "schedules", "weather")
MODELS = ("air_time", "flight_delay")
HISTORY = days(dt.date(2013, 1, 1), dt.date(2013, 1, 7))
NIGHTS = days(dt.date(2013, 1, 8), dt.date(2013, 1, 10))
TRAINED_AS_OF = dt.date(2013, 1, 8)
SETTLED_LOOKS = 4
TIMEOUT_SECONDS = 240
NOT_YET = "not yet"  # the state of a task whose run was made a moment ago


@dataclass
class Running:
    """A running Airflow, and how to wait for it."""

    airflow: EmbeddedAirflow
    api: AirflowApi
    home: Path
    include: Path
    serving_tasks: list[tuple[str, str, str]] = field(default_factory=list)  # of the ten days: DAG, partition and state

    def settle(self, reached=lambda: True) -> None:
        """Wait until no run but those of the retraining sensors is active and ``reached`` holds."""
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

    def tasks_of(self, *stages: str) -> list[tuple[str, str, str]]:
        """Every task instance of some stages of all models, in order: its DAG, its partition and its state."""
        found = []
        for dag_id in (f"{model}.{stage}" for model in MODELS for stage in stages):
            partitions = {run["dag_run_id"]: run["partition_key"] or "" for run in self.api.runs(dag_id)}
            found += [(dag_id, partitions[task["dag_run_id"]], task["state"] or NOT_YET) for task in self.api.task_instances(dag_id)]
        return sorted(found)

    def failures(self):
        return failures_since(self.api, self.home / "airflow" / "logs", "2000-01-01T00:00:00Z")

    def runs_of(self, dag_id: str, partition: str) -> list[dict]:
        return [run for run in self.api.runs(dag_id) if run["partition_key"] == partition]
