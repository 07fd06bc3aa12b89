"""Keeps a finished task from holding its worker for up to five seconds.

Airflow's supervisor waits for its task in `select` on the task's sockets. A task that ends closes them a moment before
the kernel lets it be reaped; when the supervisor looks in between, no socket is left to wake it, and it sleeps through
the whole of ``[workers] min_heartbeat_interval`` (5 s). Here it happened to four tasks in ten; 124 trivial tasks took
147 s with the wait and 27 s without (docs/decisions/supervisor-wait.md). The cure: without sockets, look again soon.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

log = logging.getLogger(__name__)
LOOK_AGAIN_SECONDS = 0.01


def shorten_wait_for_exit() -> bool:
    """Wrap the supervisor's wait in this process and its forks; say whether this Airflow has the place for it."""
    from airflow.sdk.execution_time.supervisor import WatchedSubprocess

    original = getattr(WatchedSubprocess, "_service_subprocess", None)
    if original is None or "_open_sockets" not in {field.name for field in WatchedSubprocess.__attrs_attrs__}:
        log.warning("This Airflow's supervisor is not the one that supervisor_wait.py knows; finished tasks may hold workers for 5 s")
        return False
    if getattr(original, "looks_again_soon", False):
        return True

    @functools.wraps(original)
    def service(self: Any, max_wait_time: float, *args: Any, **kwargs: Any) -> Any:
        if not self._open_sockets:
            max_wait_time = min(max_wait_time, LOOK_AGAIN_SECONDS)
        return original(self, max_wait_time, *args, **kwargs)

    service.looks_again_soon = True  # type: ignore[attr-defined]
    WatchedSubprocess._service_subprocess = service  # type: ignore[method-assign]
    return True
