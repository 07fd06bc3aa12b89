"""The steps of `benchmarks.score`, each in a process of its own.

    python -m benchmarks.score_once STEP FOLDER FORM

FORM is the benchmark's form as JSON. Each step prints one JSON object.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.ingest_once import peak_mb
from benchmarks.scratch import use_home
from include.evergreen.config import Catalog
from include.evergreen.data.partitions import current_partition, publish_partition
from include.evergreen.data.partitions.files import GROUP_ROWS, RowWriter, arrow_schema, read_batches
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.registry.champions import champion
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.serving.inference import one_thread, predicted
from include.evergreen.state import mlflow_store, storage
from include.evergreen.state.database import migrate
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MODEL = "clicks"
FIRST_DAY, DAYS, ROWS_A_DAY = "2024-01-01", 12, 2000
AS_OF = DAILY.shift(FIRST_DAY, DAYS)  # of the champion
SCORED = DAILY.shift(AS_OF, 1)
LARGE_AS_OF = "2025-01-01"  # of the training on many rows
_DATASET = """\
name: {name}
description: Made up, for the benchmark.
owner: the-benchmark
source: {{type: files, path: "${{EVERGREEN_HOME}}/landing/{name}/{{partition}}.csv"}}
schedule: {{cron: "0 0 * * *", start: 2024-01-01}}
knowledge: {{hours_after_partition: {hours}}}
columns:
  - {{name: event, type: integer, description: Number of the event}}
{columns}
keys: [event]
"""
_MODEL = """\
name: clicks
description: Whether an event is followed by a click, for the benchmark.
owner: the-benchmark
task: classification
rows: events
inputs: [{{dataset: events}}]
target: {{dataset: outcomes, column: clicked, positive_above: 0}}
features:
{features}
train:
  window: {window} days
  min_history: 6 days
  holdout: 2 days
  max_rows: {max_rows}
  estimator: sklearn.ensemble.HistGradientBoostingClassifier
  parameters: {parameters}
  trusted_types: [sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor]
gate:
  criteria: [{{kind: absolute, metric: auc, at_least: 0.5}}]
"""
_FEATURES = "def features(read):\n    return read.rows()[[{names}]]\n"


def main(step: str, folder: str, form: str) -> None:
    given = json.loads(form)
    use_home(Path(folder) / "home")
    import os

    os.environ["EVERGREEN_INCLUDE"] = str(Path(folder) / "include")
    steps = {"prepare": _prepare, "score": _score, "predict": _predict, "train": _train}
    print(json.dumps(steps[step](Path(folder), given)))


def _prepare(folder: Path, form: dict[str, Any]) -> dict[str, Any]:
    """A champion that was trained on a few small days, and one large partition to score."""
    import pandas as pd

    migrate()
    _declare(folder / "include", form)
    for number, day in enumerate(DAILY.between(FIRST_DAY, AS_OF)):
        rows = _rows(number, ROWS_A_DAY, form["features"])
        labels = (rows["x0"] + rows["x1"] + np.random.default_rng(number).logistic(size=len(rows)) > 0).astype(int)
        for dataset, frame in (("events", rows), ("outcomes", pd.DataFrame({"event": rows["event"], "clicked": labels}))):
            file = folder / "home" / "landing" / dataset / f"{day}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            frame.to_csv(file, index=False)
    catalog = Catalog()
    result = run_cycle(catalog, catalog.model(MODEL), AS_OF, reason="to be measured", actor="the benchmark")
    assert result.promotion is not None, result.decision.verdict
    _publish("events", [SCORED], form["rows"], _large(form))
    return {"version": result.promotion.version}


def _score(_: Path, form: dict[str, Any]) -> dict[str, Any]:
    """Ours: features, predictions, what is kept of them."""
    catalog, before = Catalog(), peak_mb()
    began = time.perf_counter()
    outcome = score(catalog, catalog.model(MODEL), SCORED, "live")
    seconds = time.perf_counter() - began
    scored = find_predictions(MODEL, SCORED)
    assert outcome.status == "done" and scored is not None
    peak = peak_mb()
    first = storage.read_table(scored.path, ["prediction"]).column(0).slice(0, form["in_memory"]).to_numpy()
    return {"seconds": seconds, "rows": scored.rows, "before_mb": before, "peak_mb": peak, "predictions": _digest(first)}


def _predict(_: Path, form: dict[str, Any]) -> dict[str, Any]:
    """The bare side: the estimator's own predictions of one frame that is in memory."""
    import pyarrow as pa

    serving, version = champion(MODEL), current_partition("events", SCORED)
    assert serving is not None and version is not None
    config = Catalog().model(MODEL)
    pipeline = mlflow_store.load_model(serving.artifact_uri, serving.artifact_digest, config.train.trusted_types)
    batches = []
    with storage.local_file(version.path) as file:
        for batch in read_batches(file, config.feature_names):
            batches.append(batch)
            if sum(map(len, batches)) >= form["in_memory"]:
                break
    frame = pa.Table.from_batches(batches).slice(0, form["in_memory"]).to_pandas()
    with one_thread():
        predicted(pipeline, config.task, frame.head(1000))
        began = time.perf_counter()
        values = predicted(pipeline, config.task, frame)
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "rows": len(frame), "predictions": _digest(values)}


