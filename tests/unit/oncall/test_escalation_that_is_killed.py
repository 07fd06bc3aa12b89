"""However and wherever the process that escalates dies, each step is told once: nothing is lost, and nothing doubled."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from include.evergreen import PROJECT_ROOT
from tests.unit.oncall.conftest import ONCALL, Write

LEAST_DEATHS = 8


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("home")
def test_a_kill_at_any_line_of_escalation_loses_no_step_and_doubles_none(write: Write) -> None:
    write(ONCALL)
    command = [sys.executable, "-m", "tests.unit.escalation_killed"]
    done = subprocess.run(command, check=False, cwd=PROJECT_ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["differing"] == []
    assert told["deaths"] >= LEAST_DEATHS
    assert told["most_posts_of_one"] == 2  # sent, and dead before that was recorded: the key tells the server so
    taken = [json.loads(each) for each in told["undisturbed"]["taken"]]
    assert {"pager", "mail"} == {each["channel"] for each in taken}
    assert any(each["key"].startswith("group/") and len(each["alerts"]) == 5 for each in taken)
    assert any("/resolve/" in each["key"] for each in taken)
