"""The gate's clean process, forked from one that has imported what it needs and done nothing else.

A test of a gate is seldom about how clean that process is, and most of what a clean one costs is its imports. Those that are about it
are marked with `clean_process`, and get the real one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import IO

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.gates import serving
from tests.unit.warm import start_warm


def use_warm_processes(patch: pytest.MonkeyPatch) -> None:
    """From now on, gates of this process, and of those that it forks, start theirs from the warm one."""
    patch.setattr(serving, "start_clean_process", _start)


class _Forked:
    """As much of `subprocess.Popen` as a gate asks of its process."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("the warm process", timeout or 0.0)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()


def _start(folder: Path, environment: dict[str, str], errors: IO[bytes]) -> _Forked:
    return _Forked(start_warm(_serve, folder, errors.name, environment=environment))


def _serve(folder: Path, errors: str) -> None:
    from include.evergreen.serving_check import main

    os.chdir(PROJECT_ROOT)
    descriptor = os.open(errors, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    sys.exit(main(folder))
