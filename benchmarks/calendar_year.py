"""A year of the example's flights, scored and monitored day by day by one champion, in this process and without Airflow.

    python -m benchmarks.calendar_year HOME AS_OF LAST

HOME is made, or continued where it was interrupted. What is written beside it, in HOME/calendar, is what other tools are given: for each
model the sample of what the champion was trained on, its holdout with labels, and every scored row with its label.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from benchmarks.report import say
from benchmarks.scratch import forked_clean_processes, land, not_ingested
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import Gate
from include.evergreen.data import ingestion
from include.evergreen.features.columns import PARTITION, PREDICTION, TARGET, feature_column, keys_of
from include.evergreen.features.labels import KNOWN_BY_NOW, join_labels, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.gates.decide import decide
from include.evergreen.monitoring import monitor
from include.evergreen.registry import champions
from include.evergreen.scoring.predictions import list_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state import mlflow_store, storage
from include.evergreen.state.database import migrate
from include.evergreen.training.candidate import holdout_path
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train

FIRST = "2013-01-01"
MODELS = ("flight_delay", "air_time")
REFERENCE, HOLDOUT, SCORED = "reference.parquet", "holdout.parquet", "scored.parquet"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("as_of")
    parser.add_argument("last")
    options = parser.parse_args(arguments)
    replay(options.home, MODELS, options.as_of, options.last)
    return 0


def replay(home: Path, models: tuple[str, ...], as_of: Partition, last: Partition, *, judged: bool = True) -> None:
    """Everything of FIRST to ``last`` is ingested; champions as of ``as_of`` score each day from then on, and all is monitored.

    ``judged``: the gate evaluates the champions; else it lets them through, as ``gate.mode: disabled`` has it.

    All is ingested first, and each day is scored by what was known when it began, as in life. A day is monitored once, when its labels
    are there: the figures are those that two looks would have left.
    """
    land(home, DAILY.between(FIRST, last))
    migrate()
    mlflow_store.prepare_store()
    catalog = Catalog()
    say(f"{len(DAILY.between(FIRST, last))} days are ingested")
    for name, day in not_ingested(catalog.dataset_names(), DAILY.between(FIRST, last)):
        try:
            ingestion.ingest(catalog.dataset(name), day, "live")
        except DataError as error:
            say(f"{name} {day}: {error}")
    for name in models:
        model = catalog.model(name)
        _promote(catalog, model if judged else _unjudged(model), as_of)
        say(f"{name}: {as_of} to {last} is scored and monitored")
        for day in DAILY.between(as_of, last):
            for done in (score(catalog, model, day, "live"), monitor(catalog, model, day, "live")):
                if done.status not in {"done", "unchanged"}:
                    say(f"{name} {day}: {done.message}")
        _write(catalog, model, home / "calendar" / name)


def _promote(catalog: Catalog, model: ModelConfig, as_of: Partition) -> None:
    if champions.champion_for(model.name, as_of) is not None:
        return
    with forked_clean_processes():
        candidate, _ = train(catalog, model, take_snapshot(catalog, model, as_of), "the champion of January")
        decision = decide(catalog, model, candidate)
        assert decision.verdict == "blessed", decision.message
    version = champions.register(model.name, candidate.run_key)
    champions.promote(model.name, version.version, actor="the benchmark", reason="the champion of January")


def _unjudged(model: ModelConfig) -> ModelConfig:
    return model.model_copy(update={"gate": Gate.model_validate({**model.gate.model_dump(), "mode": "disabled"})})


def _write(catalog: Catalog, model: ModelConfig, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sets = list_predictions(model.name)
    version = champions.version_number(model.name, sets[0].version)
    columns = [PREDICTION, *map(feature_column, model.feature_names)]
    for name, path in {REFERENCE: version.reference_path, HOLDOUT: holdout_path(version.reference_path)}.items():
        storage.read_frame(path)[[*columns, PARTITION, TARGET]].to_parquet(folder / name, index=False)
    days = []
    for scored in sets:
        rows, cache = scored.frame(), PartitionCache(KNOWN_BY_NOW, model=model)
        labels = known_labels(catalog, model, scored.partition, cache)
        target = join_labels(catalog, model, keys_of(rows, catalog.dataset(model.rows).keys), labels, cache)
        days.append(rows[columns].assign(**{PARTITION: str(scored.partition), TARGET: target.to_numpy()}))
    pd.concat(days, ignore_index=True).to_parquet(folder / SCORED, index=False)


if __name__ == "__main__":
    sys.exit(main())
