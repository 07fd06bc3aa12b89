"""The ids of the DAGs of all declared datasets and models, and which of them run on a schedule."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

from include.evergreen.config import Catalog
from include.evergreen.config.schedule import Schedule, last_run
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Grain

DAG_FILES = ("datasets.py", "models.py", "platform.py")
MODEL_STAGES = ("train", "score", "monitor", "retrain", "approve", "promote")
PLATFORM_FORMS = ("evergreen.rescore", "evergreen.pause")
PLATFORM_DAGS = (*PLATFORM_FORMS, "evergreen.maintenance", "evergreen.audit")


def list_dag_ids(datasets: Iterable[str], models: Iterable[str]) -> set[str]:
    """Return the DAG ids of these datasets and models."""
    return {f"{name}.ingest" for name in datasets} | {f"{name}.{stage}" for name in models for stage in MODEL_STAGES}


def expected_dags(catalog: Catalog) -> set[str]:
    """Return the DAG ids that Airflow has once it has parsed everything: those of valid declarations, and the platform's."""
    datasets = [name for name in catalog.dataset_names() if _is_valid(catalog.dataset, name)]
    models = [name for name in catalog.model_names() if _is_valid(catalog.model, name)]
    return list_dag_ids(datasets, models) | set(PLATFORM_DAGS)


def follows_others(catalog: Catalog, dag_id: str, today: dt.date) -> bool:
    """Return whether a DAG starts only manually or by asset events: it has no schedule, or its schedule has ended."""
    if dag_id in PLATFORM_DAGS:
        return dag_id in PLATFORM_FORMS
    name, _, stage = dag_id.rpartition(".")
    if stage == "ingest":
        dataset = catalog.dataset(name)
        return _has_ended(dataset.schedule, dataset.grain, today)
    model = catalog.model(name)
    return stage != "train" or model.train.schedule is None or _has_ended(model.train.schedule, model.grain, today)


def _is_valid(load: Callable[[str], object], name: str) -> bool:
    try:
        load(name)
    except ConfigError:
        return False
    return True


def _has_ended(schedule: Schedule, grain: Grain, today: dt.date) -> bool:
    """Return whether the last run of a schedule was due before today."""
    last = last_run(schedule, grain)
    return last is not None and last.date() < today
