"""A folder in memory for what tests write: copying a home of some hundred files takes a tenth of what it takes on a disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - nobody else can read the folder in it
PREFIX = "evergreen-"
NEEDED_BYTES = 6 << 30  # a whole run was seen with three quarters of one; so much must be free, of the folder and of the machine's memory


@contextmanager
def memory_folder() -> Iterator[dict[str, str]]:
    """The environment in which processes put their temporary files into memory, gone afterwards; empty where there is too little of it.

    What a run left behind that was killed is removed by the next one.
    """
    if not _has_room():
        yield {}
        return
    _remove_abandoned()
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=SHARED_MEMORY, ignore_cleanup_errors=True) as folder:
        yield {"TMPDIR": folder}


def _has_room() -> bool:
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        return False
    return os.access(SHARED_MEMORY, os.W_OK) and min(free, psutil.virtual_memory().available) >= NEEDED_BYTES


def _remove_abandoned() -> None:
    for folder in SHARED_MEMORY.glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
