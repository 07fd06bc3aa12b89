"""A running Airflow, how to wait for it, and the days, up to the tenth of January, that the integration tests are about."""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from include.evergreen.foundation.grain import DAILY
from tools.embedded import EmbeddedAirflow
from tools.failures import TaskFailure, failures_since
from tools.rest import AirflowApi

DATASETS = ("outcomes", "schedules", "weather")
MODELS = ("air_time", "flight_delay")
HISTORY = DAILY.between("2013-01-02", "2013-01-08")  # as of the sixth, three days have inputs and labels
BACKFILLED = HISTORY[-2:]  # through Airflow; the days before were there when it started
NIGHTS = DAILY.between("2013-01-09", "2013-01-10")
TRAINED_AS_OF = "2013-01-09"
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
        query = "SELECT dag_id, run_id FROM dag_run WHERE state IN ('queued', 'running') AND dag_id NOT LIKE '%.retrain'"
        return [" ".join(run) for run in self.look(query)]

    def backfill(self, dataset: str, first: str, last: str, reprocess: str = "none") -> None:
        """Backfill through the scheduler, and wait for all that follows."""
        backfill = self.api.backfill(f"{dataset}.ingest", first, last, reprocess=reprocess)
        self.settle(lambda: self.is_done(backfill))

    def is_done(self, backfill: int) -> bool:
        return self.look("SELECT completed_at FROM backfill WHERE id = ?", backfill) != [(None,)]

    def run(self, dag_id: str, **arguments) -> dict:
        """Trigger a run and return it when it, and all that follows from it, has ended."""
        run_id = self.api.trigger(dag_id, **arguments)
        self.settle()
        return next(run for run in self.api.runs(dag_id) if run["dag_run_id"] == run_id)

    def tasks_of(self, *stages: str) -> list[tuple[str, str, str]]:
        """Every task instance of some stages of all models, in order: its DAG, its partition and its state."""
        dag_ids = [f"{model}.{stage}" for model in MODELS for stage in stages]
        query = f"""
            SELECT dag_id, coalesce(partition_key, ''), coalesce(task_instance.state, ?)
            FROM task_instance JOIN dag_run USING (dag_id, run_id)
            WHERE dag_id IN ({", ".join("?" for _ in dag_ids)})
        """
        return sorted(self.look(query, NOT_YET, *dag_ids))

    def state_of(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        query = "SELECT state FROM task_instance WHERE dag_id = ? AND run_id = ? AND task_id = ?"
        return next((state for (state,) in self.look(query, dag_id, run_id, task_id)), NOT_YET)

    def has_ended(self, dag_id: str, run_id: str) -> bool:
        query = "SELECT state FROM dag_run WHERE dag_id = ? AND run_id = ?"
        return self.look(query, dag_id, run_id)[0][0] in {"success", "failed"}

    def look(self, query: str, *values: object) -> list[tuple]:
        """What Airflow's database has. Its API would take a twentieth of a second of a processor each time; tests wait with this."""
        with closing(sqlite3.connect(f"file:{self.home}/airflow/airflow.db?mode=ro", uri=True, timeout=60)) as connection:
            return connection.execute(query, values).fetchall()

    def failures(self):
        return failures_since(self.api, self.home / "airflow" / "logs", "2000-01-01T00:00:00Z")

    def failure(self, run: dict) -> TaskFailure:
        """The failed task of a run."""
        found = failures_since(self.api, self.home / "airflow" / "logs", run["start_date"], of={run["dag_id"]})
        return next(each for each in found if each.run_id == run["dag_run_id"])

    def runs_of(self, dag_id: str, partition: str) -> list[dict]:
        return [run for run in self.api.runs(dag_id) if run["partition_key"] == partition]
