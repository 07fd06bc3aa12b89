"""However and wherever a step on the way to a champion dies, doing it again makes what an undisturbed one would have made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.evergreen.state.effects import EFFECTS
from tests.unit.lifecycle import settle_cycled
from tests.unit.warm import run_code

ONLY_WITH_TUNING = {"train.choose"}  # tests/unit/training kills a search
LEAST_DEATHS = 40


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each step came to when it was killed after each of its writes."""
    from tests.unit.flights import at_home

    with at_home(tmp_path_factory.mktemp("killed") / "home"):
        settle_cycled()
        output = run_code("from tests.unit.effects_killed import main; main()")
    return dict(json.loads(output.splitlines()[-1]))


@pytest.mark.timeout(900)
def test_a_step_that_was_killed_at_any_write_and_done_again_gives_what_an_undisturbed_one_gives(told: dict[str, Any]) -> None:
    assert {name: step["wrong"] for name, step in told.items() if step["wrong"]} == {}
    assert sum(step["deaths"] for step in told.values()) >= LEAST_DEATHS


@pytest.mark.timeout(900)
def test_every_effect_that_is_enumerated_was_reached(told: dict[str, Any]) -> None:
    reached = {name for step in told.values() for name in step["effects"]}
    assert set(EFFECTS) - reached == ONLY_WITH_TUNING


@pytest.mark.timeout(900)
def test_nothing_is_written_outside_of_an_effect(told: dict[str, Any]) -> None:
    assert {name: step["outside"] for name, step in told.items() if step["outside"]} == {}


@pytest.mark.timeout(900)
def test_each_effect_writes_something(told: dict[str, Any]) -> None:
    writing = {place.split(":")[0] for step in told.values() for place in step["places"]}
    assert {name for step in told.values() for name in step["effects"]} - writing == {"train.tidy"}  # there was nothing to tidy
