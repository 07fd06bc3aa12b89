"""Stop process groups whose parent was killed, so that even `kill -9` of `make serve` or of the tests leaves no Airflow behind.

The parent sends its process groups, one per line, through a pipe to a process that runs this file. If the pipe closes before the parent
reports that it stopped them itself, this process stops them: with SIGTERM first, then with SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

GRACE_SECONDS = 5.0
POLL_SECONDS = 0.1
ALL_ENDED = "all ended"


class Guard:
    """Monitor this process's process groups from a separate process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is handled by the parent
        )

    def watch(self, group: int) -> None:
        """Stop this group if this process dies."""
        self._say(str(group))

    def dismiss(self) -> None:
        """Report that this process stopped all groups."""
        with contextlib.suppress(BrokenPipeError):
            self._say(ALL_ENDED)
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        if line.strip() == ALL_ENDED:
            groups.clear()
        else:
            groups.add(int(line))
    _end(groups)


def _end(groups: Iterable[int]) -> None:
    left = {group for group in groups if _signal(group, signal.SIGTERM)}
    deadline = time.monotonic() + GRACE_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = {group for group in left if _signal(group, 0)}
    for group in left:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Send the signal. Returns whether the group exists."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
