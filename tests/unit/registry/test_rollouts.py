"""The record of roll-outs, on SQLite and on PostgreSQL: one runs at a time, and it governs its partitions for ever."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.operations.audit import verify_records
from include.evergreen.registry import champions
from include.evergreen.registry.rollouts import Rollout, begin_rollout, governing_rollout
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import rollouts
from tests.unit.copies import copied_version
from tests.unit.flights import rows_of
from tests.unit.lifecycle import MODEL, day
from tests.unit.rolling import PERSON, champion, declared, newest, score, settle_before_rollout, start

EVIDENCE = {"step": 1, "message": "it is as good"}


@pytest.fixture(autouse=True)
def before_rollout(into_database: Callable[[str], None]) -> None:
    settle_before_rollout()
    into_database("before-rollout")


def settle(rollout: Rollout, state: str) -> champions.Promotion | None:
    return champions.settle_rollout(rollout, state, "it is as good", EVIDENCE, grain=DAILY, also=lambda _: None)  # type: ignore[arg-type]


def test_it_grows_and_ends_and_what_it_governed_stays_governed() -> None:
    model = declared(strategy="canary", shares=(0.1, 0.4))
    start(model)
    first = newest()
    score(model, 21)
    assert settle(first, "running") is not None
    assert settle(first, "running") is None, "that step was decided"
    grown = newest()
    assert [step["first"] for step in grown.steps] == [day(21), day(22)]
    score(model, 22)
    assert (settle(grown, "promoted"), champion()) == (
        champions.Promotion(True, 2, "version 2 (1.0.1) as of 2013-01-20 is champion, replacing version 1"),
        2,
    )
    score(model, 23)
    with reading() as connection:
        governing = {number: governing_rollout(connection, MODEL, day(number)) for number in (20, 21, 22, 23)}
        assert {number: found and found.share(day(number)) for number, found in governing.items()} == {20: None, 21: 0.1, 22: 0.4, 23: None}
        assert [each.version for each in champions.champions_for(MODEL, day(21))] == [1, 2]
        assert [each.version for each in champions.champions_for(MODEL, day(23))] == [2, 1]
    challenger = champions.challenger_for(MODEL, day(21))
    assert challenger and challenger.version == 2 and champions.challenger_for(MODEL, day(23)) is None
    assert verify_records().problems == []
    assert [entry for entry in _kinds() if entry.startswith("rollout")] == ["rollout", "rollout-step", "rollout-end"]


def test_a_version_that_a_person_rolled_back_serves_no_share_of_the_past() -> None:
    model = declared(strategy="canary", shares=(0.5,))
    start(model)
    score(model, 21)
    settle(newest(), "promoted")
    champions.rollback(MODEL, **PERSON)
    assert champions.challenger_for(MODEL, day(21)) is None
    assert [each.version for each in champions.champions_for(MODEL, day(21))] == [1]


def test_two_never_run_at_once() -> None:
    start(declared(strategy="ab"))
    running = newest()
    with pytest.raises(sa.exc.IntegrityError), writing() as connection:
        begin_rollout(
            connection, model=MODEL, version=3, champion_version=1, decision=1, strategy="ab", plan=running.plan, first=day(21), **PERSON
        )  # fmt: skip
    assert len(rows_of(rollouts)) == 1


def test_an_aborted_one_leaves_the_next_one_its_turn() -> None:
    model = declared(strategy="ab")
    with pytest.raises(ConfigError, match="no roll-out that runs, so there is nothing to abort"):
        champions.abort_rollout(MODEL, **PERSON)
    start(model)
    champions.abort_rollout(MODEL, **PERSON)
    assert (newest().state, newest().last, champions.challenger(MODEL)) == ("aborted", day(20), None)
    third = copied_version("newer").version
    assert start(model, third).is_rolling_out
    with reading() as connection:
        governing = governing_rollout(connection, MODEL, day(21))
    assert governing and governing.version == third


def _kinds() -> list[str]:
    from include.evergreen.state.ledger.entries import entries

    with reading() as connection:
        return [entry.kind for entry in entries(connection)]
