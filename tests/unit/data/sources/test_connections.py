from __future__ import annotations

import json
import traceback

import pytest

from include.evergreen.data.sources.connections import Connection, EnvironmentConnections, http_access
from include.evergreen.foundation.errors import ConfigError

SECRET = "quinces/and:medlars@home"
QUOTED = "quinces%2Fand%3Amedlars%40home"


@pytest.fixture
def keeper() -> EnvironmentConnections:
    return EnvironmentConnections()


@pytest.mark.parametrize(
    "text",
    [
        f"postgres://evergreen:{QUOTED}@db.example.org:5433/sales?sslmode=require",
        f"postgresql://evergreen:{QUOTED}@db.example.org:5433/sales?sslmode=require",
        json.dumps(
            {
                "conn_type": "postgres", "login": "evergreen", "password": SECRET, "host": "db.example.org", "port": 5433,
                "schema": "sales", "extra": {"sslmode": "require"},
            }
        ),
        json.dumps(
            {
                "conn_type": "postgres", "login": "evergreen", "password": SECRET, "host": "db.example.org", "port": "5433",
                "schema": "sales", "extra": '{"sslmode": "require"}',
            }
        ),
    ],
)  # fmt: skip
def test_a_connection_reads_alike_from_a_uri_and_from_json(
    keeper: EnvironmentConnections, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", text)
    url = keeper.engine("warehouse").url
    assert (url.get_backend_name(), url.username, url.password, url.host, url.port, url.database, dict(url.query)) == (
        "postgresql", "evergreen", SECRET, "db.example.org", 5433, "sales", {"sslmode": "require"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", [f'{{"password": "{SECRET}"', f'["{SECRET}"]', f"postgres://x:{SECRET}@h:port/", f'{{"conn_type": 3, "x": "{SECRET}"}}']
)
def test_a_connection_that_cannot_be_read_is_named_and_not_shown(
    keeper: EnvironmentConnections, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", text)
    with pytest.raises(
        ConfigError, match="connection 'warehouse': the environment variable AIRFLOW_CONN_WAREHOUSE can be read neither"
    ) as refused:
        keeper.engine("warehouse")
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_only_text_and_whole_numbers_of_an_extra_reach_the_driver_and_the_log_names_the_others(
    keeper: EnvironmentConnections, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    extra = {
        "sslmode": "require",
        "keepalives_idle": 30,
        "keepalives": True,
        "iam": False,
        "options": {"a": SECRET},
        "wait": 1.5,
        "x": None,
    }
    monkeypatch.setenv("AIRFLOW_CONN_SALES", json.dumps({"conn_type": "postgres", "host": "db.example.org", "extra": extra}))
    assert dict(keeper.engine("sales").url.query) == {"sslmode": "require", "keepalives_idle": "30"}
    assert "connection 'sales': of its extra only text and whole numbers are options of the driver, not: " in caplog.text
    assert "['iam', 'keepalives', 'options', 'wait', 'x']" in caplog.text
    assert SECRET not in caplog.text


def test_a_kind_of_database_without_a_driver_here_is_named(keeper: EnvironmentConnections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f"teapot://x:{QUOTED}@h/d")
    with pytest.raises(ConfigError, match="connection 'warehouse' is of type 'teapot', for which no SQL driver is installed") as refused:
        keeper.engine("warehouse")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ({"type": "http", "host": "example.org"}, "http://example.org"),
        ({"type": "http", "host": "https://example.org/v1/"}, "https://example.org/v1"),
        ({"type": "http", "host": "example.org", "schema": "https", "port": 8443}, "https://example.org:8443"),
        ({"type": "https", "host": "example.org"}, "https://example.org"),
        ({"type": "http", "host": "https://example.org/v1", "port": 8443}, "https://example.org:8443/v1"),
    ],
)
def test_an_http_connection_says_where_its_server_is_as_airflow_reads_it(given: dict[str, object], base: str) -> None:
    assert http_access(Connection(id="api", **given)).base == base  # type: ignore[arg-type]


@pytest.mark.parametrize("host", [None, "", "file:///etc", f"https://me:{QUOTED}@example.org", "https://["])
def test_an_http_connection_without_a_server_is_refused_and_not_shown(host: str | None) -> None:
    with pytest.raises(ConfigError, match="connection 'api' names no HTTP server") as refused:
        http_access(Connection(id="api", type="http", host=host))
    assert QUOTED not in str(refused.value)


def test_an_https_host_survives_airflows_uri_form(keeper: EnvironmentConnections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_API", "http://https%3A%2F%2Fexample.org:8443/?authorization=Bearer+abc")
    access = keeper.http("api")
    assert (access.base, access.headers) == ("https://example.org:8443", {"authorization": "Bearer abc"})


def test_secrets_are_in_no_repr() -> None:
    connection = Connection(id="api", type="http", host="example.org", login="evergreen", password=SECRET, extra={"authorization": SECRET})
    assert SECRET not in repr(connection) + repr(http_access(connection))
