"""Keep a finished task from occupying its worker for up to five seconds.

Airflow's supervisor waits for its task with `select` on the task's sockets. A task that ends closes them shortly before the kernel
lets it be reaped. If the supervisor checks in between, no socket can wake it, and it sleeps for the whole of
``[workers] min_heartbeat_interval`` (5 s). This affected four tasks in ten; 124 trivial tasks took 147 s with the wait and 27 s
without (docs/decisions/supervisor-wait.md). The fix: once all sockets are closed, check again soon.
"""

from __future__ import annotations

import functools
import inspect
import logging
from typing import Any

log = logging.getLogger(__name__)
RECHECK_SECONDS = 0.01


def shorten_wait_for_exit() -> bool:
    """Wrap the supervisor's wait in this process and its forks. Safe to repeat.

    :returns: whether it is wrapped; False, and a warning, if this version of Airflow is not built as the wrapper expects
    """
    supervised = _supervised_process()
    if supervised is None:
        log.warning("supervisor_wait.py does not support the supervisor of this Airflow version; finished tasks may occupy workers for 5 s")
        return False
    original = supervised._service_subprocess
    if getattr(original, "rechecks_soon", False):
        return True

    @functools.wraps(original)
    def service(self: Any, max_wait_time: float, *args: Any, **kwargs: Any) -> Any:
        if not getattr(self, "_open_sockets", True):
            max_wait_time = min(max_wait_time, RECHECK_SECONDS)
        return original(self, max_wait_time, *args, **kwargs)

    service.rechecks_soon = True  # type: ignore[attr-defined]
    supervised._service_subprocess = service
    return True


def _supervised_process() -> Any:
    """The supervisor's class, or None if it is not built as the wrapper expects."""
    try:
        from airflow.sdk.execution_time.supervisor import WatchedSubprocess

        parameters = list(inspect.signature(WatchedSubprocess._service_subprocess).parameters)
        attributes = {field.name for field in WatchedSubprocess.__attrs_attrs__}
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
    return WatchedSubprocess if parameters[:2] == ["self", "max_wait_time"] and "_open_sockets" in attributes else None
