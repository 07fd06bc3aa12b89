"""Which tests run on SQLite alone: so many run on PostgreSQL, too, as together send it every statement that any of them sends.

``EVERGREEN_BOTH_DATABASES=1`` runs all of them on both. A new test does, until the list is made again:
``python -m tests.unit.databases`` runs those on PostgreSQL, and looks at what each of them sends.
"""

from __future__ import annotations

import json
import multiprocessing.process
import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

BOTH = "EVERGREEN_BOTH_DATABASES"
LIST = Path(__file__).with_name("on_sqlite_alone.json")
FOLDERS = ("gates", "registry", "monitoring", "scoring", "state", "data/partitions", "operations/noticing")  # whose tests run on both
OF_DATABASES = "tests/unit/state/database/"  # what is there is about databases, and stays
MANY = re.compile(r"\(\s*%\(\w+\)s(?:::[\w ]+)?(?:,\s*%\(\w+\)s(?:::[\w ]+)?)*\s*\)")  # a list of as many values as there happened to be


def on_sqlite_alone() -> set[str]:
    """The node ids, of their form on PostgreSQL, of tests that a usual run leaves out."""
    return set() if os.environ.get(BOTH) else set(json.loads(LIST.read_text()))


def database_of(item: pytest.Item) -> object:
    """The one that a test is to run on, in a folder whose tests run on both; else None."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("database") if callspec else None


class Statements:
    """Notes what each test sends to PostgreSQL. Those that start a process, which may send more, are not left out."""

    def __init__(self) -> None:
        self._sent: dict[str, set[str]] = defaultdict(set)
        self._seconds: dict[str, float] = {}
        self._stay: set[str] = set()
        self._now: str | None = None

    def pytest_configure(self) -> None:
        sa.event.listen(sa.Engine, "before_cursor_execute", self._note)
        start = multiprocessing.process.BaseProcess.start

        def noted(process: Any) -> None:
            if self._now is not None:
                self._stay.add(self._now)
            start(process)

        multiprocessing.process.BaseProcess.start = noted  # type: ignore[method-assign]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if database_of(item) == "postgresql" and not item.nodeid.startswith(OF_DATABASES)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._now, begin = item.nodeid, time.process_time()
        yield
        self._seconds[item.nodeid], self._now = time.process_time() - begin, None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._stay.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        LIST.write_text(json.dumps(sorted(self._superfluous()), indent=0) + "\n")

    def _superfluous(self) -> list[str]:
        """All but those that send what no other sends, by what they send for a second of their time."""
        covered = set().union(*(self._sent[test] for test in self._stay))
        others = [test for test in self._seconds if test not in self._stay]
        while others:
            best = max(others, key=lambda test: len(self._sent[test] - covered) / self._seconds[test])
            if self._sent[best] <= covered:
                break
            covered |= self._sent[best]
            others.remove(best)
        return others

    def _note(self, connection: sa.Connection, _cursor: Any, statement: str, *_others: Any) -> None:
        if self._now is not None and connection.dialect.name == "postgresql":
            self._sent[self._now].add(MANY.sub("(...)", statement))


if __name__ == "__main__":
    os.environ[BOTH] = "1"
    folders = [str(Path(__file__).parent / folder) for folder in FOLDERS]
    sys.exit(pytest.main([*folders, "-n", "0", *sys.argv[1:]], plugins=[Statements()]))
