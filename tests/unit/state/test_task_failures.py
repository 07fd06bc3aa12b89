"""What a failed attempt said is kept once, without secrets; what has one cause has one name."""

from __future__ import annotations

from typing import Any

import pytest

from include.evergreen.state.database.tables import task_failures
from include.evergreen.state.task_failures import LONGEST_ERROR, fingerprint, record_failure
from tests.unit.flights import rows_of

pytestmark = pytest.mark.usefixtures("home")
ATTEMPT: dict[str, Any] = {
    "dag_id": "weather.ingest",
    "task_id": "fetch",
    "run_id": "night",
    "map_index": -1,
    "try_number": 1,
    "partition": "",
}


def test_an_attempt_is_written_down_once_and_the_first_word_stands() -> None:
    record_failure(**ATTEMPT, error_class="OSError", error="https://me:pw@feed is gone" + "!" * 9999)
    record_failure(**ATTEMPT, error_class="ValueError", error="another")
    record_failure(**{**ATTEMPT, "try_number": 2}, error_class="OSError", error="gone again")
    first, second = rows_of(task_failures)
    assert (first.error_class, first.error[:28], len(first.error)) == ("OSError", "https://me:***@feed is gone!", LONGEST_ERROR)
    assert (second.try_number, second.alert_id) == (2, None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("weather: 2013-02-09 has 12 rows", "weather: 2014-11-30 has 9,417.5 rows"),
        ("timed out after 30s at 0x7f3a2b", "timed out after 31s at 0x11aabb"),
        ("run 01a227f3-326d-7a6e-acc0-9af071d74f58 is gone", "run 02b338a4-326d-7a6e-acc0-9af071d74f58 is gone"),
        ("it broke\nTraceback: line 1", "it broke\nTraceback: line 7"),
    ],
)
def test_what_varies_from_one_attempt_to_the_next_is_one_cause(one: str, other: str) -> None:
    assert fingerprint("DataError", one, "weather") == fingerprint("DataError", other, "weather")


def test_another_error_another_place_and_other_words_are_other_causes() -> None:
    said = [
        ("DataError", "no column a", "weather"),
        ("DataError", "no column a", "flights"),
        ("OSError", "no column a", "weather"),
        ("DataError", "no column b", "weather"),
    ]
    assert len({fingerprint(*each) for each in said}) == 4
