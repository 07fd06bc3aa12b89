"""The entry point of the Airflow plugin, which only registers its parts.

Every Airflow process and every task loads this file, so its imports must be light.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk.log import mask_secret

from evergreen_airflow.links import DriftReportLink, MlflowRunLink, ModelCardLink, ValidationLink, VersionsLink
from evergreen_airflow.mappers import LabelsMapper, MonitoringMapper, ScoringMapper
from evergreen_airflow.ui import URL_PREFIX
from evergreen_airflow.watch import listener
from include.evergreen.foundation.redaction import environment_secrets


def _tab(destination: str, route: str, query: str) -> dict[str, Any]:
    """A tab of the alerts of a DAG, run or task; Airflow fills the placeholders, and shows the page in a frame."""
    return {"name": "Alerts", "destination": destination, "url_route": route, "href": f"{URL_PREFIX[1:]}/alerts?{query}", "icon": _ICON}


_ICON = f"{URL_PREFIX[1:]}/badge.svg"  # a bell, with the number of alerts that fire, of those that whoever looks may see


class EvergreenPlugin(AirflowPlugin):
    """Register extra links, partition mappers, the pages under ``/evergreen`` with their places in Airflow's UI, and the limits of an
    Airflow without a login.
    """

    name = "evergreen"
    operator_extra_links = [ValidationLink(), DriftReportLink(), MlflowRunLink(), ModelCardLink(), VersionsLink()]
    partition_mappers = [LabelsMapper, MonitoringMapper, ScoringMapper]
    external_views = [
        {"name": "On call", "destination": "nav", "nav_top_level": True, "url_route": "on-call", "href": f"{URL_PREFIX[1:]}/alerts",
         "icon": _ICON},
        _tab("dag", "dag-alerts", "dag_id={DAG_ID}"),
        _tab("dag_run", "run-alerts", "dag_id={DAG_ID}&run_id={RUN_ID}"),
        _tab("task", "task-alerts", "dag_id={DAG_ID}&task_id={TASK_ID}"),
        _tab("task_instance", "task-instance-alerts", "dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}"),
    ]  # fmt: skip

    # the one way to have a script on all pages of Airflow's UI: it keeps the bell's number true
    react_apps = [{"name": "Evergreen bell", "destination": "base", "bundle_url": f"{URL_PREFIX[1:]}/static/bell.js"}]
    listeners = [listener]

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Have Airflow mask our secrets in what its processes log, whoever logs it: our own errors are redacted by themselves.

        :param *args: not used
        :param **kwargs: not used
        """
        for secret in environment_secrets():
            mask_secret(secret)

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # a property, so that only the API server builds the app
        """Return the FastAPI app with its URL prefix."""
        from evergreen_airflow.ui.app import create_app

        return [{"name": "evergreen", "app": create_app(), "url_prefix": URL_PREFIX}]

    @property
    def fastapi_root_middlewares(self) -> list[dict[str, Any]]:  # type: ignore[override]  # as above
        """Return the middlewares of the whole API server."""
        from evergreen_airflow.audit_log import AuditLogInThread
        from evergreen_airflow.loopback import root_middlewares

        return [*root_middlewares(), {"name": "evergreen audit log", "middleware": AuditLogInThread}]
