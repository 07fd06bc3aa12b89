"""An Airflow of the tests' own, with its real API server app and auth manager, and an empty Evergreen home."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.plugins.forked_airflow import ForkedAirflow

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

ROOT = Path(__file__).resolve().parents[2]
_AIRFLOW_HOME = tempfile.TemporaryDirectory(prefix="evergreen-tests-airflow-")

if "airflow" not in sys.modules:  # Airflow reads these when it is first imported, which is while tests are collected
    os.environ |= {
        "AIRFLOW_HOME": _AIRFLOW_HOME.name,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_AIRFLOW_HOME.name}/airflow.db",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
    }

LogIn = Callable[..., "TestClient"]


@pytest.fixture(scope="session")
def airflow_app() -> FastAPI:
    """Airflow's own API server app, with our plugin as its loader found it."""
    from airflow import settings
    from airflow.api_fastapi.app import create_app
    from airflow.configuration import conf
    from airflow.utils.db import initdb

    database = conf.get_mandatory_value("database", "sql_alchemy_conn")
    if tempfile.gettempdir() not in database:
        pytest.fail(f"Airflow was imported before tests/plugins/conftest.py and would write to {database}")
    assert Path(settings.PLUGINS_FOLDER) == ROOT / "plugins"
    initdb()
    return create_app(apps="core")


@pytest.fixture(scope="session")
def forked_airflow() -> Iterator[ForkedAirflow]:
    """Runs code in processes that have imported Airflow, and nothing of ours."""
    with ForkedAirflow() as forked:
        yield forked


@pytest.fixture
def log_in(airflow_app: FastAPI) -> LogIn:
    """A browser session of a user with this role; None is a user without any permission."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    def logged_in(role: str | None, name: str = "someone") -> TestClient:
        token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role))
        return TestClient(airflow_app, cookies={"_token": token})

    return logged_in


@pytest.fixture
def reader(log_in: LogIn) -> TestClient:
    """A user who may read every DAG and change none."""
    return log_in("viewer")


@pytest.fixture
def anonymous(airflow_app: FastAPI) -> TestClient:
    from fastapi.testclient import TestClient

    return TestClient(airflow_app)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Evergreen home, its database migrated."""
    from tests.unit.flights import copy_home, empty_template

    template = empty_template()
    for name in ("EVERGREEN_DATABASE_URL", "EVERGREEN_STORAGE", "EVERGREEN_MLFLOW_UI_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    return copy_home(template, tmp_path)
