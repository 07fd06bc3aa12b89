"""Ingests a day again and again, each time in a process that kills itself (SIGKILL) one line further on.

    EVERGREEN_HOME=<a home with landing files> python -m tests.unit.kill_at_every_line weather 2013-01-05 SCRATCH

After each death the same day is ingested once more in a process that lives, maintenance runs, and what the home then holds
is compared with one that was never disturbed. Prints one JSON object: the number of deaths, the lines at which they
happened, and what differed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from include.evergreen import clock, ingestion
from include.evergreen.config import Catalog
from include.evergreen.database.tables import partition_versions, validations
from include.evergreen.maintenance import Limits, remove_orphans
from include.evergreen.settings import Settings
from tests.unit.flights import close_database, rows_of

CORE = Path(ingestion.__file__).parent
WATCHED = ("ingestion.py", "storage.py", "quarantine.py", "partitions/", "database/", "validation/record.py", "erasure/")
TIMES = {"storage.py": 3}  # it writes three files; elsewhere a line that comes again (for the next column) is the same to a killer
Place = tuple[str, int]


def main(dataset: str, day: str, scratch: str) -> None:
    home, before = Settings.from_environment().home, Path(scratch) / "before.db"
    shutil.copy(home / "evergreen.db", before)
    work = _ingest(dataset, day)
    work()  # here, so that the children inherit what it imports
    _reset(home, before)
    lines = _lines_of(work, Path(scratch) / "lines.json")
    undisturbed = _state()
    differing, places = [], []
    for number, place in _chosen(lines):
        _reset(home, before)
        died = work_in_child(work, number)
        assert died == -signal.SIGKILL, f"the process was to die at {place}, and ended with {died}"
        assert work_in_child(work, None) == 0, f"after a death at {place} the day could not be ingested"
        work_in_child(lambda: remove_orphans(Catalog(), Limits(grace_hours=0)), None)
        places.append(f"{place[0]}:{place[1]}")
        if (found := _state()) != undisturbed:
            differing.append({"killed_at": place, "found": found})
    print(json.dumps({"deaths": len(places), "places": places, "undisturbed": undisturbed, "differing": differing}, default=str))


def work_in_child(work: Callable[[], object], die_at: int | None) -> int:
    """Do ``work`` in a forked process, which kills itself before the line with this number; returns its exit status."""
    close_database()
    child = os.fork()
    if child == 0:
        if die_at is not None:
            sys.settrace(_Counter(lambda number, _: os.kill(os.getpid(), signal.SIGKILL) if number == die_at else None))
        status = 1
        try:
            work()
            status = 0
        finally:
            sys.settrace(None)
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class _Counter:
    """A trace function that numbers the watched lines as they come."""

    def __init__(self, seen: Callable[[int, Place], object]) -> None:
        self._seen = seen
        self._number = 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(str(CORE)) or not file[len(str(CORE)) + 1 :].startswith(WATCHED):
            return None
        if event == "line":
            self._seen(self._number, (file[len(str(CORE)) + 1 :], frame.f_lineno))
            self._number += 1
        return self


def _lines_of(work: Callable[[], object], file: Path) -> list[Place]:
    def noted() -> None:
        places: list[Place] = []
        sys.settrace(_Counter(lambda _, place: places.append(place)))
        work()
        sys.settrace(None)
        file.write_text(json.dumps(places))

    assert work_in_child(noted, None) == 0
    return [(name, line) for name, line in json.loads(file.read_text())]


def _chosen(lines: list[Place]) -> list[tuple[int, Place]]:
    """Each line's first time or times, with the number under which it comes."""
    times: Counter[Place] = Counter()
    chosen = []
    for number, place in enumerate(lines):
        times[place] += 1
        if times[place] <= TIMES.get(place[0], 1):
            chosen.append((number, place))
    return chosen


def _ingest(dataset: str, day: str) -> Callable[[], object]:
    return lambda: ingestion.ingest(Catalog().dataset(dataset), clock.parse_partition(day), "live")


def _reset(home: Path, before: Path) -> None:
    """Put the home back to where nothing of the day was ingested."""
    close_database()
    shutil.rmtree(home / "storage", ignore_errors=True)
    for file in home.glob("evergreen.db*"):
        file.unlink()
    shutil.copy(before, home / "evergreen.db")


def _state() -> dict[str, Any]:
    """What a person would look at: the versions, the validation, and every file with its size."""
    storage = Settings.from_environment().home / "storage"
    return {
        "versions": [
            [row.dataset, str(row.partition), row.version, row.digest, row.quarantine_digest, row.rows, row.quarantined]
            for row in rows_of(partition_versions)
        ],
        "validations": [[row.dataset, row.verdict, row.raw_digest] for row in rows_of(validations)],
        "files": sorted([str(file.relative_to(storage)), file.stat().st_size] for file in storage.rglob("*") if file.is_file()),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
