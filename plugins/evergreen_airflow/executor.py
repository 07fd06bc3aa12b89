"""A LocalExecutor whose workers find the heavy libraries imported.

`[core] executor = evergreen_airflow.executor.PreloadingLocalExecutor`; docs/decisions/preloading.md has the figures.
"""

from __future__ import annotations

from airflow.executors.local_executor import LocalExecutor

from evergreen_airflow.preload import preload
from evergreen_airflow.supervisor_wait import shorten_wait_for_exit


class PreloadingLocalExecutor(LocalExecutor):
    """Imports in the parent what tasks would each import, before the workers are forked from it."""

    def start(self) -> None:
        preload()
        shorten_wait_for_exit()
        super().start()
