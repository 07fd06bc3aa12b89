"""A LocalExecutor whose workers find the heavy libraries imported, whose gates find a server of clean processes, and which waits for news.

`[core] executor = evergreen_airflow.executor.PreloadingLocalExecutor`; docs/decisions has the figures of each: preloading.md,
clean-processes.md and waiting-for-news.md.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from airflow.executors.local_executor import LocalExecutor

from evergreen_airflow.preload import is_on, preload
from evergreen_airflow.sqlite_now import tell_fractions_of_now
from evergreen_airflow.supervisor_wait import shorten_wait_for_exit
from include.evergreen.serving.clean_processes import Server

WAIT_WHILE_TASKS_RUN = 0.1  # seconds: from outside comes little that cannot wait for so long, and the processor is the tasks'
SHORTEST_WAIT, LONGEST_WAIT = 0.01, 0.4  # seconds, while none runs: soon after news there is often more, such as a run that was just made
WAIT_OF_QUIET = 0.1  # between the two, this share of the time for which nothing was new


class PreloadingLocalExecutor(LocalExecutor):
    """Imports in the parent what tasks would each import, before the workers are forked from it.

    A scheduler's look for work takes 20 ms of a processor, so `sync` waits for a task to end: the longer, the longer nothing was new.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        self._clean_processes = Server()
        self._news_at = monotonic()
        self._known: set[Any] = set()

    def start(self) -> None:
        preload()
        shorten_wait_for_exit()
        tell_fractions_of_now()
        if is_on():
            self._clean_processes.start()
        super().start()

    def sync(self) -> None:
        self._wait_for_news()
        super().sync()
        self._known = set(self.running)

    def end(self) -> None:
        try:
            super().end()
        finally:
            self._clean_processes.stop()

    def terminate(self) -> None:
        super().terminate()  # type: ignore[no-untyped-call]
        self._clean_processes.stop()

    def _wait_for_news(self) -> None:
        quiet = monotonic() - self._news_at
        wait = WAIT_WHILE_TASKS_RUN if self.running else min(max(SHORTEST_WAIT, WAIT_OF_QUIET * quiet), LONGEST_WAIT)
        submitted = self.running != self._known  # the next look may find more to submit
        if submitted or self.result_queue._reader.poll(wait):  # type: ignore[attr-defined]
            self._news_at = monotonic()
