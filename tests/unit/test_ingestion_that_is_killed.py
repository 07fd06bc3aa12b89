"""However and wherever an ingestion dies, the next one makes of the day what an undisturbed one would have made."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from include.evergreen import PROJECT_ROOT
from tests.unit.flights import BAD_WIND

LEAST_LINES, LEAST_DEATHS = 200, 15
STEPS = (
    "data/ingestion.py", "data/partitions/files.py", "data/partitions/store.py", "data/validation/record.py",
    "state/storage.py", "state/database/engine.py",
)  # fmt: skip


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("landed")
def test_a_kill_at_any_line_of_ingestion_leaves_nothing_that_the_next_run_and_maintenance_do_not_mend() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.kill_at_every_line", "weather", str(BAD_WIND)],
        check=False, cwd=PROJECT_ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["differing"] == []
    assert told["deaths"] >= LEAST_DEATHS
    assert len(told["lines"]) >= LEAST_LINES
    assert {step for step in STEPS if not any(line.startswith(step) for line in told["lines"])} == set()
    [version] = told["undisturbed"]["versions"]
    assert version[:3] + version[5:] == ["weather", str(BAD_WIND), 1, 71, 1]
