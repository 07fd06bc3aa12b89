"""Builds the DAGs from what the teams declared. The files under dags/ only call it."""

from evergreen_airflow.dags.build import dataset_dags, model_dags, platform_dags

__all__ = ["dataset_dags", "model_dags", "platform_dags"]
