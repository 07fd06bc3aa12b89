"""Each in a process of its own, for what a process has imported is what these are about."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.plugins.forked_airflow import ForkedAirflow

Load = Callable[..., dict[str, Any]]
LOAD = """
import json, sys
from {manager} import _get_plugins
before = set(sys.modules)
plugins, errors = _get_plugins()
ours = [plugin for plugin in plugins if plugin.name == "evergreen"]
new = sorted(set(sys.modules) - before)
{more}
print(json.dumps({{"plugins": len(ours), "errors": errors, "new": new, **found}}))
"""
MANAGERS = {"the worker": "airflow.sdk.plugins_manager", "every other process": "airflow.plugins_manager"}
APP = """
ours[0].fastapi_apps
heavy = [name for name in ("pandas", "mlflow", "sklearn", "evidently") if name in sys.modules]
from airflow.plugins_manager import _get_ui_plugins, get_fastapi_plugins, get_operator_extra_links, get_partition_mapper_plugins
from fastapi import FastAPI
[registered] = get_fastapi_plugins()[0]
again = ours[0].fastapi_apps[0]
found = {
    "heavy": heavy,
    "app": isinstance(registered["app"], FastAPI) and registered["app"] is again["app"],
    "prefix": registered["url_prefix"],
    "links": sorted(link.name for link in get_operator_extra_links()),
    "mappers": list(get_partition_mapper_plugins()),
    "on_all_pages": [app["bundle_url"] for app in ours[0].react_apps if app["destination"] == "base"],
    "views": {view["destination"]: view["href"] for view in _get_ui_plugins()[0] if view["href"].startswith("evergreen/")},
}
"""


@pytest.fixture(scope="module")
def load(forked_airflow: ForkedAirflow) -> Load:
    """Load our plugins as Airflow does, run ``more``, and return what it found."""

    def load(manager: str, more: str = "found = {}", **environment: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(forked_airflow.run(LOAD.format(manager=manager, more=more), **environment).splitlines()[-1])
        return found

    return load


@pytest.fixture(scope="module")
def with_its_app(load: Load) -> dict[str, Any]:
    """What the plugin registers, where its app is started."""
    return load(MANAGERS["every other process"], more=APP)


@pytest.mark.parametrize("manager", MANAGERS.values(), ids=list(MANAGERS))
def test_the_loader_reads_one_file_and_imports_nothing_heavy(load: Load, manager: str) -> None:
    found = load(manager)
    assert (found["plugins"], found["errors"]) == (1, {})
    flat = {name for name in found["new"] if "." not in name}
    assert flat <= {"evergreen_plugin", "evergreen_airflow", "include"}, "the package was loaded as flat modules"
    assert not {name for name in found["new"] if name.split(".")[0] in {"fastapi", "starlette", "jinja2", "pandas", "sqlalchemy"}}
    assert not {name for name in found["new"] if name.startswith("evergreen_airflow.ui.")}


def test_either_syntax_of_the_ignore_file_keeps_the_loader_out(load: Load) -> None:
    found = load(MANAGERS["every other process"], AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX="regexp")
    assert (found["plugins"], found["errors"]) == (1, {})
    assert "links" not in found["new"]


def test_the_plugin_registers_links_mapper_and_app_and_the_app_is_built_once(with_its_app: dict[str, Any]) -> None:
    found = with_its_app
    assert found["app"] is True
    assert found["prefix"] == "/evergreen"
    assert found["on_all_pages"] == ["evergreen/static/bell.js"]
    assert found["views"] == {
        "nav": "evergreen/alerts",
        "dag": "evergreen/alerts?dag_id={DAG_ID}",
        "dag_run": "evergreen/alerts?dag_id={DAG_ID}&run_id={RUN_ID}",
        "task": "evergreen/alerts?dag_id={DAG_ID}&task_id={TASK_ID}",
        "task_instance": "evergreen/alerts?dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}",
    }
    assert found["links"] == ["Drift report", "MLflow run", "Model card", "Validation result", "Versions"]
    assert found["mappers"] == [f"evergreen_airflow.mappers.{name}Mapper" for name in ("Labels", "Monitoring", "Scoring")]


def test_starting_the_app_waits_for_no_heavy_library(with_its_app: dict[str, Any]) -> None:
    assert with_its_app["heavy"] == []


def test_airflow_masks_the_passwords_of_our_databases_in_what_it_logs(load: Load) -> None:
    more = "from airflow.sdk.log import redact\nfound = {'logged': redact('the server said: hunter22/x is wrong')}"
    found = load(MANAGERS["the worker"], more=more, MLFLOW_TRACKING_URI="http://ada:hunter22%2Fx@mlflow:5000")
    assert found["logged"] == "the server said: *** is wrong"
