"""Prepare Celery workers as `PreloadingLocalExecutor` prepares its own.

Set ``[celery] celery_config_options = evergreen_airflow.celery_worker.CONFIG``. It is the provider's default configuration; what
differs is that importing this module connects to Celery's signals. A worker then preloads before it forks its pool
(docs/decisions/preloading.md).
"""

from __future__ import annotations

from typing import Any

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from celery.signals import worker_init, worker_shutdown  # type: ignore[import-untyped]

from evergreen_airflow.worker_parent import prepare_to_fork
from include.evergreen.serving.clean_processes import Server

CONFIG = DEFAULT_CELERY_CONFIG  # the same object: with several teams, the provider replaces it by each team's own
_clean_processes = Server()


def prepare_worker(**_: Any) -> None:
    """Prepare the worker's parent, before it forks its pool. Celery calls it in workers only."""
    prepare_to_fork(_clean_processes)


def stop_clean_processes(**_: Any) -> None:
    """Stop the server of clean processes."""
    _clean_processes.stop()


worker_init.connect(prepare_worker)
worker_shutdown.connect(stop_clean_processes)
