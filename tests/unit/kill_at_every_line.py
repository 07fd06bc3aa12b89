"""Ingests a day again and again, each time in a process that kills itself (SIGKILL) where the disk has come to another state.

    EVERGREEN_HOME=<a home with landing files> python -m tests.unit.kill_at_every_line weather 2013-01-05

After each death the same day is ingested once more in a process that lives, maintenance runs, and what the home then holds
is compared with one that was never disturbed. Prints one JSON object: the number of deaths, the lines that stand
before one, and what differed. With EVERGREEN_KILL_AT_EVERY_LINE=1 it dies at each of them.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from include.evergreen.config import Catalog
from include.evergreen.data import ingestion
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.settings import Settings
from include.evergreen.operations.maintenance import Limits, remove_orphans
from include.evergreen.state.database.tables import partition_versions, validations
from tests.unit.flights import rows_of
from tests.unit.killing import Killing

WATCHED = (
    "data/ingestion.py", "data/quarantine.py", "data/partitions/", "data/validation/record.py", "data/erased/",
    "state/storage.py", "state/database/",
)  # fmt: skip


def main(dataset: str, day: str) -> None:
    killing = Killing(lambda: ingestion.ingest(Catalog().dataset(dataset), DAILY.parse(day), "live"), WATCHED)
    undisturbed = _state()
    differing = []
    for number in killing.points:
        killing.die(number)
        killing.live()
        remove_orphans(Catalog(), Limits(grace_hours=0))
        if (found := _state()) != undisturbed:
            differing.append({"killed_at": killing.lines[number], "found": found})
    lines = sorted({f"{name}:{line}" for name, line in killing.lines})
    told = {"deaths": len(killing.points), "lines": lines, "undisturbed": undisturbed, "differing": differing}
    print(json.dumps(told, default=str))


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
