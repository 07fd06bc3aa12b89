"""Homes for tests: an empty one, one with three weeks of real flights, one with champions trained on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.gates.decide import decide
from include.evergreen.promotion.cards import holdout
from include.evergreen.registry import champions
from include.evergreen.serving.clean_processes import ADDRESS
from tests.templates import template
from tests.unit.copies import migrated_database, move_to
from tests.unit.databases import database_of, on_sqlite_alone
from tests.unit.flights import (
    FIRST_AS_OF,
    SECOND_AS_OF,
    at_home,
    close_database,
    copy_home,
    empty_template,
    flights_template,
    landed_template,
    lenient,
    registered_as_of,
    trained_as_of,
)
from tests.unit.forked_server import forked_server
from tests.unit.lifecycle import cycled_template


@pytest.fixture(scope="session")
def _empty_template() -> Path:
    return empty_template()


@pytest.fixture(scope="session")
def _landed_template() -> Path:
    return landed_template()


@pytest.fixture(scope="session")
def _flights_template() -> Path:
    return flights_template()


@pytest.fixture(scope="session")
def _trained_template() -> Path:
    return template("trained", _make_trained)


def _make_trained(home: Path) -> None:
    with at_home(copy_home(flights_template(), home)):
        catalog = Catalog()
        for model in map(catalog.model, catalog.model_names()):
            first = registered_as_of(model, FIRST_AS_OF)
            champions.promote(model.name, first.version, actor="a person", reason="the first")
            assert decide(Catalog(), lenient(model), trained_as_of(model, SECOND_AS_OF)).verdict == "blessed"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path) -> Iterator[Path]:
    """Whatever a test does, it does not do it to the checkout's own state."""
    with at_home(tmp_path / "home") as home:
        yield home
    shutil.rmtree(home, ignore_errors=True)  # pytest would keep three sessions of them, of gigabytes


@pytest.fixture(scope="session")
def server_of_clean_processes() -> Iterator[str]:
    """The address of one that all tests share."""
    with forked_server() as address:
        yield address


@pytest.fixture(autouse=True)
def _clean_processes(request: pytest.FixtureRequest, _own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates have theirs forked, as in the embedded Airflow, except in tests marked with `clean_process`.

    After the home, so that what a test sets is undone before the home's database is closed.
    """
    if request.node.get_closest_marker("clean_process") is None:
        monkeypatch.setenv(ADDRESS, request.getfixturevalue("server_of_clean_processes"))


@pytest.fixture
def database() -> str:
    """Where homes keep our own state. Folders whose tests are about that state have `copies.database` instead, and run on both."""
    return "sqlite"


@pytest.fixture
def into_database(
    database: str, _own_home: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], None]]:
    """Moves the state of the home, a copy of the template that is named, into ``database``."""

    def move(template: str) -> None:
        if database == "postgresql":
            move_to(request.getfixturevalue("postgresql"), monkeypatch, template)

    yield move
    if database == "postgresql":
        close_database()


@pytest.fixture
def settled(_own_home: Path, into_database: Callable[[str], None]) -> Callable[[Path], Path]:
    """Makes the home a copy of a template."""

    def settle(template: Path) -> Path:
        copy_home(template, _own_home)
        into_database(template.name)
        return _own_home

    return settle


@pytest.fixture
def home(settled: Callable[[Path], Path], _empty_template: Path) -> Path:
    """An empty home, its database migrated."""
    return settled(_empty_template)


@pytest.fixture(params=["sqlite", "postgresql"])
def either_database(request: pytest.FixtureRequest, _own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The home's own SQLite, as it is; and a new database of PostgreSQL. After the home in ``usefixtures``."""
    if request.param == "postgresql":
        monkeypatch.setenv("EVERGREEN_DATABASE_URL", migrated_database(request.getfixturevalue("postgresql"), "either"))
    yield
    close_database()


@pytest.fixture
def landed(settled: Callable[[Path], Path], _landed_template: Path) -> Path:
    """A home with the source's files, of which none is ingested."""
    return settled(_landed_template)


@pytest.fixture
def flights(settled: Callable[[Path], Path], _flights_template: Path) -> Path:
    """A home with 1-21 January ingested, and files for some days more."""
    return settled(_flights_template)


@pytest.fixture
def trained(settled: Callable[[Path], Path], _trained_template: Path) -> Path:
    """`flights`, with version 1 of both models as champion and a newer, blessed candidate that is not registered."""
    return settled(_trained_template)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is about one kind of database, or sends another nothing that others do not send, runs on SQLite alone."""
    alone = on_sqlite_alone()
    on_another = [item for item in items if database_of(item) == "postgresql"]
    left = [item for item in on_another if item.get_closest_marker("sqlite_only") or item.nodeid in alone]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.fixture
def permuted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card permutes each feature once, and not up to five times: for tests that look at no importance, nor make a template."""
    cycled_template()  # which has a card
    monkeypatch.setattr(holdout, "IMPORTANCE_REPEATS", (1, 1))


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
