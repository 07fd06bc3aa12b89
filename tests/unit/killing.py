"""Some work, done again and again in forked processes that kill themselves (SIGKILL) before one line of ours or another.

For scripts that run in a process of their own, and not within pytest: a fork of pytest would carry all that it holds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from include.evergreen import PROJECT_ROOT
from include.evergreen.settings import Settings
from tests.unit.flights import close_database

CORE = f"{PROJECT_ROOT}/include/evergreen/"
Place = tuple[str, int]


class Killing:
    """``work``, and the lines of the modules ``watched`` (paths below the core, or how they begin) that it runs through.

    Making one does the work; afterwards the home is as undisturbed work leaves it.
    """

    def __init__(self, work: Callable[[], object], watched: tuple[str, ...]) -> None:
        self._work, self._watched = work, watched
        self._home = Settings.from_environment().home
        self._before = self._home.with_name(f"{self._home.name}-before")
        close_database()
        shutil.copytree(self._home, self._before)
        work()  # here, so that the children inherit what it imports
        self.put_back()
        self.lines = self._noted()

    def put_back(self) -> None:
        """Make the home what it was before any work."""
        close_database()
        shutil.rmtree(self._home)
        shutil.copytree(self._before, self._home)

    def die(self, number: int) -> None:
        """Do the work up to the line of this number, and die there."""
        died = in_a_child(lambda: self._traced(lambda line, _: os.kill(os.getpid(), signal.SIGKILL) if line == number else None))
        assert died == -signal.SIGKILL, f"the process was to die at {self.lines[number]}, and ended with {died}"

    def live(self) -> None:
        """Do the work to its end."""
        assert in_a_child(self._work) == 0, "the work could not be done"

    def _noted(self) -> list[Place]:
        noted = self._before.with_name(f"{self._home.name}-lines.json")

        def note() -> None:
            places: list[Place] = []
            self._traced(lambda _, place: places.append(place))
            noted.write_text(json.dumps(places))

        assert in_a_child(note) == 0, "the work could not be done"
        return [(name, line) for name, line in json.loads(noted.read_text())]

    def _traced(self, seen: Callable[[int, Place], object]) -> None:
        """Do the work, and call ``seen`` before each watched line with its number and place."""
        number = 0

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal number
            name = frame.f_code.co_filename.removeprefix(CORE)
            if not name.startswith(self._watched):
                return None
            if event == "line":
                seen(number, (name, frame.f_lineno))
                number += 1
            return trace

        sys.settrace(trace)
        try:
            self._work()
        finally:
            sys.settrace(None)


def in_a_child(work: Callable[[], object]) -> int:
    """Do the work in a forked process; returns its exit code, negative for the signal that ended it."""
    close_database()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
