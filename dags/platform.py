"""The DAGs of the whole platform: evergreen.rescore, evergreen.maintenance, evergreen.audit and evergreen.pause."""

from evergreen_airflow.dags import platform_dags

for dag in platform_dags():  # Airflow finds the DAGs among this module's names
    globals()[dag.dag_id] = dag
