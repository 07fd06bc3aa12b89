"""A home in which a candidate of air_time waits for its gate: training is most of what such a test would cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.training import Candidate, find_candidate
from tests.unit.flights import at_home, brief, copy_home, january, trained_as_of


@pytest.fixture(scope="session")
def _waiting_template(tmp_path_factory: pytest.TempPathFactory, _flights_template: Path) -> tuple[Path, str]:
    with at_home(copy_home(_flights_template, tmp_path_factory.mktemp("waiting"))) as home:
        candidate = trained_as_of(brief(Catalog().model("air_time")), january(14))
    return home, candidate.run_key


@pytest.fixture
def candidate(_own_home: Path, _waiting_template: tuple[Path, str]) -> Candidate:
    """As of 14 January, in a home as `flights` gives; no decision is taken, and there is no champion."""
    template, run_key = _waiting_template
    copy_home(template, _own_home)
    return find_candidate(run_key)
