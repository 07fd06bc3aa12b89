from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from include.evergreen.registry import champions
from include.evergreen.state.database.tables import ledger
from tests.unit.cli.conftest import Ask
from tests.unit.copies import copied_version
from tests.unit.flights import rows_of
from tests.unit.lifecycle import MODEL


@pytest.fixture
def second(cycled: None) -> None:
    """A second version with the first one's model, registered and promoted."""
    copied_version("b")
    champions.promote(MODEL, 2, actor="a person", reason="it is newer")


def test_versions_are_listed_with_what_became_of_each(ask: Ask, second: None) -> None:
    assert ask("versions", MODEL).out.splitlines() == [
        "   2  1.0.1     as of 2013-01-20  champion",
        "   1  1.0.0     as of 2013-01-20  was champion",
    ]
    listed = json.loads(ask("versions", MODEL, "--json").out)
    assert [(each["version"], each["role"]) for each in listed] == [(2, "champion"), (1, "was champion")]


def test_a_model_without_versions_says_so(ask: Ask, landed: None) -> None:
    assert ask("versions", MODEL).out == "No version of flight_delay is registered: none of its candidates was blessed yet.\n"


def test_a_rollback_takes_the_previous_champion_back(ask: Ask, second: None) -> None:
    answer = ask("rollback", MODEL, "--reason", "it went wrong")
    assert answer.code == 0
    assert answer.out == "flight_delay: version 1 (1.0.0) as of 2013-01-20 is champion again, replacing version 2.\n"
    assert ask("versions", MODEL).out.splitlines()[0].endswith(": it went wrong")
    again = ask("rollback", MODEL, "--reason", "still wrong")
    assert again.code == 2
    assert "flight_delay has no earlier champion to roll back to" in again.err


def test_what_was_withdrawn_comes_back_by_force_alone(ask: Ask, second: None) -> None:
    ask("rollback", MODEL, "--reason", "it went wrong")
    refused = ask("promote", MODEL, "2", "--reason", "it was right")
    assert refused.code == 1
    assert "version 2 was rolled back by" in refused.out
    assert ask("promote", MODEL, "2", "--reason", "it was right", "--force").code == 0
    assert ask("versions", MODEL).out.splitlines()[0].endswith("champion")


@pytest.mark.parametrize("verb", [("rollback",), ("promote", "2")])
def test_a_reason_is_required_and_says_something(verb: tuple[str, ...], ask: Ask, second: None) -> None:
    with pytest.raises(SystemExit):
        ask(verb[0], MODEL, *verb[1:])
    answer = ask(verb[0], MODEL, *verb[1:], "--reason", "bad")
    assert answer.code == 2
    assert "the reason has 3 characters; give 5 to 500: it is kept in the ledger" in answer.err


def test_a_version_that_there_is_not_is_refused(ask: Ask, second: None) -> None:
    answer = ask("promote", MODEL, "7", "--reason", "the best of all")
    assert (answer.code, answer.err) == (2, "evergreen: flight_delay has no version 7; registered: 1, 2.\n")


def test_the_ledger_has_the_persons_name(ask: Ask, second: None) -> None:
    from include.evergreen.cli.user import actor

    ask("rollback", MODEL, "--reason", "it went wrong")
    newest = rows_of(sa.select(ledger).order_by(ledger.c.sequence.desc()).limit(1).subquery())[0]
    assert (newest.kind, json.loads(str(newest.body))["actor"]) == ("rollback", actor())
