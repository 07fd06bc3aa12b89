"""A home in which a cycle over made-up flights has run, so that there is a version with a card."""

from __future__ import annotations

import pytest

from include.evergreen.config import Catalog
from include.evergreen.promotion.cards.facts import Facts, gather
from include.evergreen.promotion.cards.write import card_path
from include.evergreen.registry import champions
from include.evergreen.registry.champions import RegisteredVersion
from include.evergreen.state import storage
from tests.unit.flights import at_home
from tests.unit.lifecycle import MODEL, settle_cycled


@pytest.fixture
def version() -> RegisteredVersion:
    """The champion of a home in which a cycle has run."""
    settle_cycled()
    found = champions.champion(MODEL)
    assert found is not None
    return found


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """What its card is written from, gathered once."""
    with at_home(tmp_path_factory.mktemp("card")):
        settle_cycled()
        catalog = Catalog()
        return gather(catalog, catalog.model(MODEL), champions.version_number(MODEL, 1))


@pytest.fixture
def card(version: RegisteredVersion) -> str:
    """Its card, as the cycle wrote it."""
    path = card_path(MODEL, version.version)
    assert path
    return storage.read_bytes(path).decode()
