"""Runs `benchmarks.plain.night` as a process, on a state of its own."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.scratch import run_python
from include.evergreen.foundation.grain import Partition


class PlainScript:
    """The script's state lies under ``state``; it reads the same landing zone as we do."""

    def __init__(self, state: Path, landing: Path) -> None:
        self.state = state
        self.landing = landing

    def run(self, night: Partition) -> float:
        """Seconds that the whole process takes."""
        return self._timed(self.state, night)

    def rehearse(self, night: Partition) -> float:
        """The same on a state that is thrown away. It also brings the libraries into the disk's cache."""
        copy = self.state.with_name("rehearsal")
        shutil.copytree(self.state, copy)
        try:
            return self._timed(copy, night)
        finally:
            shutil.rmtree(copy)

    def outputs(self, night: Partition) -> dict[str, Any]:
        """What came of the night. Which columns drifted is left out: the script takes each row for a witness of its own, and we do not."""
        import pandas as pd

        found: dict[str, Any] = json.loads((self.state / "nights" / f"{night}.json").read_text(encoding="utf-8"))
        del found["drifted"]
        return {**found, "predictions": pd.read_parquet(self.state / "predictions" / f"{night}.parquet")["prediction"].tolist()}

    def _timed(self, state: Path, night: Partition) -> float:
        started = time.monotonic()
        run_python("benchmarks.plain.night", state, self.landing, str(night))
        return time.monotonic() - started
