"""What Airflow's plugin loader reads: it registers, and nothing else.

Every Airflow process loads this file, and tasks do so each time, hence what it imports must be light.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from evergreen_airflow.links import DriftReportLink, MlflowRunLink, ModelCardLink, ValidationLink, VersionsLink
from evergreen_airflow.mappers import DayShiftMapper, MonitoringMapper, ScoringMapper
from evergreen_airflow.ui import URL_PREFIX


class EvergreenPlugin(AirflowPlugin):
    name = "evergreen"
    operator_extra_links = [ValidationLink(), DriftReportLink(), MlflowRunLink(), ModelCardLink(), VersionsLink()]
    partition_mappers = [DayShiftMapper, MonitoringMapper, ScoringMapper]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # only the API server asks, so only it builds
        from evergreen_airflow.ui.app import create_app

        return [{"name": "evergreen", "app": create_app(), "url_prefix": URL_PREFIX}]
