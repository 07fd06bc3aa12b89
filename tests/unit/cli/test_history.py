from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import promotions
from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import MODEL, include_with


def promoted_on(moment: dt.datetime) -> None:
    with writing() as connection:
        connection.execute(sa.update(promotions).values(promoted_at=moment))


def test_decisions_are_told_with_each_criterion(ask: Ask, cycled: None) -> None:
    lines = ask("decisions", MODEL).out.splitlines()
    assert lines[0].endswith("UTC: the candidate as of 2013-01-20 is blessed (there was no champion)")
    assert lines[1].startswith("  passed: auc is ")
    assert "  not_applicable: there is no champion yet to compare auc with" in lines


def test_decisions_as_json_hold_the_evidence(ask: Ask, cycled: None) -> None:
    [decision] = json.loads(ask("decisions", MODEL, "--json").out)
    assert (decision["verdict"], decision["as_of"], decision["champion_version"]) == ("blessed", "2013-01-20", 0)
    assert {criterion["metric"] for criterion in decision["criteria"]} >= {"auc", "log_loss"}


def test_a_model_without_decisions_says_so(ask: Ask, landed: None) -> None:
    assert ask("decisions", MODEL).out == "No decision on flight_delay yet: none of its candidates has come to the gate.\n"
    assert json.loads(ask("decisions", MODEL, "--json").out) == []


def test_the_past_of_a_retired_or_broken_model_stays_readable(
    ask: Ask, cycled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = include_with(tmp_path, monkeypatch) / "models" / MODEL
    (folder / "model.yaml").write_text("{")
    assert ask("decisions", MODEL).code == 0
    shutil.rmtree(folder)
    assert ask("decisions", MODEL).code == 0
    assert ask("champion-at", MODEL, "2199-01-01").code == 0


def test_a_date_means_its_end(ask: Ask, cycled: None) -> None:
    promoted_on(dt.datetime(2013, 3, 3, 22, tzinfo=dt.UTC))
    assert ask("champion-at", MODEL, "2013-03-02").out == "flight_delay had no champion at 2013-03-02 23:59:59 UTC, by the wall clock.\n"
    first, promoted, *_ = ask("champion-at", MODEL, "2013-03-03").out.splitlines()
    assert first == "flight_delay: version 1 (1.0.0), as of 2013-01-20, was champion at 2013-03-03 23:59:59 UTC."
    assert promoted == "  promoted by a person at 2013-03-03 22:00:00 UTC: the first"


@pytest.mark.parametrize(
    ("when", "found"),
    [
        ("2013-03-03T21:59", False),
        ("2013-03-03T22:00", True),
        ("2013-03-03 22:00:01", True),
        ("2013-03-03T22:30+01:00", False),
        ("2013-03-03T23:30+01:00", True),
        ("2013-03-03T22:00Z", True),
    ],
)
def test_a_moment_is_in_utc_unless_it_says_otherwise(when: str, found: bool, ask: Ask, cycled: None) -> None:
    promoted_on(dt.datetime(2013, 3, 3, 22, tzinfo=dt.UTC))
    assert ("was champion" in ask("champion-at", MODEL, when).out) is found


def test_nobody_knows_who_will_be_champion(ask: Ask, cycled: None) -> None:
    assert f"was champion at {clock.now():%Y-%m-%d}" in ask("champion-at", MODEL, "2199-01-01").out


def test_the_auditor_gets_the_evidence_on_one_page(ask: Ask, cycled: None) -> None:
    page = ask("champion-at", MODEL, "2199-01-01").out
    assert "  the first champion; it still is champion\n" in page
    assert "UTC: blessed with no champion to judge it against\n    passed: " in page
    assert "  approval: none was required\n" in page
    assert "  trained on snapshot " in page and " rows of the " in page
    assert f"  trained again by `evergreen reproduce {MODEL} 1`\n" in page


def test_the_same_evidence_is_there_as_json(ask: Ask, cycled: None) -> None:
    period = json.loads(ask("champion-at", MODEL, "2199-01-01", "--json").out)
    assert (period["version"]["version"], period["actor"], period["until"]) == (1, "a person", None)
    assert period["decision"]["verdict"] == "blessed"
    assert json.loads(ask("champion-at", MODEL, "2001-01-01", "--json").out) is None


def test_a_date_also_tells_who_scored_that_partition(ask: Ask, cycled: None) -> None:
    assert ask("champion-at", MODEL, "2013-01-20").out.splitlines() == [
        "flight_delay had no champion at 2013-01-20 23:59:59 UTC, by the wall clock.",
        "The partition 2013-01-20 was scored by version 1 (120 rows).",
    ]
    assert "scored" not in ask("champion-at", MODEL, "2013-01-20T10:00").out


@pytest.mark.parametrize("when", ["yesterday", "20130303", "2013-03", "2013-03-03T25:00", "0001-01-01T00:00+05:00"])
def test_what_is_no_moment_is_refused(when: str, ask: Ask, cycled: None) -> None:
    answer = ask("champion-at", MODEL, when)
    assert answer.code == 2
    assert f"'{when}' is neither a date nor a timestamp. Write 2013-03-03" in answer.err
