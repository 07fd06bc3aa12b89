from __future__ import annotations

from typing import Any

import pytest

from include.evergreen.database.tables import validations
from include.evergreen.validation import latest_validation, record_validation
from tests.unit.flights import january, rows_of

pytestmark = pytest.mark.usefixtures("home")


def test_a_partition_that_was_never_validated_has_no_record() -> None:
    assert latest_validation("weather", january(1)) is None


def test_the_newest_validation_takes_the_place_of_the_one_before() -> None:
    record_validation("weather", january(1), "first", _result("stopped"))
    record_validation("weather", january(1), "second", _result("passed"))
    record_validation("weather", january(2), "other", _result("stopped"))
    found = latest_validation("weather", january(1))
    assert found is not None
    assert (found["verdict"], found["raw_digest"], found["rows"]) == ("passed", "second", 3)
    assert len(rows_of(validations)) == 2


def _result(verdict: str) -> dict[str, Any]:
    return {"verdict": verdict, "reason": "", "rows": 3, "quarantined": 0, "checks": []}
