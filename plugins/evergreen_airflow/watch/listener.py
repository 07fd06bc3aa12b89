"""The listener that writes down why an attempt of a task failed: Airflow keeps that in a log file alone.

Airflow calls it in the process of the task, once the attempt's state is known to the API server; in the scheduler, with a text, when
a process or worker was lost; and in the API server, when a person marks a task as failed. It is loaded by each of them, so it
imports nothing heavy until something fails.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
PATIENCE_SECONDS = 10.0  # with our database, before a failed task's process ends without having written it down
_MARKED = "state was manually set to"  # Airflow's words, when a person marks a task as failed


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: str | BaseException | None) -> None:
    """Write down why an attempt failed. It neither fails nor hangs the process it is called in.

    :param previous_state: not used
    :param task_instance: of the task runner, or a row of Airflow's
    :param error: an exception of the task's; a text of Airflow's; or None
    """
    try:
        facts = _facts(task_instance, error)
    except Exception:
        log.warning("Why %s failed is not written down: it cannot be told", task_instance, exc_info=True)
        return
    _within(PATIENCE_SECONDS, lambda: _record(facts))


def _facts(task_instance: Any, error: str | BaseException | None) -> dict[str, Any]:
    """Taken here, before the thread begins: a row of Airflow's belongs to its session."""
    error_class, text = describe_error(task_instance.dag_id, error)
    return {
        "dag_id": task_instance.dag_id,
        "task_id": task_instance.task_id,
        "run_id": task_instance.run_id,
        "map_index": -1 if task_instance.map_index is None else task_instance.map_index,
        "try_number": task_instance.try_number,
        "partition": "",  # the watcher has it from the run
        "error_class": error_class,
        "error": text,
    }


def describe_error(dag_id: str, error: str | BaseException | None) -> tuple[str, str]:
    """Say what may be written down of an error: of one that may quote personal data, only its class.

    :param dag_id: of the task that it ended
    :param error: as the listener gets it
    :returns: the name of its class, and its message; no class when these are not the task's own words
    """
    if error is None:
        return "", ""
    if isinstance(error, str):
        return ("MarkedFailed", "A person marked it as failed.") if _MARKED in error else ("", error)
    from include.evergreen.foundation.errors import EvergreenError

    quotes = not isinstance(error, EvergreenError) and _may_quote_personal_data(dag_id)
    return type(error).__name__, "" if quotes else str(error)


def _may_quote_personal_data(dag_id: str) -> bool:
    """Whether a declared dataset, or an input or feature of a declared model, is personal; or that cannot be told."""
    from include.evergreen.config import Catalog
    from include.evergreen.features.build import reads_personal_data
    from include.evergreen.foundation.errors import ConfigError

    name = dag_id.rpartition(".")[0]
    try:
        catalog = Catalog()
        if name in catalog.model_names():
            return reads_personal_data(catalog, catalog.model(name))
        return name in catalog.dataset_names() and bool(catalog.dataset(name).personal_columns)
    except ConfigError:
        return True


def _record(facts: dict[str, Any]) -> None:
    from include.evergreen.state.task_failures import record_failure

    record_failure(**facts)


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Do it in a thread that is left behind when it takes too long: what it writes, it writes in one transaction or not at all."""

    def shielded() -> None:
        try:
            work()
        except Exception as error:  # our database is down, or not migrated: the watcher still sees that the task failed
            log.warning("Why the task failed is not written down, so its alert will not say: %s", error)

    thread = threading.Thread(target=shielded, name="evergreen-listener", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        log.warning("Our database did not answer within %g s: why the task failed is not written down", seconds)
