"""An Airflow that makes everyone an administrator, as `make run` starts it: who may ask it, and under which name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tools.embedded import airflow_settings

FOREIGN = [
    "evil.example",
    "evil.example:8080",
    "127.0.0.1.evil.example",
    "evil.example@localhost",
    "localhost:8080.evil.example",
    "192.168.1.5:8080",
    "0.0.0.0:8080",
    "",
]
PAGES = ["/auth/token", "/auth/token/login", "/api/v2/dags", "/evergreen/dags/x.train/versions", "/execution/health", "/", "/no/such/page"]


@pytest.fixture(scope="module")
def open_app(airflow_app: FastAPI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """Airflow's own app, open to everyone as the embedded Airflow's settings make it."""
    from airflow import plugins_manager
    from airflow.api_fastapi.app import create_app

    everyone = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(everyone, airflow_settings(tmp_path_factory.mktemp("home"), 8080)[everyone])
        plugins_manager.get_fastapi_plugins.cache_clear()
        yield create_app()
    plugins_manager.get_fastapi_plugins.cache_clear()


@pytest.fixture
def browser(open_app: FastAPI) -> TestClient:
    return TestClient(open_app, base_url="http://127.0.0.1:8080", follow_redirects=False)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:18500", "[::1]", "[::1]:8080"])
def test_this_machine_is_an_administrator_under_each_of_its_names(browser: TestClient, host: str) -> None:
    assert browser.get("/auth/token", headers={"host": host}).status_code == 201
    assert browser.get("/api/v2/dags", headers={"host": host, "origin": f"http://{host}"}).status_code == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_no_token_is_given_under_a_name_that_is_not_this_machines(browser: TestClient, host: str) -> None:
    answer = browser.get("/auth/token", headers={"host": host})
    assert answer.status_code == 403
    assert "token" not in answer.text
    assert repr(host) in answer.text and "localhost, 127.0.0.1 or [::1]" in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_nothing_of_the_server_answers_under_a_foreign_name(browser: TestClient, path: str) -> None:
    answer = browser.get(path, headers={"host": "evil.example"})
    assert (answer.status_code, answer.cookies.get("_token")) == (403, None)


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1.evil.example", "null", "http://evil.example:8080"])
def test_a_page_of_elsewhere_changes_nothing_though_it_asks_the_right_name(browser: TestClient, origin: str) -> None:
    """The body without a content type is what a page may send anywhere without asking first."""
    answer = browser.patch("/api/v2/dags/no.such", content=b'{"is_paused": true}', headers={"origin": origin})
    assert (answer.status_code, repr(origin) in answer.text) == (403, True)


def test_where_people_log_in_the_server_may_have_any_name(airflow_app: FastAPI) -> None:
    assert TestClient(airflow_app, base_url="https://airflow.company.example").get("/api/v2/monitor/health").status_code == 200
