"""Six DAGs for each model under include/models: <model>.train, .score, .monitor, .retrain, .approve and .promote."""

from evergreen_airflow.dags import model_dags

for dag in model_dags():  # Airflow finds the DAGs among this module's names
    globals()[dag.dag_id] = dag
