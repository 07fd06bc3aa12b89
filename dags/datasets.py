"""One DAG for each dataset under include/datasets: <dataset>.ingest."""

from evergreen_airflow.dags import dataset_dags

for dag in dataset_dags():  # Airflow finds the DAGs among this module's names
    globals()[dag.dag_id] = dag
