"""Rows of a dimension that changes slowly: no two of a key may hold at one moment, and each ends after it begins."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from include.evergreen.data.validation import stop_message
from tests.unit.data.validation.judged import DAY, Judged, dataset, judged

pytestmark = pytest.mark.usefixtures("home")
COLUMNS = [
    {"name": "customer", "type": "integer", "description": "Who"},
    {"name": "tier", "type": "string", "description": "Which tier"},
    {"name": "since", "type": "timestamp", "description": "From when on"},
    {"name": "until", "type": "timestamp", "description": "Until when", "nullable": True},
]
DECLARED: dict[str, Any] = {"columns": COLUMNS, "keys": ["customer", "since"], "validity": {"from": "since", "to": "until"}}
SOUND = [(7, 1, 4), (7, 4, 6), (7, 9, None), (8, 2, 5), (8, 5, None), (9, 1, None)]  # customer, first and last day; a gap of three days


@pytest.mark.parametrize(
    ("rows", "failed", "examples"),
    [
        (SOUND, "", ()),
        (list(reversed(SOUND)), "", ()),
        ([*SOUND, (8, 1, 3)], "does_not_overlap", ("customer=8, since=2024-01-02 00:00:00+00:00",)),
        ([*SOUND, (9, 3, 4), (9, 5, 6)], "does_not_overlap", ("customer=9, since=2024-01-03 00:00:00+00:00",
                                                             "customer=9, since=2024-01-05 00:00:00+00:00")),
        ([*SOUND, (7, 7, 7)], "ends_after_it_begins", ("customer=7, since=2024-01-07 00:00:00+00:00",)),
        ([*SOUND, (7, 8, 2)], "ends_after_it_begins", ("customer=7, since=2024-01-08 00:00:00+00:00",)),
    ],
)  # fmt: skip
def test_a_table_in_which_two_rows_hold_at_once_is_stopped_and_says_which(
    rows: list[tuple[int, int, int | None]], failed: str, examples: tuple[str, ...]
) -> None:
    found = validated(rows)
    assert found.validation.verdict == ("stopped" if failed else "passed")
    wrong = [check for check in found.validation.checks if check.failed]
    assert [(check.expectation, check.examples) for check in wrong] == ([(f"validity_{failed}", examples)] if failed else [])
    if failed:
        message = stop_message(dataset(**DECLARED), DAY, found.validation)
        assert f"validity_{failed}(from=since, to=until): {len(examples)} row" in message and examples[0] in message


def test_a_persons_key_is_not_shown() -> None:
    personal = [{**COLUMNS[0], "personal": True}, *COLUMNS[1:]]
    found = validated([*SOUND, (8, 1, 3)], columns=personal)
    assert found.validation.verdict == "stopped"
    assert "8" not in found.validation.reason


def test_where_a_row_holds_until_the_next_one_none_overlap() -> None:
    assert validated([*SOUND, (8, 1, 3)], validity={"from": "since"}).validation.verdict == "passed"


def validated(rows: list[tuple[int, int, int | None]], **changes: Any) -> Judged:
    start = pd.Timestamp("2024-01-01", tz="UTC") - pd.Timedelta(days=1)
    frame = pd.DataFrame(
        {
            "customer": pd.array([row[0] for row in rows], dtype="Int64"),
            "tier": ["gold"] * len(rows),
            "since": [start + pd.Timedelta(days=row[1]) for row in rows],
            "until": [pd.NaT if row[2] is None else start + pd.Timedelta(days=row[2]) for row in rows],
        }
    )
    return judged(dataset(**{**DECLARED, **changes}), frame)
