from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.monitoring import monitor
from include.evergreen.scoring.score import score
from tests.templates import template
from tests.unit.copies import database  # noqa: F401  tests with a home run on SQLite and on PostgreSQL
from tests.unit.flights import at_home, copy_home, january


@pytest.fixture
def monitored(settled: Callable[[Path], Path], _trained_template: Path) -> Path:
    """`trained`, and air_time has scored and monitored 20 January."""

    def make(home: Path) -> None:
        with at_home(copy_home(_trained_template, home)):
            catalog = Catalog()
            model = catalog.model("air_time")
            assert score(catalog, model, january(20), "live").is_done
            assert monitor(catalog, model, january(20), "live").status == "done"

    return settled(template("monitored", make))
