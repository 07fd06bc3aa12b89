"""Homes and folders that tests copy: made once for all workers, and kept between runs until what they are made of changes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from include.evergreen import PROJECT_ROOT

KEPT = PROJECT_ROOT / ".pytest_cache" / "templates"
TEMPLATES = "EVERGREEN_TEST_TEMPLATES"  # names the folder of templates that other code made, all that are needed
KEPT_SECONDS = 24 * 3600  # a run that began before an edit may still copy from the templates of then
MADE_OF = (
    "include/**/*",
    "tools/landing_zone.py",
    "tests/templates.py",
    "tests/**/conftest.py",
    "tests/unit/copies.py",
    "tests/unit/features/test_windows.py",
    "tests/unit/flights.py",
    "tests/unit/late_labels.py",
    "tests/unit/lifecycle.py",
    "tests/unit/operations/test_bound_records.py",
    "tests/unit/registry/test_champions.py",
    "tests/unit/rolling.py",
    "tests/unit/shop_of_any_grain.py",
    "tests/shapes/seven_classes/**/*",
    "requirements.txt",
)


def template(name: str, make: Callable[[Path], None]) -> Path:
    """The folder that ``make`` fills, given its path; whoever comes first makes it, and the others wait.

    Nobody may change what is in it. One whose making was cut short is made again.
    """
    folder = generation() / name
    made = folder.with_name(f"{name}.made")
    with _locked(folder.with_name(f"{name}.lock")):
        if not made.exists():
            if TEMPLATES in os.environ:
                raise RuntimeError(f"{folder} is not there, and the code of this tree must not make it")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


@cache
def generation() -> Path:
    """Where the templates of what stands now lie, or those that `TEMPLATES` names; those of days before go."""
    if given := os.environ.get(TEMPLATES):
        return Path(given)
    folder = KEPT / _digest()
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    with _locked(KEPT / "lock"):
        for other in KEPT.iterdir():
            if other.is_dir() and time.time() - other.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(other, ignore_errors=True)
    return folder


def _digest() -> str:
    files = {file for pattern in MADE_OF for file in PROJECT_ROOT.glob(pattern) if file.is_file() and "__pycache__" not in file.parts}
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False).stdout
    digest = hashlib.sha256(f"{sys.version} {PROJECT_ROOT} {head}".encode())  # a training keeps the commit that it ran on
    for file in sorted(files):
        digest.update(str(file.relative_to(PROJECT_ROOT)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
