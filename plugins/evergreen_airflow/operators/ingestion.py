"""Fetch, validate and publish one partition of one dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from evergreen_airflow.links import ValidationLink
from evergreen_airflow.operators.training import skip
from evergreen_airflow.runs import ingestion_origin, resolve_known_at, resolve_partition, task_result
from include.evergreen.config import Catalog
from include.evergreen.foundation.grain import Partition

if TYPE_CHECKING:
    from airflow.sdk import Context


class DatasetOperator(BaseOperator):
    """Base class of the operators that work on one dataset.

    :param dataset: its name, as in ``include/datasets`` (templated)
    :param **kwargs: passed to ``BaseOperator``
    """

    template_fields = ("dataset",)

    def __init__(self, *, dataset: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset


class FetchPartitionOperator(DatasetOperator):
    """Read a partition from its source and store the raw rows.

    :param dataset: its name, as in ``include/datasets`` (templated)
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch the run's partition.

        :param context: the running task's Airflow context
        :returns: ``partition``, ``rows``, ``path`` and ``digest`` of the raw rows, when reading them ``began`` and when they
            ``arrived`` (ISO timestamps), and the ``undeclared`` columns that were dropped
        """
        from evergreen_airflow.connections import use_airflow_connections
        from include.evergreen.data.ingestion import fetch

        dataset = Catalog().dataset(self.dataset)
        partition = resolve_partition(context, dataset.grain)
        use_airflow_connections()
        return {"partition": str(partition), **fetch(dataset, partition)}


class ValidatePartitionOperator(DatasetOperator):
    """Validate the fetched rows with Great Expectations and quarantine the failing ones.

    :param dataset: its name, as in ``include/datasets`` (templated)
    :param fetch_task_id: id of the task that fetched the rows
    :param **kwargs: passed to ``BaseOperator``
    """

    operator_extra_links = (ValidationLink(),)

    def __init__(self, *, dataset: str, fetch_task_id: str = "fetch", **kwargs: Any) -> None:
        super().__init__(dataset=dataset, **kwargs)
        self.fetch_task_id = fetch_task_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Validate the run's partition. Fails with `DataError` if the validation stopped it.

        :param context: the running task's Airflow context
        :returns: ``partition``, and ``rows``, ``path`` and ``digest`` of the accepted rows; ``quarantined`` (count), ``quarantine_path``
            and ``quarantine_digest``; ``source_rows``, ``raw_path``, ``raw_digest``, ``began``, ``arrived``, ``undeclared``, ``released``,
            ``known_first`` and ``known_last``
        """
        from include.evergreen.data.ingestion import Fetched, validate_partition

        dataset = Catalog().dataset(self.dataset)
        partition = resolve_partition(context, dataset.grain)
        fetched: Fetched = task_result(context, self.fetch_task_id)  # type: ignore[assignment]
        return {"partition": str(partition), **validate_partition(dataset, partition, fetched, ingestion_origin(context))}


class PublishPartitionOperator(DatasetOperator):
    """Make the validated rows the partition's current version and emit an asset event that carries their origin.

    :param dataset: its name, as in ``include/datasets`` (templated)
    :param validate_task_id: id of the task that validated the rows
    :param **kwargs: passed to ``BaseOperator``
    """

    def __init__(self, *, dataset: str, validate_task_id: str = "validate", **kwargs: Any) -> None:
        super().__init__(dataset=dataset, **kwargs)
        self.validate_task_id = validate_task_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish the run's partition, unless a newer delivery is current: then the task is skipped, and its log names that one.

        :param context: the running task's Airflow context
        :returns: ``partition``, its ``version``, ``is_new`` (false if the content is unchanged), ``rows``, ``quarantined`` (count) and
            ``origin`` (``live`` or ``backfill``)
        """
        from include.evergreen.data.ingestion import Validated, publish
        from include.evergreen.data.partitions import OlderDeliveryError

        dataset, origin, known_at = Catalog().dataset(self.dataset), ingestion_origin(context), resolve_known_at(context)
        partition = resolve_partition(context, dataset.grain)
        returned = task_result(context, self.validate_task_id)
        validated: Validated = {name: returned[name] for name in Validated.__annotations__ if name in returned}  # type: ignore[assignment]
        try:
            version, is_new = publish(dataset, partition, validated, origin, known_at=known_at)
        except OlderDeliveryError as error:
            skip(self, str(error))
        emit_asset_events(self, context, partition, {"origin": origin, "digest": version.digest, "version": version.version})
        return {
            "partition": str(partition),
            "version": version.version,
            "is_new": is_new,
            "rows": version.rows,
            "quarantined": version.quarantined,
            "origin": origin,
        }


def emit_asset_events(operator: BaseOperator, context: Context, partition: Partition, extra: dict[str, Any]) -> None:
    """Attach ``extra`` and the run's partition to the asset event of each of the operator's outlets.

    :param operator: the running operator
    :param context: its Airflow context
    :param partition: the run's, which Airflow knows by itself only where it is the run's key
    :param extra: the event's ``extra``: small and JSON-serializable
    """
    for outlet in operator.outlets:
        event = context["outlet_events"][outlet]
        event.extra = extra
        if context["dag_run"].partition_key is None:  # otherwise Airflow adds the run's own key
            event.add_partitions(str(partition))
