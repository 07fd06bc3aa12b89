"""``rollout``: what is shown of one, and how a person ends it."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import MODEL
from tests.unit.rolling import advance, champion, declared, newest, score, settle_before_rollout, start


@pytest.fixture(autouse=True)
def before_rollout() -> None:
    settle_before_rollout()


def test_a_rollout_is_shown_with_its_steps_its_evidence_and_what_it_waits_for(ask: Ask) -> None:
    assert ask("rollout", MODEL).out == "flight_delay had no roll-out: its versions became champion at once.\n"
    assert json.loads(ask("rollout", MODEL, "--json").out) is None
    model = declared(1.0, strategy="canary", partitions=2, shares=(0.2, 0.5))
    start(model)
    score(model, 21, 22)
    advance(model)
    score(model, 23)
    advance(model)
    head, started, first, evidence, second, waits = ask("rollout", MODEL).out.splitlines()
    assert head.startswith("flight_delay: canary of version 2 beside champion 1, running since ")
    assert started.endswith("by the night: blessed by the gate")
    assert first == "  step 1 of 2, from 2013-01-21 on, 20% of the keys (of 0.2, 0.5)"
    assert evidence.startswith("    2013-01-21 to 2013-01-22 (2), ") and "the champion's on the other keys" in evidence
    assert second == "  step 2 of 2, from 2013-01-23 on, 50% of the keys (of 0.2, 0.5)"
    assert waits == "  waits: 1 of 2 days are scored by both versions"
    assert json.loads(ask("rollout", MODEL, "--json").out)["steps"][1] == {"share": 0.5, "first": "2013-01-23"}
    assert "canary serves 50%, step 2 of 2" in ask("status").out


@pytest.mark.parametrize("end", ["--promote", "--abort"])
def test_a_person_ends_it_with_a_reason(ask: Ask, end: str) -> None:
    refused = ask("rollout", MODEL, end)
    assert refused.code == 2 and "--reason says why a roll-out is ended" in refused.err
    refused = ask("rollout", MODEL, end, "--reason", "it has run for long")
    assert refused.code == 2 and "has no roll-out that runs" in refused.err
    start(declared(strategy="ab", partitions=2))
    assert ask("rollout", MODEL, end, "--reason", "it has run for long").code == 0
    assert (newest().state, champion()) == (("promoted", 2) if end == "--promote" else ("aborted", 1))
    assert newest().because.endswith("it has run for long")
    assert ask("rollout", MODEL).out.splitlines()[-1].startswith(f"  {newest().state}: ")
