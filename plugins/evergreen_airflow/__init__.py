"""The part of Evergreen that imports Airflow: operators, a sensor and its trigger, DAG builders, pages, and an executor."""
