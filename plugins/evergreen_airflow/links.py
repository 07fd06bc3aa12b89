"""Buttons on a task in Airflow's UI: the worker works the link out when the task ends, the API server shows it.

A link that raises would put a traceback into the log of a sound task. When there is nothing to open it is empty instead,
and Airflow shows no button.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit, urlunsplit

from airflow.sdk import BaseOperatorLink

from evergreen_airflow.runs import partition_of
from evergreen_airflow.ui import URL_PREFIX
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.sdk.types import TaskInstanceKey

    from include.evergreen.registry.champions import RegisteredVersion


class ValidationLink(BaseOperatorLink):
    """The newest validation of the run's partition. It is there when the validation stopped the partition, too."""

    name = "Validation result"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        return _page_of_partition("validations", _running(ti_key))


class DriftReportLink(BaseOperatorLink):
    """Evidently's report of the window that the run's partition ends, which is drawn when it is opened, or why there is none.

    Of a task that drew one, whatever its run is about, it is the ``partition`` in the dict that the task returns.
    """

    name = "Drift report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        ti = _running(ti_key)
        if ti.dag_id.endswith(".monitor"):
            return _page_of_partition("reports", ti)
        returned = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
        partition = returned.get("partition") if isinstance(returned, Mapping) else None
        return report_page(ti.dag_id.rpartition(".")[0], partition) if partition else ""


class MlflowRunLink(BaseOperatorLink):
    """The MLflow run that the task names by ``mlflow_run_id`` in the dict that it returns."""

    name = "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        if not (ui := mlflow_ui()):
            return ""
        ti = _running(ti_key)
        returned = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
        run_id = returned.get("mlflow_run_id") if isinstance(returned, Mapping) else None
        return f"{ui}/#/runs/{quote(str(run_id), safe='')}" if run_id else ""  # MLflow finds the experiment by itself


class VersionsLink(BaseOperatorLink):
    """All versions of the task's model, with who approved and promoted which, and why."""

    name = "Versions"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        return versions_page(_running(ti_key).dag_id.rpartition(".")[0])


class ModelCardLink(BaseOperatorLink):
    """The model card of the version that the task names by ``version`` in the dict that it returns."""

    name = "Model card"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        ti = _running(ti_key)
        returned = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
        version = returned.get("version") if isinstance(returned, Mapping) else None
        return card_page(ti.dag_id.rpartition(".")[0], version) if isinstance(version, int) else ""


def card_page(model: str, version: int) -> str:
    """Where the model card of a version is, relative as `versions_page`."""
    return f"{URL_PREFIX[1:]}/dags/{quote(model, safe='')}.train/cards/{version}"


def report_page(model: str, partition: str) -> str:
    """Where the drift report of a window is, relative as `versions_page`."""
    return f"{URL_PREFIX[1:]}/dags/{quote(model, safe='')}.monitor/reports/{partition}"


def versions_page(model: str) -> str:
    """Relative to the UI's ``<base>``, so that it holds under whatever base path the API server has."""
    return f"{URL_PREFIX[1:]}/dags/{quote(model, safe='')}.train/versions"


def evidence_links(model: str, version: RegisteredVersion) -> dict[str, str]:
    """Where the evidence on a version is, by the words for it."""
    links = {"Model card": card_page(model, version.version), "All versions": versions_page(model)}
    if ui := mlflow_ui():
        links["MLflow run"] = f"{ui}/#/runs/{quote(version.mlflow_run_id, safe='')}"
    return links


def _running(ti_key: TaskInstanceKey) -> RuntimeTaskInstance:
    """Airflow calls `get_link` in the worker alone, and hands it the whole task instance under the name of a key."""
    return cast("RuntimeTaskInstance", ti_key)


def _page_of_partition(page: str, ti: RuntimeTaskInstance) -> str:
    """Relative to the UI's ``<base>``, so that it holds under whatever base path the API server has."""
    context = cast("Mapping[str, Any]", ti.get_template_context())
    try:
        partition = partition_of(context)
    except ConfigError:
        return ""
    return f"{URL_PREFIX[1:]}/dags/{quote(ti.dag_id, safe='')}/{page}/{partition}"


def mlflow_ui() -> str | None:
    """Where MLflow's pages are, without any password that the tracking URI may hold."""
    settings = Settings.from_environment()
    parts = urlsplit(settings.mlflow_ui_url or settings.mlflow_tracking_uri)
    if parts.scheme not in {"http", "https"}:
        return None
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
