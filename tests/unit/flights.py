"""The real flights of January 2013 in a home of a test's own, and the ways in which tests bend them."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import Gate
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import PartitionVersion, current_partition, publish_partition, read_partition
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.grain import DAILY, Grain, Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.foundation.span import Span
from include.evergreen.gates.decide import decide
from include.evergreen.registry import champions
from include.evergreen.state import mlflow_store, storage
from include.evergreen.state.database import engine, migrate, reading
from include.evergreen.training.candidate import Candidate
from include.evergreen.training.take_snapshot import take_snapshot
from include.evergreen.training.train import train
from tests.templates import template
from tools.landing_zone import COLUMNS, lay_out

Change = Callable[[pd.DataFrame], pd.DataFrame]

NEW_YORK = Grain("day", "America/New_York")  # of the example's datasets: a day begins at New York's midnight, 05:00 UTC in winter
INGESTED_UNTIL = "2013-01-21"  # 20 days with rows, inputs and labels: enough for two trainings and what follows
BAD_WIND = "2013-02-12"  # one hour at Newark is recorded with 1048 miles per hour
LANDED = [DAILY.shift("2013-01-01", n) for n in range(25)] + [BAD_WIND]
FIRST_AS_OF = "2013-01-17"  # of the champion of the fixture `trained`
SECOND_AS_OF = "2013-01-19"  # of the blessed candidate beside it
OVERRIDES = (
    "EVERGREEN_DATABASE_URL",
    "EVERGREEN_STORAGE",
    "EVERGREEN_INCLUDE",
    "EVERGREEN_LEDGER_ANCHORS",
    "EVERGREEN_MLFLOW_UI_URL",
    "MLFLOW_TRACKING_URI",
)
RELOCATED = {  # where absolute paths stand: a copied home must not reach into the one that it was copied from
    "evergreen.db": [("candidates", "artifact_uri")],
    "mlflow.db": [
        ("experiments", "artifact_location"),
        ("runs", "artifact_uri"),
        ("model_versions", "source"),
        ("model_versions", "storage_location"),
    ],
}


def january(day: int) -> Partition:
    return f"2013-01-{day:02}"


@contextmanager
def at_home(home: Path) -> Iterator[Path]:
    """Within it, ``home`` is EVERGREEN_HOME and nothing else of the environment says where state lies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERGREEN_HOME", str(home))
        for name in OVERRIDES:
            patch.delenv(name, raising=False)
        try:
            yield home
        finally:
            close_database()


def close_database() -> None:
    """Close this process's connections, so that hundreds of tests do not hold hundreds of files open."""
    if engine._engine.cache_info().currsize:
        engine._engine(Settings.from_environment().database_url, os.getpid()).dispose()
        engine._engine.cache_clear()


def empty_template() -> Path:
    """A home whose databases are migrated, ours and MLflow's, for `copy_home`."""

    def make(home: Path) -> None:
        with at_home(home):
            migrate()
            mlflow_store.prepare_store()

    return template("empty", make)


def landed_template() -> Path:
    """An empty home, and the source's files of the days that tests need."""

    def make(home: Path) -> None:
        copy_home(empty_template(), home)
        year = template("year", lay_out)
        for dataset in COLUMNS:
            (home / "landing" / dataset).mkdir(parents=True)
            for day in LANDED:
                shutil.copy(year / dataset / f"{day}.csv", home / "landing" / dataset)

    return template("landed", make)


def flights_template() -> Path:
    """A home in which all days until `INGESTED_UNTIL` are ingested."""

    def make(home: Path) -> None:
        with at_home(copy_home(landed_template(), home)):
            catalog = Catalog()
            for name in catalog.dataset_names():
                for day in DAILY.between(january(1), INGESTED_UNTIL):
                    ingestion.ingest(catalog.dataset(name), day, "live")
        _drop_what_no_test_reads(home)

    return template("flights", make)


def _drop_what_no_test_reads(home: Path) -> None:
    """A copy's cost is its number of files: without these, each test is a quarter of a second faster."""
    shutil.rmtree(home / "storage" / "raw")
    shutil.rmtree(home / "storage" / "quarantine")  # no row of January is quarantined
    for file in home.glob("landing/*/*.csv"):
        if file.stem < str(SECOND_AS_OF):
            file.unlink()


def copy_home(template: Path, home: Path) -> Path:
    """A copy of a whole home that shares nothing with its template."""
    shutil.copytree(template, home, dirs_exist_ok=True)
    for database, columns in RELOCATED.items():
        if not (home / database).exists():
            continue
        connection = sqlite3.connect(home / database)
        with connection:
            for table, column in columns:
                connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (template.as_uri(), home.as_uri()))
        connection.close()
    return home


