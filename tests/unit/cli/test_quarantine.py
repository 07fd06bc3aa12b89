from __future__ import annotations

import json

import pytest

from include.evergreen.config import Catalog
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import current_partition
from tests.unit.cli.conftest import Ask
from tests.unit.flights import change_landing
from tests.unit.lifecycle import day

DAY = day(5)
WINDY = "expect_column_values_to_be_between(wind_speed)"


@pytest.fixture
def windy(landed: None) -> None:
    change_landing("weather", DAY, lambda rows: rows.assign(wind_speed=["1048", "1049", *rows["wind_speed"].iloc[2:]]))
    ingestion.ingest(Catalog().dataset("weather"), DAY, "live")


def test_the_list_tells_where_rows_wait_and_why(ask: Ask, windy: None) -> None:
    version = current_partition("weather", DAY)
    assert version is not None
    answer = ask("quarantine", "list")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        f"weather 2013-01-05: 2 of {version.source_rows} rows, in version 1, since {version.recorded_at:%Y-%m-%d %H:%M} UTC",
        f"  2: {WINDY}",
    ]
    [found] = json.loads(ask("quarantine", "list", "weather", "--json").out)
    assert (found["partition"], found["rows"], found["reasons"]) == ("2013-01-05", 2, {WINDY: 2})
    assert ask("quarantine", "list", "schedules").out == "No row is quarantined in schedules.\n"


def test_rows_are_shown_with_their_reasons_up_to_a_limit(ask: Ask, windy: None) -> None:
    lines = ask("quarantine", "show", "weather", "2013-01-05", "--limit", "1").out.splitlines()
    assert "wind_speed=104" in lines[0]
    assert lines[1] == f"  {WINDY}"
    assert lines[2] == "1 of 2 quarantined rows of weather 2013-01-05, version 1."
    shown = json.loads(ask("quarantine", "show", "weather", "2013-01-05", "--json").out)
    assert sorted(row["wind_speed"] for row in shown) == [1048, 1049]


def test_a_release_tells_what_came_of_it_and_whom_it_concerns(ask: Ask, windy: None) -> None:
    answer = ask("quarantine", "release", "weather", "2013-01-05", "--where", "wind_speed=1048", "--reason", "a storm")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].startswith(
        "weather 2013-01-05: 1 rows released in version 2, known from 2013-01-06 05:00 UTC; 1 are still quarantined."
    )
    assert lines[1] == "Scores of air_time, flight_delay that were made before do not know them: see the verb rescore."
    reason = f"quarantine_reason={WINDY}"
    assert ask("quarantine", "release", "weather", "2013-01-05", "--where", reason, "--reason", "a storm").code == 0
    assert ask("quarantine", "list").out == "No row is quarantined.\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["list", "nothing"], 2, "unknown dataset 'nothing'"),
        (["show", "weather", "2013-01-06"], 3, "was never published"),
        (["show", "weather", "2013-01-05", "--limit", "0"], 2, "--limit is 0"),
        (["release", "weather", "2013-01-05", "--where", "wind=3", "--reason", "a storm"], 2, "has no column 'wind'"),
        (["release", "weather", "2013-01-05", "--where", "wind_speed=3", "--reason", "a storm"], 3, "meets all conditions"),
    ],
)
def test_what_cannot_be_done_says_why(ask: Ask, windy: None, arguments: list[str], code: int, words: str) -> None:
    answer = ask("quarantine", *arguments)
    assert (answer.code, answer.out) == (code, "")
    assert words in answer.err


def test_a_release_needs_a_choice_and_a_reason(ask: Ask, windy: None) -> None:
    for arguments in (["--reason", "a storm"], ["--all"], ["--all", "--where", "temp=3", "--reason", "a storm"]):
        with pytest.raises(SystemExit) as left:
            ask("quarantine", "release", "weather", "2013-01-05", *arguments)
        assert left.value.code == 2
