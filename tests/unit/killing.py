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
    """``work``, and the lines of the modules ``watched`` (files and folders below the core) that it runs through.

    Making one does the work; afterwards the home is as undisturbed work leaves it. A death leaves nothing but what is on disk, so one
    death for each state of the disk stands for all lines at which the disk is the same: ``points`` has the number of the first of them.
    For the same reason a copy of the disk at that line is as good as a death there: only the death in the middle of them is a real one.
    With EVERGREEN_KILL_AT_EVERY_LINE=1 all are, and ``points`` has each line's first time as well. So it is where the work does more
    than write to the disk (``is_seen_elsewhere``).
    """

    def __init__(self, work: Callable[[], object], watched: tuple[str, ...], *, is_seen_elsewhere: bool = False) -> None:
        lost = [each for each in watched if not Path(CORE, each).exists()]
        assert not lost, f"nothing of the core is called {lost}, so none of its lines would be watched"
        self._work, self._watched = work, watched
        self._home = Settings.from_environment().home
        self._before = self._home.with_name(f"{self._home.name}-before")
        self._copies = self._home.with_name(f"{self._home.name}-copies")
        self._always_kills = EVERY_LINE or is_seen_elsewhere
        close_database()
        shutil.copytree(self._home, self._before)
        work()  # here, so that the children inherit what it imports

    @cached_property
    def lines(self) -> list[Place]:
        """Each line that is run through, in order."""
        return [(str(name), int(line)) for name, line in self._noted(lambda _number, place: place)]

    @cached_property
    def points(self) -> list[int]:
        """The number of the first line of each state of the disk."""
        disk, known = _Disk(self._home), set[int]()

        def look(number: int, place: Place) -> tuple[int, Place]:
            if (state := disk.state()) not in known:
                known.add(state)
                self._copy(number)
            return state, place

        noted = self._noted(look)
        self.lines = [(str(name), int(line)) for _, (name, line) in noted]
        keys = [(state, number) for number, (state, _) in enumerate(noted)]
        if EVERY_LINE:
            keys += [(str(place), number) for number, place in enumerate(self.lines)]
        return self._one_to_kill(sorted({number: None for number in {key: number for key, number in reversed(keys)}.values()}))

    def some_lines(self, most: int) -> list[int]:
        """The numbers of as many lines, spread over all of them: where a home is too large for its state to be looked at at each line."""
        step = max(1, len(self.lines) // most)
        numbers = range(step // 2, len(self.lines), step)
        self._noted(lambda number, _place: self._copy(number) if number in numbers else None)
        return self._one_to_kill([*numbers])

    def put_back(self) -> None:
        """Make the home what it was before any work."""
        close_database()
        shutil.rmtree(self._home)
        shutil.copytree(self._before, self._home)

    def die(self, number: int) -> None:
        """Make the home what is left of it when the work, from the home before any, comes to the line of this number and dies there."""
        copy = self._copies / str(number)
        if copy.exists():
            close_database()
            shutil.rmtree(self._home)
            copy.rename(self._home)
            return
        self.put_back()
        died = in_a_child(lambda: self._traced(lambda line, _: os.kill(os.getpid(), signal.SIGKILL) if line == number else None))
        assert died == -signal.SIGKILL, f"the process was to die at {self.lines[number]}, and ended with {died}"

    def live(self) -> None:
        """Do the work to its end."""
        assert in_a_child(self._work) == 0, "the work could not be done"

    def _copy(self, number: int) -> None:
        if not self._always_kills:
            shutil.copytree(self._home, self._copies / str(number))

    def _one_to_kill(self, numbers: list[int]) -> list[int]:
        """The numbers as they are; of the line in the middle there is no copy any more."""
        shutil.rmtree(self._copies / str(numbers[len(numbers) // 2]), ignore_errors=True)
        return numbers

    def _noted(self, look: Callable[[int, Place], Any]) -> list[Any]:
        """What ``look`` gives at each line, in a child that does the work, from the home before any."""
        self.put_back()
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
