"""Build the DAGs from the declared datasets and models. The files under dags/ only call these builders."""

from evergreen_airflow.dags.build import dataset_dags, model_dags, platform_dags

__all__ = ["dataset_dags", "model_dags", "platform_dags"]
