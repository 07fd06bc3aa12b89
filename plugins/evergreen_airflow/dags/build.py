"""Which DAGs a parse must give: all of them, or the one that a task needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from airflow.sdk import DAG, get_parsing_context

from evergreen_airflow.dags.audit import audit_dag
from evergreen_airflow.dags.broken import broken_dag
from evergreen_airflow.dags.dataset import ingest_dag
from evergreen_airflow.dags.maintenance import maintenance_dag
from evergreen_airflow.dags.model import MODEL_DAGS
from evergreen_airflow.dags.pause import pause_dag
from evergreen_airflow.dags.rescore import rescore_dag
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation.errors import ConfigError


def dataset_dags() -> Iterator[DAG]:
    """One DAG for each declared dataset."""
    catalog = Catalog()
    builders = {"ingest": lambda name: ingest_dag(catalog.dataset(name))}
    yield from _built(catalog.dataset_names, builders, "dataset")


def model_dags() -> Iterator[DAG]:
    """Six DAGs for each declared model."""
    catalog = Catalog()
    builders = {stage: partial(_model_dag, catalog, build) for stage, build in MODEL_DAGS.items()}
    yield from _built(catalog.model_names, builders, "model")


def platform_dags() -> Iterator[DAG]:
    """The DAGs that are about no single dataset or model."""
    if _wanted() in {None, "evergreen.rescore"}:
        yield rescore_dag(Catalog().model_names())
    if _wanted() in {None, "evergreen.maintenance"}:
        yield maintenance_dag()
    if _wanted() in {None, "evergreen.audit"}:
        yield audit_dag()
    if _wanted() in {None, "evergreen.pause"}:
        yield pause_dag()


def _model_dag(catalog: Catalog, build: Callable[[ModelConfig], DAG], name: str) -> DAG:
    return build(catalog.model(name))


def _built(names: Callable[[], list[str]], builders: Mapping[str, Callable[[str], DAG]], kind: str) -> Iterator[DAG]:
    """Every DAG, or the one that the parsing task needs: then nothing else is even listed."""
    wanted = _wanted()
    if wanted is not None:
        name, _, stage = wanted.rpartition(".")
        if stage in builders:
            yield builders[stage](name)
        return
    for name in names():
        try:
            yield from [build(name) for build in builders.values()]
        except ConfigError as error:  # one bad file fails its own DAGs alone, and is seen
            yield broken_dag(name, kind, error)


def _wanted() -> str | None:
    return get_parsing_context().dag_id
