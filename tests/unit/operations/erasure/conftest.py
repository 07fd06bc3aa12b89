"""A small dataset about people, in an include folder of its own, and what it takes to look for them everywhere."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.evergreen.config import Catalog, DatasetConfig
from include.evergreen.data import ingestion
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.monitoring import ensure_report, monitor
from include.evergreen.scoring.score import score
from tests.templates import template
from tests.unit.flights import at_home, copy_home, january
from tests.unit.lifecycle import include_with

DAYS = [january(day) for day in (1, 2, 3)]
PERSON = "ada.lovelace@example.org"
DATASET = """
name: visits
description: Who came to the clinic
owner: the clinic
source: {type: files, path: "${EVERGREEN_HOME}/landing/visits/{partition}.csv"}
schedule: {cron: "0 0 * * *", start: 2013-01-01}
knowledge: {hours_after_partition: 0}
columns:
  - {name: visit, type: integer, description: Number of the visit}
  - {name: email, type: string, personal: true, description: Whose visit}
  - {name: pulse, type: number, description: Beats a minute}
keys: [visit]
quarantine: {max_share: 0.5}
expectations:
  - {expect: expect_column_values_to_be_between, arguments: {column: pulse, min_value: 30, max_value: 220}, on_fail: quarantine}
"""


MODEL = "flight_delay"
SCORED = (january(18), january(19))


@pytest.fixture
def aircraft_are_personal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ships, but that an aircraft's number stands for a person."""
    file = include_with(tmp_path, monkeypatch) / "datasets" / "schedules" / "dataset.yaml"
    file.write_text(file.read_text().replace("{name: tailnum, ", "{name: tailnum, personal: true, "))


@pytest.fixture
def scored(_trained_template: Path, _own_home: Path, aircraft_are_personal: None) -> Path:
    """`trained`, and the days of `SCORED` are scored and monitored, and their drift reports drawn."""

    def make(home: Path) -> None:
        include = Catalog().root
        with at_home(copy_home(_trained_template, home)):
            catalog = Catalog(include)
            model = catalog.model(MODEL)
            for day in SCORED:
                assert score(catalog, model, day, "live").is_done
                assert monitor(catalog, model, day, "live").is_done
                ensure_report(catalog, model, day)

    return copy_home(template("scored-with-people", make), _own_home)


@pytest.fixture
def visits(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetConfig:
    """Three days ingested, the second of them twice; the person was there each day, and once with an impossible pulse."""
    return _ingested(DAYS, tmp_path, monkeypatch)


@pytest.fixture
def visits_of_two_days(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetConfig:
    """The first two of `visits`: all that an erasure meets, with a third less to be killed at."""
    return _ingested(DAYS[:2], tmp_path, monkeypatch)


def _ingested(days: list[Partition], folder: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetConfig:
    include = folder / "include"
    (include / "datasets" / "visits").mkdir(parents=True)
    (include / "datasets" / "visits" / "dataset.yaml").write_text(DATASET)
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(include))
    dataset = Catalog().dataset("visits")
    for day in days:
        deliver(day)
        ingestion.ingest(dataset, day, "live")
    deliver(DAYS[1], pulse=61)
    ingestion.ingest(dataset, DAYS[1], "live")
    return dataset


def deliver(day: object, *, pulse: float = 60, person: str = PERSON) -> None:
    rows = pd.DataFrame(
        {"visit": range(20), "email": [f"someone-{n}@example.org" for n in range(20)], "pulse": [70.0 + n for n in range(20)]}
    )
    rows.loc[3, ["email", "pulse"]] = [person, pulse]
    rows.loc[7, ["email", "pulse"]] = [person, 999]
    folder = Settings.from_environment().home / "landing" / "visits"
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / f"{day}.csv", index=False)


def places_with(text: str) -> list[str]:
    """Every stored file and database that holds ``text``, however Parquet has packed it."""
    home = Settings.from_environment().home
    files = [file for file in home.rglob("*") if file.is_file() and "landing" not in file.parts and "mlartifacts" not in file.parts]
    return sorted(str(file.relative_to(home)) for file in files if _holds(file, text))


def _holds(file: Path, text: str) -> bool:
    content = file.read_bytes()
    if file.suffix == ".gz":
        content = gzip.decompress(content)
    if file.suffix == ".profile":
        content = np.load(io.BytesIO(content.partition(b"\n")[2]))["head"].tobytes()
    if text.encode() in content:
        return True
    return file.suffix == ".parquet" and any(
        text in str(value) for column in pq.read_table(file).columns for value in column.unique().to_pylist()
    )
