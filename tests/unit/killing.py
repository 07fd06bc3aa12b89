"""Some work, done again and again in forked processes that kill themselves (SIGKILL) before one line of ours or another.

For scripts that run in a process of their own, and not within pytest: a fork of pytest would carry all that it holds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import zlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

from include.evergreen import PROJECT_ROOT
from include.evergreen.foundation.settings import Settings
from tests.unit.flights import close_database

CORE = f"{PROJECT_ROOT}/include/evergreen/"
EVERY_LINE = os.environ.get("EVERGREEN_KILL_AT_EVERY_LINE") == "1"
TIMESTAMPS_TICK_SECONDS = 0.1  # files written twice within it may keep their timestamps; a kernel's tick is 10 ms at most
UNREAD = ("-shm", "-lock")  # SQLite's index of its log is rebuilt from that
Place = tuple[str, int]


class Killing:
    """``work``, and the lines of the modules ``watched`` (paths below the core, or how they begin) that it runs through.

    Making one does the work; afterwards the home is as undisturbed work leaves it. A death leaves nothing but what is on disk, so one
    death for each state of the disk stands for all lines at which the disk is the same: ``points`` has the number of the first of them.
    With EVERGREEN_KILL_AT_EVERY_LINE=1 it has each line's first time as well.
    """

    def __init__(self, work: Callable[[], object], watched: tuple[str, ...]) -> None:
        self._work, self._watched = work, watched
        self._home = Settings.from_environment().home
        self._before = self._home.with_name(f"{self._home.name}-before")
        close_database()
        shutil.copytree(self._home, self._before)
        work()  # here, so that the children inherit what it imports
        self.put_back()
        self.lines = [(str(name), int(line)) for name, line in self._noted(lambda _number, place: place)]

    @cached_property
    def points(self) -> list[int]:
        """The number of the first line of each state of the disk."""
        self.put_back()
        disk = _Disk(self._home)
        states = self._noted(lambda _number, _place: disk.state())
        keys = [*zip(states, range(len(states)), strict=True)]
        if EVERY_LINE:
            keys += [(str(place), number) for number, place in enumerate(self.lines)]
        return sorted({number: None for number in {key: number for key, number in reversed(keys)}.values()})

    def some_lines(self, most: int) -> range:
        """The numbers of as many lines, spread over all of them: where a home is too large for its state to be looked at at each line."""
        step = max(1, len(self.lines) // most)
        return range(step // 2, len(self.lines), step)

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

    def _noted(self, look: Callable[[int, Place], Any]) -> list[Any]:
        """What ``look`` gives at each line, in a child that does the work."""
        noted = self._before.with_name(f"{self._home.name}-lines.json")

        def note() -> None:
            found: list[Any] = []
            self._traced(lambda number, place: found.append(look(number, place)))
            noted.write_text(json.dumps(found))

        assert in_a_child(note) == 0, "the work could not be done"
        return list(json.loads(noted.read_text()))

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


class _Disk:
    """What a home's files hold. One is read again only when it may have changed since."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._known: dict[str, tuple[tuple[int, int], int]] = {}

    def state(self) -> int:
        """A checksum over the names and contents of all files, but what a source has landed."""
        found = [(path, self._checksum(path)) for path in sorted(self._files(str(self._home)))]
        return hash(tuple(found))

    def _files(self, folder: str) -> list[str]:
        files = []
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                files += [] if entry.name == "landing" else self._files(entry.path)
            elif not entry.name.endswith(UNREAD):
                files.append(entry.path)
        return files

    def _checksum(self, path: str) -> int:
        stat = os.stat(path)
        stamp = (stat.st_size, stat.st_mtime_ns)
        stood = self._known.get(path)
        if stood is None or stood[0] != stamp or time.time() - stat.st_mtime < TIMESTAMPS_TICK_SECONDS:
            stood = (stamp, zlib.crc32(Path(path).read_bytes()))
            self._known[path] = stood
        return stood[1]


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
