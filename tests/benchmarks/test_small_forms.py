"""Each benchmark's small form runs, and both of its sides agree: one that cannot run fails here, and not a year later."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.scratch import EMPTY_HOME, FORKED, INGESTED_HOME
from tests.unit.flights import empty_template, flights_template
from tests.unit.forked_server import forked_server
from tests.unit.warm import run_warm
from tools.embedded import ROOT

LISTED = re.search(r"for name in ([a-z_ ]+);", (ROOT / "Makefile").read_text())  # what `make bench` runs
PATHS = f"{ROOT}:{ROOT / 'plugins'}"


@pytest.fixture(scope="module")
def clean_processes() -> Iterator[str]:
    """The address of one server that all of them share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PATHS)  # it forks for whoever has the same
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        with forked_server() as address:
            yield address


@pytest.mark.parametrize("name", LISTED.group(1).split() if LISTED else ["make bench lists none"])
def test_both_sides_of_a_benchmark_agree(name: str, clean_processes: str, tmp_path: Path) -> None:
    scratch, output, errors = tmp_path / "scratch", tmp_path / "output", tmp_path / "errors"
    scratch.mkdir()
    homes = {EMPTY_HOME: str(empty_template()), INGESTED_HOME: str(flights_template())}
    environment = {"TMPDIR": str(scratch), "PYTHONPATH": PATHS, FORKED: clean_processes, **homes}
    code = run_warm(f"benchmarks.{name}", "--small", "--json", environment=environment, output=output, errors=errors)
    assert code == 0, errors.read_text()[-3000:]
    document = json.loads(output.read_text())
    assert document["name"] == name
    assert document["figures"]
    assert not list(scratch.iterdir()), "it left something behind"
