"""The main job: six weeks of flights through the real scheduler.

It backfills January, trains both models as of 1 February, and then runs each night of February as it would have happened live:
ingest, score, monitor, train on schedule, and retrain when a rule trips. Steps that are already done are skipped.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path

from croniter import croniter

from include.evergreen.config import Catalog
from include.evergreen.data.partitions import current_partition, current_partitions
from include.evergreen.foundation.errors import EvergreenError, TransientError
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.monitoring.triggers import list_firings, tripped
from include.evergreen.registry.champions import champion
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.readiness import monitoring, scoring
from tools.dags import DAG_FILES, list_dag_ids
from tools.example import DATASETS, MODELS
from tools.failures import failures_since
from tools.progress import Progress
from tools.rest import AirflowApi

HISTORY = DAILY.between(DAILY.parse("2013-01-01"), DAILY.parse("2013-01-31"))
NIGHTS = DAILY.between(DAILY.parse("2013-02-01"), DAILY.parse("2013-02-14"))
FIRST_TRAINING = NIGHTS[0]
STEP_TIMEOUT_SECONDS = 600
POLL_SECONDS = 0.25
PARSE_TIMEOUT_SECONDS = 120
SETTLED_AFTER_LOOKS = 2  # a triggered run may be a scheduler loop away from its tasks


class StoryError(EvergreenError):
    """The main job failed. The message names the task, the error and the log."""


class Story:
    """Run the example on one Airflow, and wait for everything that it triggers."""

    dags = frozenset(list_dag_ids(DATASETS, MODELS))  # other DAGs may run and fail in parallel

    def __init__(self, api: AirflowApi, logs: Path, progress: Progress, is_alive: Callable[[], str | None]) -> None:
        self.api = api
        self.logs = logs
        self.progress = progress
        self.dead_component = is_alive
        self.catalog = Catalog()
        self.started_at = dt.datetime.now(dt.UTC).isoformat()

    def run(self) -> None:
        """Run the whole job. Raises `StoryError` as soon as a task has failed."""
        self.wait_for_dags()
        self.backfill_history()
        for model in MODELS:
            self.train_first(model)
        for night in NIGHTS:
            self.live_night(night)
        self.morning_after()

    def wait_for_dags(self) -> None:
        """Wait until Airflow has parsed the example's DAGs, then unpause them."""
        self.progress.begin("Waiting for Airflow to parse the DAGs")
        wanted = self.dags | {"evergreen.rescore"}
        deadline = time.monotonic() + PARSE_TIMEOUT_SECONDS
        while missing := wanted - self.api.dag_ids():
            if errors := [error for error in self.api.import_errors() if Path(error["filename"]).name in DAG_FILES]:
                raise StoryError(f"Airflow cannot parse {errors[0]['filename']}:\n{errors[0]['stack_trace']}")
            if time.monotonic() > deadline:
                raise StoryError(f"Airflow has not parsed these DAGs within {PARSE_TIMEOUT_SECONDS} s: {', '.join(sorted(missing))}")
            self._pause()
        for dag_id in sorted(wanted):
            self.api.pause(dag_id, paused=False)
        self.progress.done(f"{len(wanted)} DAGs parsed and unpaused")

    def backfill_history(self) -> None:
        """Backfill January, with one backfill for each dataset."""
        first, last = HISTORY[0], HISTORY[-1]
        missing = [name for name in DATASETS if len(current_partitions(name, HISTORY[0], HISTORY[-1])) < len(HISTORY)]
        if not missing:
            return
        self.progress.begin("Backfilling January")
        for dataset in missing:
            if not self._active(f"{dataset}.ingest"):
                self.api.backfill(f"{dataset}.ingest", first, last)
        total = len(HISTORY) * len(DATASETS)
        self._settle(
            "Backfilling January", lambda: self._history_count() == total, lambda: f"{self._history_count()} of {total} partitions"
        )
        self.progress.done(
            f"January: backfilled {total} partitions of {len(DATASETS)} datasets; nothing was scored, because there is no champion yet"
        )

    def train_first(self, model: str) -> None:
        """Train a model for the first time, as of 1 February."""
        if champion(model):
            return
        self.progress.begin(f"Training {model} as of {FIRST_TRAINING}")
        self._trigger(f"{model}.train", f"first__{FIRST_TRAINING}", conf={"as_of": str(FIRST_TRAINING), "reason": "the first training"})
        self._settle(f"Training {model} as of {FIRST_TRAINING}")
        serving = champion(model)
        if serving is None:
            raise StoryError(f"{model} has no champion after its first training. `.venv/bin/evergreen decisions {model}` says why.")
        metrics = ", ".join(f"{name} {value:.3f}" for name, value in list(serving.metrics.items())[:3])
        self.progress.done(f"{model}: version {serving.semver} as of {FIRST_TRAINING} is champion ({metrics})")

    def live_night(self, night: Partition) -> None:
        """Ingest what one night brings (the day's schedule, yesterday's weather and outcomes), and wait for everything downstream."""
        yesterday = DAILY.shift(night, -1)
        wanted = [("schedules", night), *((name, yesterday) for name in ("weather", "outcomes") if yesterday >= NIGHTS[0])]
        if self._is_done(night, wanted):
            return
        self.progress.begin(f"Night of {night}")
        fired_before = {model: len(list_firings(model)) for model in MODELS}

        def is_answered() -> bool:
            return self._has_come(yesterday, night) and all(self._firings_are_answered(model, fired_before[model]) for model in MODELS)

        for dataset, day in wanted:
            self._trigger(f"{dataset}.ingest", f"live__{day}", partition_key=str(day))
        self._settle(f"Night of {night}", is_answered)
        trained = [model for model in MODELS if self._trains_on(model, night)]
        if trained:
            for model in trained:
                self._trigger(f"{model}.train", f"nightly__{night}", partition_key=str(night))
            self._settle(f"Night of {night}", is_answered)
        events = [self._scored(model, night) for model in MODELS]
        events += [f"{model} trained on schedule: {self._decided(model, night)}" for model in trained]
        for model in MODELS:
            for firing in list_firings(model)[fired_before[model] :]:
                decided = self._decided(model, firing.as_of)
                events.append(f"RETRAINING TRIGGERED for {model} ({firing.message}), trained as of {firing.as_of}: {decided}")
        self.progress.done(f"Night of {night}: " + "; ".join(events))

    def morning_after(self) -> None:
        """Ingest the labels of the last night's flights."""
        last = NIGHTS[-1]
        wanted = [("weather", last), ("outcomes", last)]
        if all(current_partition(name, day) for name, day in wanted):
            return
        self.progress.begin(f"Ingesting the outcomes of {last}")
        for dataset, day in wanted:
            self._trigger(f"{dataset}.ingest", f"live__{day}", partition_key=str(day))
        self._settle(f"Ingesting the outcomes of {last}", lambda: self._has_come(last))
        self.progress.done(f"Outcomes of {last} ingested and monitored")

    def _firings_are_answered(self, model: str, before: int) -> bool:
        """Return whether no rule trips without a trigger event, and the training of each event since ``before`` has ended."""
        if tripped(self.catalog.model(model)):
            return False
        triggered = [firing.training_run_id for firing in list_firings(model)[before:]]
        ended = {run["dag_run_id"] for run in self.api.runs(f"{model}.train", state=["success", "failed"])} if triggered else set()
        return set(triggered) <= ended

    def _settle(self, step: str, reached: Callable[[], bool] = lambda: True, count: Callable[[], str] | None = None) -> None:
        """Wait until ``reached`` holds and no run of the example is active but the waiting sensors. ``count`` describes the progress."""
        deadline = time.monotonic() + STEP_TIMEOUT_SECONDS
        quiet = 0
        while quiet < SETTLED_AFTER_LOOKS:
            self._pause()
            active = self._active()
            self.progress.update(f"{step}: {count() if count else ', '.join(sorted(set(active))) or 'waiting for the scheduler'}")
            quiet = quiet + 1 if not active and reached() else 0
            if failures := failures_since(self.api, self.logs, self.started_at, of=self.dags):
                raise StoryError("\n".join(map(str, failures[:3])))
            if time.monotonic() > deadline:
                raise StoryError(
                    f"This step did not finish within {STEP_TIMEOUT_SECONDS} s: {step}. Airflow's logs: {self.logs.parent / 'processes'}"
                )

    def _has_come(self, *partitions: Partition) -> bool:
        """Return whether nothing is left to score or monitor for these days, by our records: asset events may still be on their way."""
        labels = {model: self.catalog.model(model).labels for model in MODELS}
        return not any(
            scoring(model, partition, moment=DAILY.start(partition)).is_due or monitoring(model, partition, source).is_due
            for model, source in labels.items()
            for partition in partitions
        )

    def _active(self, dag_id: str = "~") -> list[str]:
        """Return the example's DAGs with a queued or running run, except for the sensors."""
        runs = self.api.runs(dag_id, state=["queued", "running"])
        return [run["dag_id"] for run in runs if run["dag_id"] in self.dags and not run["dag_id"].endswith(".retrain")]

    def _trigger(self, dag_id: str, run_id: str, *, partition_key: str | None = None, conf: dict[str, str] | None = None) -> None:
        """Trigger a run with a fixed id, unless an earlier try has triggered it."""
        for last_try in (False, False, True):
            if run_id in {run["dag_run_id"] for run in self.api.runs(dag_id, run_id_pattern=run_id)}:
                return
            try:
                self.api.trigger(dag_id, partition_key=partition_key, conf=conf, run_id=run_id)
            except TransientError:  # on SQLite the API server may find the database locked
                if last_try:
                    raise
                self._pause()

    def _pause(self) -> None:
        if dead := self.dead_component():
            raise StoryError(f"Airflow's {dead} exited unexpectedly. Log: {self.logs.parent / 'processes' / f'{dead}.log'}")
        time.sleep(POLL_SECONDS)

    def _history_count(self) -> int:
        return sum(len(current_partitions(name, HISTORY[0], HISTORY[-1])) for name in DATASETS)

    def _is_done(self, night: Partition, wanted: list[tuple[str, Partition]]) -> bool:
        return (
            all(current_partition(name, day) for name, day in wanted)
            and all(find_predictions(model, night) for model in MODELS)
            and all(self._decided(model, night) for model in MODELS if self._trains_on(model, night))
        )

    def _trains_on(self, model: str, night: Partition) -> bool:
        schedule = self.catalog.model(model).train.schedule
        if schedule is None or night < str(schedule.start):
            return False
        next_run = croniter(schedule.cron, DAILY.start(night) - dt.timedelta(seconds=1)).get_next(dt.datetime)
        return DAILY.at(next_run) == night

    def _scored(self, model: str, night: Partition) -> str:
        predictions = find_predictions(model, night)
        return f"{model} scored {predictions.rows} flights" if predictions else f"{model} was not scored"

    def _decided(self, model: str, as_of: Partition) -> str:
        from include.evergreen.gates.decision import all_decisions

        return next((decision.verdict for decision in all_decisions(model) if decision.as_of == as_of), "")
