"""Days of all three datasets, by four processes at a time and one by one: the whole of January with EVERGREEN_RACE_ROUNDS."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.data import ingestion
from include.evergreen.foundation.grain import DAILY
from include.evergreen.state.database.tables import partition_versions
from tests.templates import template
from tests.unit.flights import at_home, copy_home, january, rows_of
from tests.unit.warm import start_code
from tools.landing_zone import COLUMNS, lay_out

DAYS = DAILY.between(january(1), january(31 if os.environ.get("EVERGREEN_RACE_ROUNDS") else 12))
RUNS_AT_ONCE = 4
INGEST = """\
import datetime as dt
from include.evergreen.data import ingestion
from include.evergreen.config import Catalog
for text in {days}:
    for name in Catalog().dataset_names():
        ingestion.ingest(Catalog().dataset(name), str(text), "backfill")
"""


@pytest.fixture
def month(_empty_template: Path, tmp_path: Path) -> Path:
    """A home with the days' files, of which none is ingested."""
    year = template("year", lay_out)
    home = copy_home(_empty_template, tmp_path / "month")
    for dataset in COLUMNS:
        (home / "landing" / dataset).mkdir(parents=True)
        for day in DAYS:
            shutil.copy(year / dataset / f"{day}.csv", home / "landing" / dataset)
    return home


def test_days_by_four_at_a_time_are_to_the_digest_those_ingested_one_by_one(month: Path, tmp_path: Path) -> None:
    with at_home(copy_home(month, tmp_path / "at-once")):
        processes = [start_code(INGEST.format(days=[str(day) for day in DAYS[first::RUNS_AT_ONCE]])) for first in range(RUNS_AT_ONCE)]
        assert [(each.wait(500), each.communicate()[1]) for each in processes] == [(0, "")] * RUNS_AT_ONCE
        at_once = _recorded()
    with at_home(copy_home(month, tmp_path / "one-by-one")):
        catalog = Catalog()
        for name in catalog.dataset_names():
            for day in reversed(DAYS):
                ingestion.ingest(catalog.dataset(name), day, "backfill")
        one_by_one = _recorded()
        again = [ingestion.ingest(catalog.dataset(name), day, "live") for name in catalog.dataset_names() for day in DAYS]
        assert not any(is_new for _, is_new in again)
        assert _recorded() == one_by_one
    assert len(one_by_one) == len(DAYS) * len(COLUMNS)
    assert at_once == one_by_one


def _recorded() -> list[tuple[object, ...]]:
    """Of each version, all but its number in the table, and when it was read and recorded."""
    left_out = {"id", "entry", "recorded_at", "delivered_at", "arrived_at"}
    return sorted(tuple(str(value) for name, value in row._mapping.items() if name not in left_out) for row in rows_of(partition_versions))
