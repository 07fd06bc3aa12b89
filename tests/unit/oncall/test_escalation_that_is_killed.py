"""However and wherever the process that escalates dies, each step is told once: nothing is lost, and nothing doubled."""

from __future__ import annotations

import datetime as dt
import json
import time

import pytest

from include.evergreen.foundation import clock
from include.evergreen.oncall.escalation import LEASE_SECONDS
from include.evergreen.state.alerts import raise_alert
from include.evergreen.state.database.tables import notifications
from tests.servers.http import HttpServer
from tests.unit.flights import rows_of
from tests.unit.oncall.conftest import ONCALL, Write
from tests.unit.oncall.test_racing_rounds import rounds
from tests.unit.warm import run_code, start_code

LEAST_DEATHS = 8


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("home")
def test_a_kill_at_any_line_of_escalation_loses_no_step_and_doubles_none(write: Write) -> None:
    write(ONCALL)
    told = json.loads(run_code("from tests.unit.escalation_killed import main; main()").splitlines()[-1])
    assert told["differing"] == []
    assert told["deaths"] >= LEAST_DEATHS
    assert told["most_posts_of_one"] == 2  # sent, and dead before that was recorded: the key tells the server so
    taken = [json.loads(each) for each in told["undisturbed"]["taken"]]
    assert {"pager", "mail"} == {each["channel"] for each in taken}
    assert any(each["key"].startswith("group/") and len(each["alerts"]) == 5 for each in taken)
    assert any("/resolve/" in each["key"] for each in taken)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("home")
def test_when_who_escalates_is_killed_while_it_sends_another_goes_on_as_soon_as_its_lease_has_ended(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ONCALL)
    raise_alert("task/one", severity="critical", message="it failed", model="air_time")
    with HttpServer() as server:
        server.answers[""] = server.answers["/"] = lambda _: server.leaving.wait(60)  # type: ignore[assignment,return-value]
        doomed = start_code(f"from tests.unit.oncall.test_racing_rounds import rounds; rounds({server.url!r}, 0)")
        deadline = time.monotonic() + 120
        while len(server.requests) < 2:
            assert doomed.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        doomed.kill()
        doomed.wait()
        server.answers[""] = server.answers["/"] = lambda request: request.answer(200)
        assert rounds(server.url, 0) == 0, "the lease of the dead has not ended"
        later = clock.now() + dt.timedelta(seconds=LEASE_SECONDS)
        monkeypatch.setattr(clock, "now", lambda: later)
        assert rounds(server.url, 0) == 2
        keys = [request.body.decode() for request in server.requests]
    assert len(keys) == 4 and set(keys[:2]) == set(keys[2:]), "the same again, with the same keys, and no other"
    assert {row.state for row in rows_of(notifications)} == {"sent"}
