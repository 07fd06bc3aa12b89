"""What a process does before it forks the workers that run tasks: the executor's parent, or a Celery worker's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen_airflow.preload import is_enabled, preload
from evergreen_airflow.supervisor_wait import shorten_wait_for_exit

if TYPE_CHECKING:
    from include.evergreen.serving.clean_processes import Server


def prepare_to_fork(clean_processes: Server) -> None:
    """Preload libraries, shorten the supervisor's wait for a task's exit, and start the server of clean processes.

    :param clean_processes: the server; whoever calls stops it. It is not started with ``EVERGREEN_PRELOAD=0``
    """
    preload()
    shorten_wait_for_exit()
    if is_enabled():
        clean_processes.start()
