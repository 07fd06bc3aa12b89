"""A small source of synthetic flights, and homes in which a cycle over it has run: for tests of the whole lifecycle.

Lateness follows the hour and the carrier, so that a model can learn something from 120 flights a day.
"""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog
from include.evergreen.data import ingestion
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.operations.local_run import CycleResult, run_cycle
from include.evergreen.state import mlflow_store
from include.evergreen.state.database import migrate, reading
from include.evergreen.state.database.tables import metadata
from tests.templates import template
from tests.unit.flights import at_home, copy_home

FIRST, LAST = "2013-01-01", "2013-01-25"
AS_OF = "2013-01-20"  # of the cycle that has run in a `cycled` home; it leaves five days to go on with
MODEL = "flight_delay"
ROWS_A_DAY = 120
RESULT = "result.pickle"
ORIGINS, CARRIERS = ("EWR", "JFK", "LGA"), ("AA", "B6", "DL", "UA")
VOLATILE = {  # a run that finds all done confirms it there
    "stage_records": {"detail", "recorded_at"},
    "partition_versions": {"delivered_at"},
}


def settle_landed() -> None:
    """Fill this test's home: databases prepared, 25 days of files, nothing ingested."""
    copy_home(template("made-up-landed", _make_landed), Settings.from_environment().home)


def settle_ingested() -> None:
    """Fill this test's home as `settle_landed` does, with the files up to `AS_OF` ingested, live."""
    copy_home(template("made-up-ingested", _make_ingested), Settings.from_environment().home)


def settle_cycled() -> CycleResult:
    """Fill this test's home as `settle_landed` does, with a cycle of `MODEL` as of `AS_OF` in it; returns its result."""
    home = copy_home(cycled_template(), Settings.from_environment().home)
    result: CycleResult = pickle.loads((home / RESULT).read_bytes())
    (home / RESULT).unlink()
    return result


def cycled_template() -> Path:
    return template("made-up-cycled", _make_cycled)


def day(number: int) -> Partition:
    return f"2013-01-{number:02}"


def landing(dataset: str, partition: Partition) -> Path:
    return Settings.from_environment().home / "landing" / dataset / f"{partition}.csv"


def shorten(dataset: str, partition: Partition, rows: int) -> None:
    """Leave the first ``rows`` rows of a delivery: too few, and validation stops it."""
    file = landing(dataset, partition)
    file.write_text("".join(file.read_text().splitlines(keepends=True)[: rows + 1]))


def everything() -> dict[str, object]:
    """All that a home holds, to compare before and after: each table's rows, and each stored file's size."""
    home = Settings.from_environment().home
    files = {
        str(file.relative_to(home)): file.stat().st_size
        for folder in ("storage", "mlartifacts")
        for file in (home / folder).rglob("*")
        if file.is_file()
    }
    return {**{table.name: _rows(table) for table in metadata.sorted_tables}, "files": files}


def include_with(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what ships, declared from now on: for tests that bend a YAML."""
    include = folder / "include"
    for kind in ("datasets", "models"):
        shutil.copytree(Path(__file__).parents[2] / "include" / kind, include / kind)
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(include))
    return include


def _rows(table: sa.Table) -> list[tuple[object, ...]]:
    columns = [column for column in table.columns if column.name not in VOLATILE.get(table.name, set())]
    with reading() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(*table.primary_key.columns))]


def _make_landed(home: Path) -> None:
    with at_home(home):
        migrate()
        mlflow_store.prepare_store()
        for partition in DAILY.between(FIRST, LAST):
            _deliver(home / "landing", partition)


def _make_ingested(home: Path) -> None:
    with at_home(copy_home(template("made-up-landed", _make_landed), home)):
        catalog = Catalog()
        for dataset in map(catalog.dataset, catalog.dataset_names()):
            for partition in DAILY.between(FIRST, AS_OF):
                ingestion.ingest(dataset, partition, "live")


def _make_cycled(home: Path) -> None:
    with at_home(copy_home(template("made-up-landed", _make_landed), home)):
        catalog = Catalog()
        result = run_cycle(catalog, catalog.model(MODEL), AS_OF, reason="the first", actor="a person")
    (home / RESULT).write_bytes(pickle.dumps(result))


def _deliver(folder: Path, partition: Partition) -> None:
    random = np.random.default_rng(DAILY.number(partition))
    flights = _flights(random)
    deliveries = {
        "schedules": flights.drop(columns=["dep_delay", "arr_delay", "air_time"]),
        "outcomes": flights[["carrier", "flight", "origin", "dep_delay", "arr_delay", "air_time"]],
        "weather": _weather(random, partition),
    }
    for dataset, rows in deliveries.items():
        (folder / dataset).mkdir(parents=True, exist_ok=True)
        rows.to_csv(folder / dataset / f"{partition}.csv", index=False)


def _flights(random: np.random.Generator) -> pd.DataFrame:
    numbers = np.arange(ROWS_A_DAY)
    carrier, hour = numbers % len(CARRIERS), 6 + numbers % 17
    distance = 200 + 50 * (numbers % 40)
    delay = 3.0 * (hour - 14) + 8 * (carrier - 1.5) + random.normal(0, 25, ROWS_A_DAY)
    cancelled = random.random(ROWS_A_DAY) < 0.02
    return pd.DataFrame(
        {
            "carrier": np.array(CARRIERS)[carrier],
            "flight": 100 + numbers,
            "tailnum": "N1",
            "origin": np.array(ORIGINS)[numbers % len(ORIGINS)],
            "dest": "ORD",
            "sched_dep_time": 100 * hour,
            "sched_arr_time": 100 * hour + 30,
            "distance": distance,
            "dep_delay": np.where(cancelled, np.nan, delay.round()),
            "arr_delay": np.where(cancelled, np.nan, delay.round()),
            "air_time": np.where(cancelled, np.nan, (20 + distance / 8 + random.normal(0, 5, ROWS_A_DAY)).round()),
        }
    )


def _weather(random: np.random.Generator, partition: Partition) -> pd.DataFrame:
    hours = [(origin, hour) for origin in ORIGINS for hour in range(24)]
    return pd.DataFrame(
        {
            "origin": [origin for origin, _ in hours],
            "time_hour": [f"{partition}T{hour:02d}:00:00Z" for _, hour in hours],
            "temp": random.normal(40, 5, len(hours)).round(1),
            "humid": 60.0,
            "wind_speed": random.uniform(0, 20, len(hours)).round(1),
            "precip": 0.0,
            "visib": 10.0,
        }
    )
