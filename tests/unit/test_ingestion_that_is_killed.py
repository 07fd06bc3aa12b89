"""However and wherever an ingestion dies, the next one makes of the day what an undisturbed one would have made."""

from __future__ import annotations

import json

import pytest

from tests.unit.flights import BAD_WIND
from tests.unit.warm import run_code

LEAST_LINES, LEAST_DEATHS = 200, 15
STEPS = (
    "data/ingestion.py", "data/partitions/files.py", "data/partitions/store.py", "data/validation/record.py",
    "state/storage.py", "state/database/engine.py",
)  # fmt: skip


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("landed")
def test_a_kill_at_any_line_of_ingestion_leaves_nothing_that_the_next_run_and_maintenance_do_not_mend() -> None:
    output = run_code(f"from tests.unit.kill_at_every_line import main; main('weather', '{BAD_WIND}')")
    told = json.loads(output.splitlines()[-1])
    assert told["differing"] == []
    assert told["deaths"] >= LEAST_DEATHS
    assert len(told["lines"]) >= LEAST_LINES
    assert {step for step in STEPS if not any(line.startswith(step) for line in told["lines"])} == set()
    [version] = told["undisturbed"]["versions"]
    assert version[:3] + version[5:] == ["weather", str(BAD_WIND), 1, 71, 1]
