"""The DAGs that stand for what is declared, by name, and which of them start by the clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

from include.evergreen.config import Catalog
from include.evergreen.config.schedule import PartitionSchedule
from include.evergreen.foundation.errors import ConfigError

DAG_FILES = ("datasets.py", "models.py", "platform.py")
MODEL_STAGES = ("train", "score", "monitor", "retrain", "approve", "promote")
PLATFORM_FORMS = ("evergreen.rescore", "evergreen.pause")
PLATFORM_DAGS = (*PLATFORM_FORMS, "evergreen.maintenance", "evergreen.audit")


def dags_of(datasets: Iterable[str], models: Iterable[str]) -> set[str]:
    """The DAG ids of these datasets and models."""
    return {f"{name}.ingest" for name in datasets} | {f"{name}.{stage}" for name in models for stage in MODEL_STAGES}


def expected_dags(catalog: Catalog) -> set[str]:
    """The DAG ids that Airflow will have once it has read everything: those of sound declarations, and the platform's."""
    datasets = [name for name in catalog.dataset_names() if _is_sound(catalog.dataset, name)]
    models = [name for name in catalog.model_names() if _is_sound(catalog.model, name)]
    return dags_of(datasets, models) | set(PLATFORM_DAGS)


def follows_others(catalog: Catalog, dag_id: str, today: dt.date) -> bool:
    """Whether an expected DAG does nothing until a person, or what it reads, starts it: no clock does, or its schedule is over."""
    if dag_id in PLATFORM_DAGS:
        return dag_id in PLATFORM_FORMS
    name, _, stage = dag_id.rpartition(".")
    if stage == "ingest":
        return _is_over(catalog.dataset(name).schedule, today)
    schedule = catalog.model(name).train.schedule
    return stage != "train" or schedule is None or _is_over(schedule, today)


def _is_sound(load: Callable[[str], object], name: str) -> bool:
    try:
        load(name)
    except ConfigError:
        return False
    return True


def _is_over(schedule: PartitionSchedule, today: dt.date) -> bool:
    """Runs start up to a day after the partition that they are for."""
    return schedule.end is not None and schedule.end + dt.timedelta(days=1) < today
