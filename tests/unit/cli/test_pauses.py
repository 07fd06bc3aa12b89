from __future__ import annotations

import json

import pytest

from include.evergreen.state.alerts import open_alerts, raise_alert
from include.evergreen.state.database.tables import ledger as entries
from include.evergreen.state.pauses import active_pause
from tests.unit.cli.conftest import Ask
from tests.unit.flights import rows_of

pytestmark = pytest.mark.usefixtures("home")


def test_pause_and_resume_say_what_stands_and_who_did_it(ask: Ask) -> None:
    paused = ask("pause", "--hours", "2", "--reason", "a bad feed")
    active = active_pause()
    assert active is not None
    assert (paused.code, paused.out) == (0, f"{active.message}.\n")
    assert ask("resume", "--reason", "it is mended").out == f"Lifted: {active.message}.\n"
    assert active_pause() is None
    assert ask("resume", "--reason", "it is mended").out == "Nothing is paused.\n"


def test_a_pause_for_ever_is_refused_with_what_is_allowed(ask: Ask) -> None:
    answer = ask("pause", "--hours", "1e9", "--reason", "a bad feed")
    assert answer.code == 2
    assert "at most 2160" in answer.err
    assert active_pause() is None


def test_alerts_are_listed_and_resolved_by_a_named_person_with_a_reason(ask: Ask) -> None:
    raise_alert("artifact/air_time/1", model="air_time", severity="critical", message="the artifact of air_time 1 was changed")
    raise_alert("artifact/air_time/1", model="air_time", severity="critical", message="the artifact of air_time 1 was changed")
    listed = ask("alerts", "list").out
    assert listed.startswith("1 CRITICAL artifact/air_time/1 (")
    assert "2 times since" in listed
    assert json.loads(ask("alerts", "list", "air_time", "--json").out)[0]["times"] == 2
    assert ask("alerts", "list", "flight_delay").out == "No alert is open for flight_delay.\n"
    assert ask("alerts", "resolve", "artifact/air_time/1", "--reason", "no").code == 2
    assert len(open_alerts()) == 1
    assert ask("alerts", "resolve", "artifact/air_time/1", "--reason", "restored from the backup").code == 0
    assert open_alerts() == []
    entry = rows_of(entries)[-1]
    assert (entry.kind, entry.model, json.loads(str(entry.body))["reason"]) == ("acknowledgement", "air_time", "restored from the backup")


def test_resolving_what_is_not_open_names_what_is(ask: Ask) -> None:
    raise_alert("bypass/one", model="air_time", severity="warning", message="something")
    answer = ask("alerts", "resolve", "bypass/another", "--reason", "a slip of the pen")
    assert answer.code == 2
    assert "open: bypass/one" in answer.err
