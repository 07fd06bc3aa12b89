"""Homes with made-up flights, and time that passes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen.foundation.settings import Settings
from tests.unit.lifecycle import settle_cycled, settle_landed


@pytest.fixture
def storage_root() -> Path:
    return Path(Settings.from_environment().storage)


@pytest.fixture
def landed() -> None:
    """Databases, files, nothing ingested."""
    settle_landed()


@pytest.fixture
def cycled() -> None:
    """A home in which a cycle has run: a champion, predictions, a report."""
    settle_cycled()
