"""A home in which a candidate of air_time waits for its gate: training is most of what such a test would cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.state.database.tables import candidates
from include.evergreen.training.candidate import Candidate, find_candidate
from tests.templates import template
from tests.unit.copies import database  # noqa: F401  tests with a home run on SQLite and on PostgreSQL
from tests.unit.flights import at_home, brief, copy_home, january, rows_of, trained_as_of


@pytest.fixture
def candidate(settled: Callable[[Path], Path], _flights_template: Path) -> Candidate:
    """As of 14 January, in a home as `flights` gives; no decision is taken, and there is no champion."""

    def make(home: Path) -> None:
        with at_home(copy_home(_flights_template, home)):
            trained_as_of(brief(Catalog().model("air_time")), january(14))

    settled(template("waiting", make))
    return find_candidate(str(rows_of(candidates)[0].run_key))
