"""The line of a model's champions, by the end of each promotion, is what all promotions and rollbacks come to when told again."""

from __future__ import annotations

import random

import pytest
import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.registry.history import champion_number, differing_places, find_place, history, line, take_place, withdrawal
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import promotions

VERSIONS = range(1, 7)
pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize("seed", range(8))
def test_any_course_of_promotions_and_rollbacks_comes_to_what_telling_it_again_does(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(25):
        with reading() as connection:
            earlier = [row.version for row in line(connection, "m")][1:]
        if earlier and chance.random() < 0.4:
            record("rollback", chance.choice(earlier))
        else:
            record("promotion", chance.choice(VERSIONS))
        expected_line, expected_withdrawn = told_again()
        with reading() as connection:
            assert [row.version for row in reversed(line(connection, "m"))] == expected_line
            assert champion_number(connection, "m") == expected_line[-1]
            withdrawn = {version: withdrawal(connection, "m", version) for version in VERSIONS}
            assert {version: row.id for version, row in withdrawn.items() if row} == expected_withdrawn
            whole = history(connection, "m")
            assert list(whole.line) == expected_line
            assert {version: row.id for version, row in whole.withdrawn.items()} == expected_withdrawn
            assert list(differing_places(connection)) == [], "the audit comes to the same"


def record(kind: str, version: int) -> None:
    """As the registry does: the row, and its place in the line."""
    with writing() as connection:
        place = find_place(connection, "m", version) if kind == "rollback" else None
        values = {"model": "m", "version": version, "as_of": str(clock.now().date()), "previous_version": 0, "kind": kind,
                  "actor": "a test", "reason": "a test", "promoted_at": clock.now()}  # fmt: skip
        made = connection.execute(promotions.insert().values(**values).returning(promotions.c.id)).scalar_one()
        take_place(connection, made, model="m", version=version, after=place.id if place else None)


def told_again() -> tuple[list[int], dict[int, int]]:
    """The versions of the line, the one that serves last, and the id of the rollback that withdrew each other one."""
    line: list[int] = []
    withdrawn: dict[int, int] = {}
    with reading() as connection:
        rows = connection.execute(sa.select(promotions).order_by(promotions.c.id)).all()
    for row in rows:
        if row.kind == "rollback":
            kept = line.index(row.version) + 1
            withdrawn |= dict.fromkeys(line[kept:], row.id)
            line = line[:kept]
        else:
            withdrawn.pop(row.version, None)
            line = [*(each for each in line if each != row.version), row.version]
    return line, withdrawn
