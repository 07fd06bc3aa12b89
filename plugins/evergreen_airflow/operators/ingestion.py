"""Fetch, validate and publish one partition of one dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator

from evergreen_airflow.links import ValidationLink
from evergreen_airflow.runs import known_at_of, own_origin, partition_of
from include.evergreen.config import Catalog


class FetchPartitionOperator(BaseOperator):
    """Reads a partition at its source and keeps its raw rows.

    :param dataset: the dataset's name (templated)
    """

    template_fields = ("dataset",)

    def __init__(self, *, dataset: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from evergreen_airflow.connections import use_airflow_connections
        from include.evergreen.data.ingestion import fetch

        partition = partition_of(context)
        use_airflow_connections()
        return {"partition": str(partition), **fetch(Catalog().dataset(self.dataset), partition)}


class ValidatePartitionOperator(BaseOperator):
    """Judges the fetched rows with Great Expectations and sets failing rows aside.

    :param dataset: the dataset's name (templated)
    :param fetched_by: the task whose rows are judged
    """

    template_fields = ("dataset",)
    operator_extra_links = (ValidationLink(),)

    def __init__(self, *, dataset: str, fetched_by: str = "fetch", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.fetched_by = fetched_by

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.data.ingestion import validate_partition

        partition = partition_of(context)
        fetched = context["ti"].xcom_pull(task_ids=self.fetched_by)
        return {"partition": str(partition), **validate_partition(Catalog().dataset(self.dataset), partition, fetched, own_origin(context))}


class PublishPartitionOperator(BaseOperator):
    """Makes the validated rows current, and tells downstream with an asset event that carries the origin.

    :param dataset: the dataset's name (templated)
    :param validated_by: the task whose rows are published
    """

    template_fields = ("dataset",)

    def __init__(self, *, dataset: str, validated_by: str = "validate", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.validated_by = validated_by

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from include.evergreen.data.ingestion import Validated, publish

        partition, origin, known_at = partition_of(context), own_origin(context), known_at_of(context)
        found = context["ti"].xcom_pull(task_ids=self.validated_by)
        validated: Validated = {name: found[name] for name in Validated.__annotations__}  # type: ignore[assignment]
        version, is_new = publish(Catalog().dataset(self.dataset), partition, validated, origin, known_at=known_at)
        announce(self, context, {"origin": origin, "digest": version.digest, "version": version.version})
        return {
            "partition": str(partition),
            "version": version.version,
            "is_new": is_new,
            "rows": version.rows,
            "quarantined": version.quarantined,
            "origin": origin,
        }


def announce(operator: BaseOperator, context: Mapping[str, Any], extra: dict[str, Any]) -> None:
    """Put ``extra`` and the run's partition on the operator's asset events."""
    for outlet in operator.outlets:
        event = context["outlet_events"][outlet]
        event.extra = extra
        if context["dag_run"].partition_key is None:  # else Airflow puts the run's own key
            event.add_partitions(str(partition_of(context)))
