"""Select what a parse builds: all DAGs, or only the one that a task needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from airflow.sdk import DAG, get_parsing_context

from evergreen_airflow.dags.audit import audit_dag
from evergreen_airflow.dags.broken import broken_dag, broken_stage
from evergreen_airflow.dags.dataset import ingest_dag
from evergreen_airflow.dags.maintenance import maintenance_dag
from evergreen_airflow.dags.model import MODEL_DAGS
from evergreen_airflow.dags.pause import pause_dag
from evergreen_airflow.dags.rescore import rescore_dag
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation.errors import ConfigError


def dataset_dags() -> Iterator[DAG]:
    """Build the DAGs of the declared datasets.

    :yields: one DAG for each dataset, or only the one that the parsing task needs; of a broken YAML, the DAG that shows its error
    """
    catalog = Catalog()
    builders = {"ingest": lambda name: ingest_dag(catalog.dataset(name))}
    yield from _build_all(catalog.dataset_names, builders, "dataset")


def model_dags() -> Iterator[DAG]:
    """Build the DAGs of the declared models.

    :yields: six DAGs for each model, or only the one that the parsing task needs; of a broken YAML, the DAG that shows its error
    """
    catalog = Catalog()
    builders = {stage: partial(_build_model_dag, catalog, build) for stage, build in MODEL_DAGS.items()}
    yield from _build_all(catalog.model_names, builders, "model")


def platform_dags() -> Iterator[DAG]:
    """Build the DAGs that belong to no single dataset or model.

    :yields: the DAGs, or only the one that the parsing task needs
    """
    builders = {
        "evergreen.rescore": lambda: rescore_dag(Catalog().model_names()),
        "evergreen.maintenance": maintenance_dag,
        "evergreen.audit": audit_dag,
        "evergreen.pause": pause_dag,
    }
    yield from (build() for dag_id, build in builders.items() if _requested_dag() in {None, dag_id})


def _build_model_dag(catalog: Catalog, build: Callable[[ModelConfig], DAG], name: str) -> DAG:
    return build(catalog.model(name))


def _build_all(names: Callable[[], list[str]], builders: Mapping[str, Callable[[str], DAG]], kind: str) -> Iterator[DAG]:
    """Yield every DAG, or the one that the parsing task needs; then no other YAML is read, and none is listed for a sound one."""
    requested = _requested_dag()
    if requested is None:
        for name in names():
            yield from _build_dags(name, builders, kind)
        return
    name, _, stage = requested.rpartition(".")
    if stage in builders:
        yield builders[stage](name)
    elif stage == broken_stage(kind) and name in names():
        yield from (dag for dag in _build_dags(name, builders, kind) if dag.dag_id == requested)


def _build_dags(name: str, builders: Mapping[str, Callable[[str], DAG]], kind: str) -> list[DAG]:
    """All DAGs of one dataset or model: an invalid file fails only these, and the UI shows why."""
    try:
        return [build(name) for build in builders.values()]
    except ConfigError as error:
        return [broken_dag(name, kind, error)]


def _requested_dag() -> str | None:
    return get_parsing_context().dag_id
