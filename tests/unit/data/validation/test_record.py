from __future__ import annotations

from typing import Any

import pytest

from include.evergreen.data.validation import latest_validation, next_validated, recent_validations, record_validation
from include.evergreen.state.database.tables import validations
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


def test_the_validations_before_a_partition_are_the_newest_of_its_dataset_oldest_first() -> None:
    for day in (9, 3, 5, 1, 7):
        record_validation("weather", january(day), f"of {day}", _result("passed"))
    record_validation("outcomes", january(4), "another dataset's", _result("passed"))
    assert [each["partition"] for each in recent_validations("weather", january(7))] == [january(1), january(3), january(5)]
    assert [each["raw_digest"] for each in recent_validations("weather", january(31), limit=2)] == ["of 7", "of 9"]
    assert recent_validations("weather", january(1)) == []
    assert (next_validated("weather", january(3)), next_validated("weather", january(9))) == (january(5), None)


def _result(verdict: str) -> dict[str, Any]:
    return {"verdict": verdict, "reason": "", "rows": 3, "quarantined": 0, "checks": []}
