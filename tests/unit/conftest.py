"""Homes for tests: an empty one, one with three weeks of real flights, one with champions trained on them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data import ingestion
from include.evergreen.foundation.clock import days
from include.evergreen.gates.decide import decide
from include.evergreen.registry import champions
from include.evergreen.serving.clean_processes import ADDRESS, Server
from include.evergreen.state import mlflow_store
from include.evergreen.state.database import migrate
from tests.templates import template
from tests.unit.flights import (
    FIRST_AS_OF,
    INGESTED_UNTIL,
    LANDED,
    SECOND_AS_OF,
    at_home,
    close_database,
    copy_home,
    january,
    lenient,
    registered_as_of,
    trained_as_of,
)
from tools.landing_zone import COLUMNS, lay_out


@pytest.fixture(scope="session")
def _empty_template() -> Path:
    return template("empty", _make_empty)


@pytest.fixture(scope="session")
def _landed_template() -> Path:
    """The source's files of the days that tests need, of which none is ingested."""
    return template("landed", _make_landed)


@pytest.fixture(scope="session")
def _flights_template() -> Path:
    return template("flights", _make_flights)


@pytest.fixture(scope="session")
def _trained_template() -> Path:
    return template("trained", _make_trained)


def _make_empty(home: Path) -> None:
    with at_home(home):
        migrate()


def _make_landed(home: Path) -> None:
    copy_home(template("empty", _make_empty), home)
    year = template("year", lay_out)
    for dataset in COLUMNS:
        (home / "landing" / dataset).mkdir(parents=True)
        for day in LANDED:
            shutil.copy(year / dataset / f"{day}.csv", home / "landing" / dataset)


def _make_flights(home: Path) -> None:
    with at_home(copy_home(template("landed", _make_landed), home)):
        mlflow_store.prepare_store()
        catalog = Catalog()
        for name in catalog.dataset_names():
            for day in days(january(1), INGESTED_UNTIL):
                ingestion.ingest(catalog.dataset(name), day, "live")
    _drop_what_no_test_reads(home)


def _make_trained(home: Path) -> None:
    with at_home(copy_home(template("flights", _make_flights), home)):
        catalog = Catalog()
        for model in map(catalog.model, catalog.model_names()):
            first = registered_as_of(model, FIRST_AS_OF)
            champions.promote(model.name, first.version, actor="a person", reason="the first")
            assert decide(Catalog(), lenient(model), trained_as_of(model, SECOND_AS_OF)).verdict == "blessed"


def _drop_what_no_test_reads(home: Path) -> None:
    """A copy's cost is its number of files: without these, each test is a quarter of a second faster."""
    shutil.rmtree(home / "storage" / "raw")
    shutil.rmtree(home / "storage" / "quarantine")  # no row of January is quarantined
    for file in home.glob("landing/*/*.csv"):
        if file.stem < str(SECOND_AS_OF):
            file.unlink()


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path) -> Iterator[Path]:
    """Whatever a test does, it does not do it to the checkout's own state."""
    with at_home(tmp_path / "home") as home:
        yield home
    shutil.rmtree(home, ignore_errors=True)  # pytest would keep three sessions of them, of gigabytes


@pytest.fixture(scope="session")
def server_of_clean_processes() -> Iterator[str]:
    """The address of one that all tests share; it imports what it needs when the first gate asks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(ADDRESS, raising=False)
        server = Server()
        server.start()
        address = os.environ.pop(ADDRESS)
        yield address
        server.stop()


@pytest.fixture(autouse=True)
def _clean_processes(request: pytest.FixtureRequest, _own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates have theirs forked, as in the embedded Airflow, except in tests marked with `clean_process`.

    After the home, so that what a test sets is undone before the home's database is closed.
    """
    if request.node.get_closest_marker("clean_process") is None:
        monkeypatch.setenv(ADDRESS, request.getfixturevalue("server_of_clean_processes"))


@pytest.fixture
def home(_own_home: Path, _empty_template: Path) -> Path:
    """An empty home, its database migrated."""
    return copy_home(_empty_template, _own_home)


@pytest.fixture(params=["sqlite", "postgresql"])
def either_database(request: pytest.FixtureRequest, _own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The home's own SQLite, as it is; and a new database of PostgreSQL. After the home in ``usefixtures``."""
    if request.param == "postgresql":
        monkeypatch.setenv("EVERGREEN_DATABASE_URL", request.getfixturevalue("postgresql").new_database("either"))
        migrate()
    yield
    close_database()


@pytest.fixture
def landed(_own_home: Path, _landed_template: Path) -> Path:
    """A home with the source's files, of which none is ingested."""
    return copy_home(_landed_template, _own_home)


@pytest.fixture
def flights(_own_home: Path, _flights_template: Path) -> Path:
    """A home with 1-21 January ingested, and files for some days more."""
    return copy_home(_flights_template, _own_home)


@pytest.fixture
def trained(_own_home: Path, _trained_template: Path) -> Path:
    """`flights`, with version 1 of both models as champion and a newer, blessed candidate that is not registered."""
    return copy_home(_trained_template, _own_home)


@pytest.fixture
def catalog() -> Catalog:
    """What ships."""
    return Catalog()


@pytest.fixture
def air_time(catalog: Catalog) -> ModelConfig:
    return catalog.model("air_time")


@pytest.fixture
def flight_delay(catalog: Catalog) -> ModelConfig:
    return catalog.model("flight_delay")
