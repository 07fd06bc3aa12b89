"""Extra links on a task in Airflow's UI. The worker computes a link when the task ends, and the API server shows it.

A link that raises would put a traceback into the log of a successful task. A link that has nothing to open is empty instead, and
Airflow shows no button.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit, urlunsplit

from airflow.sdk import BaseOperatorLink

from evergreen_airflow.runs import resolve_partition
from evergreen_airflow.ui import URL_PREFIX
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.sdk.types import TaskInstanceKey

    from include.evergreen.registry.champions import RegisteredVersion


class ValidationLink(BaseOperatorLink):
    """Link to the newest validation of the run's partition, also if the validation stopped the partition."""

    name = "Validation result"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the link of one task.

        :param operator: not used
        :param ti_key: the running task instance
        :returns: its URL, or an empty string if the run has no valid partition
        """
        return _partition_page("validations", _task_instance(ti_key))


class DriftReportLink(BaseOperatorLink):
    """Link to Evidently's report of the window that ends with the run's partition. The report is rendered when it is opened.

    Outside <model>.monitor the partition is the ``partition`` in the dict that the task returns.
    """

    name = "Drift report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the link of one task.

        :param operator: not used
        :param ti_key: the running task instance
        :returns: its URL, or an empty string if there is no partition
        """
        ti = _task_instance(ti_key)
        if ti.dag_id.endswith(".monitor"):
            return _partition_page("reports", ti)
        partition = _returned_value(ti, "partition")
        return report_page(ti.dag_id.rpartition(".")[0], partition) if partition else ""


class MlflowRunLink(BaseOperatorLink):
    """Link to the MLflow run whose id the task returns as ``mlflow_run_id``."""

    name = "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the link of one task.

        :param operator: not used
        :param ti_key: the running task instance
        :returns: its URL, or an empty string if the task returned no run or MLflow has no UI
        """
        if not (ui := mlflow_ui()):
            return ""
        run_id = _returned_value(_task_instance(ti_key), "mlflow_run_id")
        return f"{ui}/#/runs/{quote(str(run_id), safe='')}" if run_id else ""  # MLflow finds the experiment itself


class VersionsLink(BaseOperatorLink):
    """Link to all versions of the task's model, with their approvals and promotions."""

    name = "Versions"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the link of one task.

        :param operator: not used
        :param ti_key: the running task instance
        :returns: its URL
        """
        return versions_page(_task_instance(ti_key).dag_id.rpartition(".")[0])


class ModelCardLink(BaseOperatorLink):
    """Link to the model card of the version that the task returns as ``version``."""

    name = "Model card"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the link of one task.

        :param operator: not used
        :param ti_key: the running task instance
        :returns: its URL, or an empty string if the task returned no version
        """
        ti = _task_instance(ti_key)
        version = _returned_value(ti, "version")
        return card_page(ti.dag_id.rpartition(".")[0], version) if isinstance(version, int) else ""


def card_page(model: str, version: int) -> str:
    """Return the URL of a version's model card.

    :param model: its name, as in ``include/models``
    :param version: its number
    :returns: the URL, relative like that of `versions_page`, whether there is a card or not
    """
    return f"{URL_PREFIX[1:]}/dags/{quote(model, safe='')}.train/cards/{version}"


def report_page(model: str, partition: str) -> str:
    """Return the URL of a drift report.

    :param model: its name, as in ``include/models``
    :param partition: the last day of the report's window, such as ``2013-02-09``
    :returns: the URL, relative like that of `versions_page`; the report is rendered when it is opened
    """
    return f"{URL_PREFIX[1:]}/dags/{quote(model, safe='')}.monitor/reports/{partition}"


def versions_page(model: str) -> str:
    """Return the URL of the page of a model's versions.

    :param model: its name, as in ``include/models``
    :returns: the URL, relative to the UI's ``<base>``, so that it works under any base path of the API server
    """
    return f"{URL_PREFIX[1:]}/dags/{quote(model, safe='')}.train/versions"


def evidence_links(model: str, version: RegisteredVersion) -> dict[str, str]:
    """Return the links to the evidence on a version.

    :param model: its name, as in ``include/models``
    :param version: a registered version of it
    :returns: label to URL; the MLflow run is among them if MLflow has a UI
    """
    links = {"Model card": card_page(model, version.version), "All versions": versions_page(model)}
    if ui := mlflow_ui():
        links["MLflow run"] = f"{ui}/#/runs/{quote(version.mlflow_run_id, safe='')}"
    return links


def _task_instance(ti_key: TaskInstanceKey) -> RuntimeTaskInstance:
    """Return the running task instance: Airflow calls `get_link` only in the worker, and passes it as ``ti_key``."""
    return cast("RuntimeTaskInstance", ti_key)


def _returned_value(ti: RuntimeTaskInstance, name: str) -> Any:
    """Return a value of the dict that the task returned, or None."""
    returned = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
    return returned.get(name) if isinstance(returned, Mapping) else None


def _partition_page(page: str, ti: RuntimeTaskInstance) -> str:
    try:
        partition = resolve_partition(ti.get_template_context(), None)
    except ConfigError:
        return ""
    return f"{URL_PREFIX[1:]}/dags/{quote(ti.dag_id, safe='')}/{page}/{partition}"


def mlflow_ui() -> str | None:
    """Return the URL of MLflow's UI, from the settings.

    :returns: the URL, without a slash at its end or a password of the tracking URI; None if MLflow has no UI
    """
    settings = Settings.from_environment()
    parts = urlsplit(settings.mlflow_ui_url or settings.mlflow_tracking_uri)
    if parts.scheme not in {"http", "https"}:
        return None
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