def _train(folder: Path, form: dict[str, Any]) -> dict[str, Any]:
    """A training of ``max_rows`` of a window of many more."""
    days = DAILY.between(DAILY.shift(LARGE_AS_OF, -form["days"]), DAILY.shift(LARGE_AS_OF, -1))
    rows_a_day = form["train_rows"] // len(days)
    _declare(folder / "include", form | {"window": len(days), "max_rows": form["max_rows"]})
    _publish("events", days, rows_a_day, _large(form | {"rows": rows_a_day}))
    _publish("outcomes", days, rows_a_day, _labels(rows_a_day))
    catalog, before = Catalog(), peak_mb()
    began = time.perf_counter()
    snapshot = take_snapshot(catalog, catalog.model(MODEL), LARGE_AS_OF)
    read = time.perf_counter()
    candidate, _ = train(catalog, catalog.model(MODEL), snapshot, "to be measured")
    return {
        "snapshot_s": read - began, "fit_s": time.perf_counter() - read, "rows": snapshot.rows, "auc": candidate.metrics["auc"],
        "before_mb": before, "peak_mb": peak_mb(),
    }  # fmt: skip


def _declare(include: Path, form: dict[str, Any]) -> None:
    names = _names(form["features"])
    columns = "\n".join(f"  - {{name: {name}, type: number, description: A number}}" for name in names)
    label = "  - {name: clicked, type: integer, description: 1 after a click}"
    for name, hours, lines in (("events", 0, columns), ("outcomes", 24, label)):
        (include / "datasets" / name).mkdir(parents=True, exist_ok=True)
        (include / "datasets" / name / "dataset.yaml").write_text(_DATASET.format(name=name, hours=hours, columns=lines), encoding="utf-8")
    model = include / "models" / MODEL
    model.mkdir(parents=True, exist_ok=True)
    features = "\n".join(f"  - {{name: {name}, kind: numeric, description: A number}}" for name in names)
    text = _MODEL.format(
        features=features, window=form.get("window", DAYS), max_rows=form.get("max_rows", 1_000_000), parameters=form["parameters"]
    )
    (model / "model.yaml").write_text(text, encoding="utf-8")
    (model / "features.py").write_text(_FEATURES.format(names=", ".join(map(repr, names))), encoding="utf-8")
    (model / "runbook.md").write_text("# clicks\n\nIt is measured and not served.\n", encoding="utf-8")


def _names(features: int) -> list[str]:
    return [f"x{number}" for number in range(features)]


def _rows(seed: int, rows: int, features: int) -> pd.DataFrame:
    import pandas as pd

    values = np.random.default_rng(seed).normal(size=(rows, features)).round(3)
    return pd.DataFrame(values, columns=_names(features)).assign(event=np.arange(rows))[["event", *_names(features)]]


def _large(form: dict[str, Any]) -> Iterator[pa.Table]:
    """The rows of a large partition, a group at a time; each group has the same numbers and other keys."""
    import pyarrow as pa

    schema = arrow_schema(Catalog().dataset("events"))
    group = pa.Table.from_pandas(_rows(1, min(GROUP_ROWS, form["rows"]), form["features"]), schema, preserve_index=False)
    for begin in range(0, form["rows"], GROUP_ROWS):
        part = group.slice(0, form["rows"] - begin)
        yield part.set_column(0, schema.field(0), pa.array(np.arange(begin, begin + len(part))))


def _labels(rows: int) -> Iterator[pa.Table]:
    import pyarrow as pa

    events = np.arange(rows)
    clicked = (np.random.default_rng(2).random(rows) < 0.3).astype("int64")
    yield pa.table([events, clicked], schema=arrow_schema(Catalog().dataset("outcomes")))


def _publish(name: str, days: list[Partition], count: int, tables: Iterator[pa.Table]) -> None:
    """The same rows on each of the days, past their validation, as known when they would have been."""
    dataset = Catalog().dataset(name)
    path = f"datasets/{name}/large.parquet"
    with RowWriter(arrow_schema(dataset)) as writer:
        for table in tables:
            writer.write(table)
        digest = writer.digest()
        writer.keep(path)
    content = {"digest": digest, "path": path, "rows": count, "quarantine_digest": "", "quarantine_path": "", "quarantined": 0}
    for day in days:
        moment = dataset.knowledge.moment(dataset.grain, day)
        known = {"source_rows": count}
        publish_partition(dataset=name, partition=day, content=content | known, known_at=lambda _, at=moment: at, origin="backfill")


def _digest(predictions: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(predictions, dtype="float64").tobytes()).hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
