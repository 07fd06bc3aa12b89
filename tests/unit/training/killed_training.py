"""Trains with tuning once, and once more from all that is on disk before the first side effect, and after each of them.

    EVERGREEN_HOME=<a home in which a cycle has run> python -m tests.unit.training.killed_training

A process that is killed there leaves that disk and nothing else. Prints as JSON, for each such death, what is in MLflow and in our
database when the training was done once more.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.training import Train
from include.evergreen.foundation.settings import Settings
from include.evergreen.state import effects, mlflow_store
from include.evergreen.state.database.tables import candidates, run_claims, snapshots
from include.evergreen.training.candidate import Candidate
from include.evergreen.training.snapshot import Snapshot, find_snapshot
from include.evergreen.training.train import train
from tests.unit.flights import close_database, rows_of
from tests.unit.killing import in_a_child
from tests.unit.lifecycle import AS_OF, MODEL

TRIALS = 2


def tuned() -> ModelConfig:
    model = Catalog().model(MODEL)
    declared = {"search": {"C": {"log_uniform": [0.01, 10]}}, "parameters": {}, "tune": {"candidates": TRIALS, "folds": 2}}
    train = Train.model_validate({**model.train.model_dump(mode="json", exclude_defaults=True), **declared})
    return model.model_copy(update={"train": train})


def taken() -> Snapshot:
    """The snapshot that the cycle took; a training begins where there is one."""
    [digest] = [str(row.digest) for row in rows_of(snapshots) if row.model == MODEL and row.as_of == AS_OF]
    return find_snapshot(digest)


def train_once() -> Candidate:
    return train(Catalog(), tuned(), taken(), "to be killed")[0]


def left_of_it() -> dict[str, Any]:
    """What there is of the training with tuning, beside the cycle's own."""
    from mlflow.entities import ViewType

    client = mlflow_store.mlflow_client()
    experiment = client.get_experiment_by_name(MODEL).experiment_id
    key = next(row.run_key for row in rows_of(run_claims) if row.chosen is not None)
    runs = client.search_runs([experiment], f"tags.`{mlflow_store.RUN_KEY_TAG}` = '{key}'", run_view_type=ViewType.ACTIVE_ONLY)
    trials = client.search_runs([experiment], f"tags.`evergreen.trial_of` = '{key}'", run_view_type=ViewType.ACTIVE_ONLY)
    recorded = next(row for row in rows_of(candidates) if row.run_key == key)
    mlflow_store.load_model(str(recorded.artifact_uri), str(recorded.artifact_digest))
    return {
        "runs": [run.info.status for run in runs],
        "is_recorded_run": [run.info.run_id == recorded.mlflow_run_id for run in runs],
        "parents": sorted(trial.data.tags["mlflow.parentRunId"] == recorded.mlflow_run_id for trial in trials),
        "trials": sorted((trial.data.tags["evergreen.trial"], trial.info.status) for trial in trials),
        "models": [each.path for each in client.list_artifacts(recorded.mlflow_run_id) if each.path.startswith("model-")],
        "recorded": str(recorded.artifact_uri).rpartition("/")[2],
        "C": runs[0].data.params["C"],
        "failed_because": runs[0].data.tags.get("evergreen.failed_because"),
        "inputs": sorted(each.dataset.name for each in runs[0].inputs.dataset_inputs),
    }


def main() -> None:
    found = {}
    for place, disk in _deaths():
        _put_back(disk)
        assert in_a_child(_living) == 0, place
        found[place] = json.loads(_beside("left.json").read_text())
    print(json.dumps(found))


def _deaths() -> list[tuple[str, Path]]:
    """What is on disk before the first side effect of one training, and after each of them: all that a process killed there leaves."""
    home = Settings.from_environment().home

    def train_and_copy() -> None:
        deaths: list[tuple[str, str]] = []

        def copy(name: str, moment: str) -> None:
            if deaths and moment == "before":  # as it is after the one before it
                return
            disk = _beside(f"death-{len(deaths)}")
            shutil.copytree(home, disk)
            deaths.append((f"{len(deaths)} {moment} {name}", str(disk)))

        with effects.watched(copy):
            train_once()
        _beside("deaths.json").write_text(json.dumps(deaths))

    close_database()
    assert in_a_child(train_and_copy) == 0
    return [(place, Path(disk)) for place, disk in json.loads(_beside("deaths.json").read_text())]


def _living() -> None:
    train_once()
    _beside("left.json").write_text(json.dumps(left_of_it()))


def _put_back(disk: Path) -> None:
    home = Settings.from_environment().home
    close_database()
    shutil.rmtree(home)
    disk.rename(home)


def _beside(name: str) -> Path:
    return Settings.from_environment().home.with_name(name)


if __name__ == "__main__":
    import mlflow.sklearn
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  here, so that the children inherit it

    main()