def landing_file(dataset: str, partition: Partition) -> Path:
    return Settings.from_environment().home / "landing" / dataset / f"{partition}.csv"


def change_landing(dataset: str, partition: Partition, change: Change) -> None:
    """Rewrite what the source delivers: ``change`` gets the file's cells as text."""
    file = landing_file(dataset, partition)
    change(pd.read_csv(file, dtype="string", keep_default_na=False)).to_csv(file, index=False)


def republish(
    dataset: str, partition: Partition, change: Change, *, knowledge_time: dt.datetime | None = None, knowledge_column: str | None = None
) -> PartitionVersion:
    """Publish a changed version of a partition, past its validation."""
    current = current_partition(dataset, partition)
    assert current is not None
    frame = change(read_partition(current))
    digest = frame_digest(frame)
    path = f"datasets/{dataset}/{partition}/{digest[:16]}.parquet"
    storage.write_frame(path, frame)
    content = {
        "digest": digest,
        "path": path,
        "rows": len(frame),
        "quarantine_digest": current.quarantine_digest,
        "quarantine_path": current.quarantine_path,
        "quarantined": current.quarantined,
        "source_rows": len(frame) + current.quarantined,
        **({"knowledge_column": knowledge_column} if knowledge_column else {}),
    }
    version, _ = publish_partition(
        dataset=dataset,
        partition=partition,
        content=content,
        known_at=lambda _: knowledge_time or current.knowledge_time,
        origin="live",
    )
    return version


def shifted(column: str, by: float) -> Change:
    """The same rows with another number in every cell of ``column``."""
    return lambda frame: frame.assign(**{column: frame[column] + by})


def reversed_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[::-1].reset_index(drop=True)


def rows_of(table: sa.Table) -> list[sa.Row[tuple[object, ...]]]:
    with reading() as connection:
        return list(connection.execute(table.select().order_by(*table.primary_key)).all())


def lenient(model: ModelConfig) -> ModelConfig:
    """``model`` with a gate that any sensible candidate passes: two weeks of flights make no good classifier."""
    metric, bound = ("auc", {"at_least": 0.5}) if model.task == "classification" else ("mae", {"at_most": 100.0})
    criteria = [{"kind": "absolute", "metric": metric, **bound}]
    return model.model_copy(update={"gate": Gate.model_validate({"criteria": criteria})})


def strict(model: ModelConfig) -> ModelConfig:
    """``model`` with a gate that no candidate passes."""
    metric, bound = ("auc", {"at_least": 1.0}) if model.task == "classification" else ("mae", {"at_most": 0.0})
    criteria = [{"kind": "absolute", "metric": metric, **bound}]
    return model.model_copy(update={"gate": Gate.model_validate({"criteria": criteria})})


def brief(model: ModelConfig) -> ModelConfig:
    """``model`` with a training of ten days: as good for most tests, in half the time."""
    train = model.train.model_copy(update={"window": Span(10, "day"), "min_history": Span(8, "day")})
    return model.model_copy(update={"train": train})


def with_other_features(catalog: Catalog, folder: Path) -> Catalog:
    """A copy of ``catalog``, in which air_time takes the distance in kilometres, under that name, and no square of it."""
    shutil.copytree(catalog.root, folder, ignore=shutil.ignore_patterns("evergreen", "__pycache__"))
    changed = Catalog(folder)
    declared, code = changed.model_path("air_time"), changed.features_path("air_time")
    lines = [line for line in declared.read_text().splitlines(keepends=True) if "distance_squared" not in line]
    declared.write_text("".join(lines).replace("name: distance,", "name: kilometres,"))
    tail = "\n    frame['kilometres'] = frame.pop('distance') * 1.609344\n    return frame.drop(columns='distance_squared')\n"
    code.write_text(code.read_text().replace("return pd.DataFrame(", "frame = pd.DataFrame(").rstrip() + tail)
    return changed


def trained_as_of(model: ModelConfig, as_of: Partition, catalog: Catalog | None = None) -> Candidate:
    catalog = catalog or Catalog()
    return train(catalog, model, take_snapshot(catalog, model, as_of), "a test")[0]


def registered_as_of(model: ModelConfig, as_of: Partition, catalog: Catalog | None = None) -> champions.RegisteredVersion:
    """Train as of a date, bless and register."""
    candidate = trained_as_of(model, as_of, catalog)
    assert decide(catalog or Catalog(), lenient(model), candidate).verdict == "blessed"
    return champions.register(model.name, candidate.run_key)


def run_python(code: str) -> str:
    """Run ``code`` in a new interpreter, with this environment; returns what it printed.

    For tests of what a process imports, of its hash seed, or of its memory; for all others `warm.run_code` takes a tenth of the time.
    """
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
