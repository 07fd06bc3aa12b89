"""Each benchmark's small form runs, and both of its sides agree: one that cannot run fails here, and not a year later."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.embedded import ROOT

LISTED = re.search(r"for name in ([a-z_ ]+);", (ROOT / "Makefile").read_text())  # what `make bench` runs


@pytest.mark.parametrize("name", LISTED.group(1).split() if LISTED else ["make bench lists none"])
def test_both_sides_of_a_benchmark_agree(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--small", "--json"],
        cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    document = json.loads(done.stdout)
    assert document["name"] == name
    assert document["figures"]
    assert not list(tmp_path.iterdir()), "it left something behind"
