"""The DAGs that are about no single dataset or model: evergreen.rescore and evergreen.maintenance."""

from evergreen_airflow.dags import platform_dags

for dag in platform_dags():  # Airflow finds the DAGs among this module's names
    globals()[dag.dag_id] = dag
