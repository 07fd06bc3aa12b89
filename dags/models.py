"""Five DAGs for each model under include/models: <model>.train, .score, .monitor, .retrain and .promote."""

from evergreen_airflow.dags import model_dags

for dag in model_dags():  # Airflow finds the DAGs among this module's names
    globals()[dag.dag_id] = dag
