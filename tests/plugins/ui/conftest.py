"""What the tests of the pages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def dags(request: pytest.FixtureRequest, airflow_app: object) -> Iterator[None]:
    """The ``DAGS`` of the module, as DAGs that Airflow knows."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.merge(DagBundleModel(name="dags-folder"))
        session.flush()
        for dag_id in request.module.DAGS:
            session.merge(DagModel(dag_id=dag_id, bundle_name="dags-folder"))
    yield
    with create_session() as session:
        session.query(DagModel).filter(DagModel.dag_id.in_(request.module.DAGS)).delete()
