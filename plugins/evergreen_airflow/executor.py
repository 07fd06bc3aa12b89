"""A LocalExecutor that preloads heavy libraries, runs a server of clean processes for the gate, and reduces scheduler polling.

Set ``[core] executor = evergreen_airflow.executor.PreloadingLocalExecutor``. Measurements: docs/decisions/preloading.md,
clean-processes.md and waiting-for-news.md.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from airflow.executors.local_executor import LocalExecutor

from evergreen_airflow.sqlite_now import use_subsecond_now
from evergreen_airflow.worker_parent import prepare_to_fork
from include.evergreen.serving.clean_processes import Server

SHORTEST_WHILE_TASKS_RUN = 0.1  # seconds; leaves the processor to the tasks, and few external changes are more urgent
SHORTEST_WAIT, LONGEST_WAIT = 0.01, 1.0  # seconds; while no task runs, one change, such as a new run, often follows another
IDLE_SHARE = 0.2  # between the two, wait for this share of the time since the last change


class PreloadingLocalExecutor(LocalExecutor):
    """LocalExecutor that imports heavy libraries in the parent process before it forks the workers.

    Each scheduler loop costs 20 ms of processor time, so `sync` first waits for a task to end, and longer the longer nothing changed.

    :param *arguments: passed to ``LocalExecutor``
    :param **options: passed to ``LocalExecutor``
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        self._clean_processes = Server()
        self._changed_at = monotonic()
        self._known_running: set[Any] = set()

    def start(self) -> None:
        """Preload libraries, start the server of clean processes, and start the executor."""
        prepare_to_fork(self._clean_processes)
        use_subsecond_now()
        super().start()

    def sync(self) -> None:
        """Wait for a task to end, for at most a second, and synchronize task states."""
        self._wait_for_change()
        super().sync()
        self._known_running = set(self.running)

    def end(self) -> None:
        """Wait for the running tasks, then stop the workers and the server of clean processes."""
        try:
            super().end()
        finally:
            self._clean_processes.stop()

    def terminate(self) -> None:
        """Stop the workers and the server of clean processes immediately."""
        super().terminate()  # type: ignore[no-untyped-call]
        self._clean_processes.stop()

    def _wait_for_change(self) -> None:
        is_full = len(self.running) >= self.parallelism  # nothing can start until a task ends
        submitted = self.running != self._known_running and not is_full  # the next loop may have more to submit
        if submitted or self.result_queue._reader.poll(LONGEST_WAIT if is_full else self._wait()):  # type: ignore[attr-defined]
            self._changed_at = monotonic()

    def _wait(self) -> float:
        shortest = SHORTEST_WHILE_TASKS_RUN if self.running else SHORTEST_WAIT
        return min(max(shortest, IDLE_SHARE * (monotonic() - self._changed_at)), LONGEST_WAIT)
