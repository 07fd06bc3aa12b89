from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.evergreen.oncall import escalate
from include.evergreen.state.alerts import open_alerts, raise_alert
from include.evergreen.state.database.tables import ledger
from tests.unit.cli.conftest import Ask
from tests.unit.flights import rows_of
from tests.unit.oncall.conftest import ONCALL

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def oncall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from include.evergreen import PROJECT_ROOT

    root = tmp_path / "include"
    root.mkdir()
    for folder in ("datasets", "models"):
        (root / folder).symlink_to(PROJECT_ROOT / "include" / folder)
    (root / "oncall.yaml").write_text(ONCALL)
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(root))
    return root / "oncall.yaml"


def test_now_says_who_is_on_call_until_when_and_at_another_time_who_will_be(ask: Ask, oncall: Path) -> None:
    assert ask("on-call", "now", "--at", "2026-03-29T12:00").out == "ml: ana, until 2026-03-30 07:00 UTC\n"
    assert json.loads(ask("on-call", "now", "--at", "2026-03-30T07:00+00:00", "--json").out)["ml"]["person"] == "ben"


def test_where_nothing_is_declared_nobody_is_on_call_and_a_drill_says_so(ask: Ask) -> None:
    assert ask("on-call", "now").out == "No rotation is declared in oncall.yaml, so nobody is on call.\n"
    assert "oncall.yaml has no route, so nobody is told" in ask("on-call", "drill").out
    assert [alert.kind for alert in open_alerts()] == ["drill"]


def test_a_drill_says_who_will_be_told_when(ask: Ask, oncall: Path) -> None:
    answer = ask("on-call", "drill", "--model", "air_time", "--minutes", "20")
    assert answer.code == 0
    assert " UTC: everybody there through chat; if that does not deliver, " in answer.out
    assert " UTC: lea through mail; if that does not deliver, pager, then chat\n" in answer.out
    assert ask("on-call", "drill", "--model", "air_tim").code == 2
    assert ask("on-call", "drill", "--minutes", "1e9").code == 2


def test_maintenance_is_planned_listed_and_ended_with_a_reason_in_the_ledger(ask: Ask) -> None:
    assert ask("on-call", "maintenance").out == "No maintenance is planned.\n"
    assert ask("on-call", "maintenance", "weather", "--hours", "3").code == 2
    assert "did you mean 'weather'" in ask("on-call", "maintenance", "wether", "--hours", "3", "--reason", "they move").err
    assert ask("on-call", "maintenance", "weather", "--hours", "3", "--reason", "they move").out.startswith(
        "Maintenance 1 of weather until "
    )
    assert "they move" in ask("on-call", "maintenance").out
    raise_alert("freshness/weather", severity="critical", message="late", dataset="weather")
    assert open_alerts()[0].state == "snoozed"
    assert ask("on-call", "maintenance", "--end", "1").out == "Maintenance 1 is over.\n"
    assert ask("on-call", "maintenance").out == "No maintenance is planned.\n"
    assert [entry.kind for entry in rows_of(ledger)] == ["maintenance", "maintenance"]


def test_a_hand_over_is_told_for_the_hours_that_are_asked_for(ask: Ask) -> None:
    raise_alert("stuck/a/b", severity="warning", message="it is slow", model="air_time")
    assert (
        "Open now: 1, of which 0 critical\n  1 warning: A task is stuck (air_time): it is slow, firing"
        in ask("on-call", "handover", "--since", "12").out
    )
    assert ask("on-call", "handover", "--since", "0").code == 2


def test_an_acknowledged_alert_fires_again_when_its_policy_says(ask: Ask, oncall: Path) -> None:
    raise_alert("task/x", severity="critical", message="it failed", model="air_time")
    escalate(lambda channel, message: None)
    assert ask("alerts", "ack", "task/x").code == 0
    [alert] = open_alerts()
    assert alert.remind_at is not None
    assert (alert.remind_at - alert.last_at).total_seconds() < 3700


def test_check_finds_names_that_nothing_has(ask: Ask, oncall: Path) -> None:
    routes = "  - {models: [air_tim], policy: urgent}\n  - {owners: [nobody], policy: urgent}\n  - {kinds: [tasks], policy: urgent}\n"
    oncall.write_text(ONCALL.replace("routes:\n", f"routes:\n{routes}"))
    answer = ask("check")
    assert answer.code == 1
    assert "routes[0].models[0]: unknown model 'air_tim'; did you mean 'air_time'? known: air_time, flight_delay" in answer.out
    assert "routes[1].owners[0]: unknown owner 'nobody'" in answer.out
    assert "routes[2].kinds[0]: unknown kind of alerts 'tasks'; did you mean 'task'?" in answer.out
