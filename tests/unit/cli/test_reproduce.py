"""``reproduce``, as a person gives it."""

from __future__ import annotations

import json

import sqlalchemy as sa

from include.evergreen.state import ledger
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import candidates
from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import MODEL


def remember(**changed: object) -> None:
    with writing() as connection:
        facts = dict(connection.execute(sa.select(candidates.c.facts)).scalars().one())
        connection.execute(sa.update(candidates).values(facts={**facts, **changed}))
        run_key = connection.execute(sa.select(candidates.c.run_key)).scalar_one()
        ledger.bind(connection, candidates, {"run_key": run_key}, kind="training")


def recorded(name: str) -> dict[str, object]:
    with reading() as connection:
        return dict(connection.execute(sa.select(candidates.c.facts)).scalars().one()[name])


def test_an_identical_version_says_so_and_ends_with_nought(ask: Ask, cycled: None) -> None:
    answer = ask("reproduce", MODEL, "1")
    assert answer.code == 0
    assert answer.out.startswith("flight_delay version 1 (1.0.0), as of 2013-01-20: IDENTICAL. Trained again, it predicts ")
    assert "computing features: " in answer.err


def test_one_that_differs_says_how_far_and_what_changed_and_ends_with_one(ask: Ask, cycled: None) -> None:
    environment = recorded("environment")
    remember(parameters={"max_iter": 1000, "C": 1e-4}, environment={**environment, "python": "CPython 3.9.1"})
    answer = ask("reproduce", MODEL, "1")
    assert answer.code == 1
    assert "as of 2013-01-20: DIFFERS.\n  holdout: " in answer.out
    assert "What is not as the record says:\n  python: CPython 3.9.1 -> " in answer.out
    document = json.loads(ask("reproduce", MODEL, "1", "--json").out)
    assert (document["is_identical"], document["compared"][0]["rows_of"]) == (False, "holdout")


def test_an_unknown_version_or_model_is_refused(ask: Ask, cycled: None) -> None:
    assert "has no version 9; registered: 1" in ask("reproduce", MODEL, "9").err
    assert ask("reproduce", "flight_dely", "1").code == 2
