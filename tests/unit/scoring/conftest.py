from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from tests.templates import template
from tests.unit.copies import database  # noqa: F401  tests with a home run on SQLite and on PostgreSQL
from tests.unit.flights import at_home, copy_home, january, registered_as_of, with_other_features


@pytest.fixture
def changed(settled: Callable[[Path], Path], _trained_template: Path, tmp_path: Path) -> Catalog:
    """A catalog with other features of air_time, whose version 2, in a home as `trained` gives, was trained on them."""
    changed = with_other_features(Catalog(), tmp_path / "include")

    def make(home: Path) -> None:
        with at_home(copy_home(_trained_template, home)):
            registered_as_of(changed.model("air_time"), january(19), changed)

    settled(template("challenger-with-other-features", make))
    return changed
