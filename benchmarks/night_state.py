"""The state that the first measured night begins from, in our layout and in the plain script's: the same rows, the same champion.

    python -m benchmarks.night_state HOME STATE

HOME must hold the landing zone. Run in a process of its own, so that the benchmark itself stays small beside what it measures.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import mlflow
import pandas as pd

from benchmarks.outcome import DATASETS, MODEL
from benchmarks.scratch import EMPTY_HOME, MLFLOW, not_ingested, use_home
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import current_partitions, read_partition
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.gates.decide import decide
from include.evergreen.monitoring import monitor
from include.evergreen.registry import champions
from include.evergreen.registry.champions import RegisteredVersion
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state import mlflow_store, storage
from include.evergreen.state.database import migrate
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train

FIRST_DAY = "2013-01-01"
CHAMPION_AS_OF = "2013-02-01"  # the day before the first night; its flights are scored, their truth is not known


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("state", type=Path)
    options = parser.parse_args(arguments)
    use_home(options.home)
    prepare(options.state, CHAMPION_AS_OF)
    return 0


def prepare(state: Path, champion_as_of: Partition) -> None:
    """Everything as it is on the evening of that day, whose flights are scored: in this process's home, and plainly in ``state``."""
    migrate()
    mlflow_store.prepare_store()
    catalog = Catalog()
    model = catalog.model(MODEL)
    _ingest(catalog, champion_as_of)
    champion = _promote_first(catalog, model, champion_as_of)
    for outcome in (score(catalog, model, champion_as_of, "live"), monitor(catalog, model, champion_as_of, "live")):
        assert outcome.status == "done", outcome.message
    _lay_out_plainly(champion, state)


def _ingest(catalog: Catalog, as_of: Partition) -> None:
    """All that was known when ``as_of`` began."""
    missing = not_ingested(DATASETS, DAILY.between(FIRST_DAY, DAILY.shift(as_of, -1))) + not_ingested(["schedules"], [as_of])
    for name, day in missing:
        ingestion.ingest(catalog.dataset(name), day, "backfill")


def _promote_first(catalog: Catalog, model: ModelConfig, as_of: Partition) -> RegisteredVersion:
    candidate, _ = train(catalog, model, take_snapshot(catalog, model, as_of), "the first")
    decision = decide(catalog, model, candidate)
    assert decision.verdict == "blessed", decision.message
    version = champions.register(model.name, candidate.run_key)
    champions.promote(model.name, version.version, actor="the benchmark", reason="the first")
    return version


def _lay_out_plainly(champion: RegisteredVersion, state: Path) -> None:
    for name in DATASETS:
        for version in current_partitions(name):
            _write(read_partition(version), state / "datasets" / name / f"{version.partition}.parquet")
    predictions = find_predictions(MODEL, champion.as_of)
    assert predictions is not None
    _write(predictions.frame().rename(columns={"key:flight": "flight"}), state / "predictions" / f"{champion.as_of}.parquet")
    run_id = _register_plainly(champion, state)
    _write(storage.read_frame(champion.reference_path), state / "references" / f"{run_id}.parquet")


def _register_plainly(champion: RegisteredVersion, state: Path) -> str:
    """The champion's own files in an MLflow store of the plain script's own; returns the run's id."""
    store = f"sqlite:///{state / MLFLOW}"
    if EMPTY_HOME in os.environ:
        shutil.copy(Path(os.environ[EMPTY_HOME]) / MLFLOW, state)
    client = mlflow.MlflowClient(tracking_uri=store, registry_uri=store)
    run = client.create_run(client.create_experiment(MODEL, artifact_location=(state / "mlartifacts").as_uri()))
    client.log_artifacts(run.info.run_id, champion.artifact_uri.removeprefix("file://"), "model")
    client.create_registered_model(MODEL)
    version = client.create_model_version(MODEL, f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
    client.set_registered_model_alias(MODEL, "champion", version.version)
    return str(run.info.run_id)


def _write(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False)


if __name__ == "__main__":
    sys.exit(main())
