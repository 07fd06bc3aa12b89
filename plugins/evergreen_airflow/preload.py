"""Imports, in a process that forks tasks, what each task would import by itself.

Import only: nothing is fitted and nothing connects. After a parent has used OpenMP once, a forked child's fit hangs.
Celery workers do the same by naming these modules in Celery's own ``imports`` setting.
"""

from __future__ import annotations

import gc
import logging
import os
import time

from include.evergreen.foundation.silent_import import import_quietly

log = logging.getLogger(__name__)

SWITCH = "EVERGREEN_PRELOAD"
MODULES = (
    "airflow.sdk.definitions.retry_policy",
    "airflow.providers.standard.operators.trigger_dagrun",
    "pandas",
    "pyarrow.parquet",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "fsspec.implementations.local",
    "fsspec.implementations.chained",
    "alembic.command",
    "sqlalchemy.dialects.sqlite",
    "great_expectations",
    "great_expectations.validator.validator",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.impute",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "scipy.spatial.distance",
    "scipy.stats",
    "skops.io",
    "mlflow",
    "mlflow.sklearn",
    "mlflow.models",
    "mlflow.pyfunc",
    "mlflow.artifacts",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
)


def is_on() -> bool:
    return os.environ.get(SWITCH, "1") != "0"


def preload(modules: tuple[str, ...] = MODULES) -> list[str]:
    """Import ``modules`` and return those that were; one that fails is logged and passed over.

    ``EVERGREEN_PRELOAD=0`` turns it off.
    """
    if not is_on():
        log.info("Preloading is turned off by %s=0", SWITCH)
        return []
    started = time.monotonic()
    loaded = []
    for name in modules:
        try:
            import_quietly(name)
            loaded.append(name)
        except Exception:  # whatever a library does at import, the scheduler must start
            log.exception("%s could not be preloaded; tasks that need it import it themselves", name)
    gc.collect()
    log.info("Preloaded %d of %d modules in %.1f s", len(loaded), len(modules), time.monotonic() - started)
    return loaded
