"""Import heavy libraries, and our own modules, in a process that forks tasks, so that each task need not import them.

Import only: nothing is fitted and nothing connects, because once a parent has used OpenMP, a fit in a forked child hangs.
"""

from __future__ import annotations

import gc
import logging
import os
import pkgutil
import time

import include.evergreen
from include.evergreen.foundation.silent_import import import_quietly

log = logging.getLogger(__name__)

SWITCH = "EVERGREEN_PRELOAD"
MODULES = (
    "skops.io",  # first: it looks for names of NumPy's in all modules that there are
    "airflow.sdk.definitions.retry_policy",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.trigger_dagrun",
    "pandas",
    "pyarrow.parquet",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "fsspec.implementations.local",
    "fsspec.implementations.chained",
    "alembic.command",
    "jinja2.ext",
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


def is_enabled() -> bool:
    """Return whether preloading is enabled.

    :returns: False with ``EVERGREEN_PRELOAD=0``, else True
    """
    return os.environ.get(SWITCH, "1") != "0"


def own_modules() -> tuple[str, ...]:
    """Return the names of our own modules. Not those of the teams' declarations, which each task reads as they are now.

    :returns: what builds the DAGs, for each task builds its own, and every module of the core
    """
    core = (each.name for each in pkgutil.walk_packages(include.evergreen.__path__, f"{include.evergreen.__name__}."))
    return ("evergreen_airflow.dags", *(name for name in core if not name.endswith(".__main__")))


def preload(modules: tuple[str, ...] | None = None) -> list[str]:
    """Import modules. A module that cannot be imported is logged and skipped.

    :param modules: names of the modules; without them, the libraries and our own
    :returns: names of the imported modules, or none with ``EVERGREEN_PRELOAD=0``
    """
    if not is_enabled():
        log.info("Preloading is disabled by %s=0", SWITCH)
        return []
    started = time.monotonic()
    is_all = modules is None
    modules = (*MODULES, *own_modules()) if modules is None else modules
    loaded = []
    for name in modules:
        try:
            import_quietly(name)
            loaded.append(name)
        except Exception:  # whatever a library raises on import, the scheduler must start
            log.exception("%s could not be preloaded; tasks that need it will import it", name)
    if is_all:
        _import_providers_of_assets()
    gc.collect()
    log.info("Preloaded %d of %d modules in %.1f s", len(loaded), len(modules), time.monotonic() - started)
    return loaded


def _import_providers_of_assets() -> None:
    """Airflow's providers say how the address of an asset is written: whoever makes the first in a process imports those that do."""
    try:
        from evergreen_airflow.dags.common import dataset_asset

        dataset_asset("any")
    except Exception:  # as above
        log.exception("An asset could not be made; tasks will try it again")
