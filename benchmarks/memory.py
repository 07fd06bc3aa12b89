"""The memory of everything that a benchmark has started, on Linux."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psutil  # type: ignore[import-untyped]  # Airflow's own dependency

LOOK_EVERY_SECONDS = 0.5


def proportional_memory_mb() -> float:
    """Of every process below this one: pages that several share are divided among them (PSS)."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 1024**2


def peak_memory_mb_during(work: Callable[[], object]) -> float:
    """The highest sum that was seen while ``work`` ran. Looking takes processor time, so measure no time meanwhile."""
    seen, done = [proportional_memory_mb()], threading.Event()

    def watch() -> None:
        while not done.wait(LOOK_EVERY_SECONDS):
            seen.append(proportional_memory_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return max(seen)
