from __future__ import annotations

import json

from include.evergreen.config import Catalog
from include.evergreen.operations.status import status
from include.evergreen.state import pauses
from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import MODEL


def test_the_json_is_the_status(ask: Ask, cycled: None) -> None:
    answer = ask("status", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert json.loads(answer.out) == status(Catalog())


def test_the_tables_show_each_model_and_dataset(ask: Ask, cycled: None) -> None:
    answer = ask("status")
    assert answer.code == 0
    champion = next(line for line in answer.out.splitlines() if MODEL in line)
    assert "1 (1.0.0)" in champion and "of 2013-01-20" in champion and "blessed" in champion
    assert "estimated 0." in answer.out
    schedules = next(line for line in answer.out.splitlines() if "schedules" in line)
    assert schedules.split() == ["schedules", "20", "2013-01-20", "2,400", "0"]


def test_a_table_without_anything_in_it_is_readable(ask: Ask, landed: None) -> None:
    model = next(line for line in ask("status").out.splitlines() if MODEL in line)
    assert model.split() == [MODEL, "-", "-", "-", "-", "-", "0"]


def test_a_pause_stands_above_the_tables(ask: Ask, landed: None) -> None:
    assert "PAUSED" not in ask("status").out
    made = pauses.pause(hours=1, actor="ada", reason="a [bad] feed")
    assert ask("status").out.splitlines()[0] == f"PAUSED: {made.message}"
