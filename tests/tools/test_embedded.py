"""The embedded Airflow: where it listens, what it keeps to itself, and what it leaves behind."""

import json
import socket
import stat
import sys
from types import SimpleNamespace

import psutil
import pytest
from sqlalchemy import make_url

from include.evergreen import PROJECT_ROOT, read_variables, telemetry_off
from include.evergreen.foundation.errors import TransientError
from tools import embedded
from tools.embedded import HOST, airflow_settings, free_port


@pytest.fixture
def taken():
    """Listeners on a row of ports, of which the first is returned."""
    listeners = []
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            first = probe.getsockname()[1]
        if first + embedded.PORTS_TRIED < 65_000:
            break
    for port in range(first, first + embedded.PORTS_TRIED):
        listener = socket.socket()
        try:
            listener.bind((HOST, port))
            listener.listen()
        except OSError:
            pass  # somebody else listens there, which serves as well
        listeners.append(listener)
    yield first
    for listener in listeners:
        listener.close()


def test_a_port_that_is_taken_is_passed_over(taken):
    assert free_port(taken + embedded.PORTS_TRIED - 1) > taken + embedded.PORTS_TRIED - 1


def test_no_free_port_is_a_clear_error_that_names_the_ports_and_what_to_do(taken):
    with pytest.raises(TransientError, match=f"No free port for Airflow's UI: {taken}-.*make run PORT="):
        free_port(taken)


@pytest.fixture
def started(tmp_path, monkeypatch):
    """An Airflow that was started, but for its programs: what each of them was given, arguments and environment."""
    programs, given = tmp_path / "bin", tmp_path / "given"
    programs.mkdir()
    given.mkdir()
    (programs / "airflow").write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, signal, sys\n"
        f"pathlib.Path({str(given)!r}, sys.argv[1]).write_text(json.dumps([sys.argv[1:], dict(os.environ)]))\n"
        f"if sys.argv[1] != 'db':\n    signal.pause()\n"
    )
    (programs / "airflow").chmod(0o755)

    def unhealthy():
        return [name for name in embedded.COMPONENTS if not (given / name).exists() or not (given / name).read_text()]

    monkeypatch.setattr(embedded.EmbeddedAirflow, "api", lambda airflow: SimpleNamespace(unhealthy_components=unhealthy))

    def start():
        with monkeypatch.context() as patch:
            patch.setattr(embedded, "AIRFLOW", (str(programs / "airflow"),))
            with embedded.EmbeddedAirflow(tmp_path / "home", port=8081):
                return {name: json.loads((given / name).read_text()) for name in embedded.COMPONENTS}

    return start


def test_what_serves_is_told_to_listen_on_loopback_and_the_others_to_serve_no_logs(started):
    """What it comes to is seen in tests/integration, where a real one runs."""
    arguments = {name: given for name, (given, _) in started().items()}
    host = arguments["api-server"].index("--host")
    assert arguments["api-server"][host + 1] == "127.0.0.1"
    for name in ("scheduler", "triggerer"):
        assert "--skip-serve-logs" in arguments[name], name
    setting = read_variables(PROJECT_ROOT / "docker" / "airflow.env")["AIRFLOW__TRIGGERER__CAPACITY"]
    assert arguments["triggerer"][-2:] == ["--capacity", setting]


def test_none_of_its_processes_sends_usage_data(started, monkeypatch):
    for name in telemetry_off():
        monkeypatch.setenv(name, "true")
    for name, (_, environment) in started().items():
        assert {setting: environment[setting] for setting in telemetry_off()} == telemetry_off(), name


def test_settings_of_another_airflow_in_the_shell_reach_none_of_its_processes(started, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production")
    monkeypatch.setenv("AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE", "False")
    for name, (_, environment) in started().items():
        assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("sqlite:///"), name
        assert "AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE" not in environment, name


def test_what_waits_for_sqlite_waits_for_a_minute_but_not_the_api_server_which_might_wait_for_itself(started):
    waits = {name: make_url(environment[embedded.DATABASE]).query for name, (_, environment) in started().items()}
    assert waits.pop("api-server") == {}
    assert list(waits.values()) == [{"timeout": "60"}] * 3


def test_its_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path):
    first = airflow_settings(tmp_path, 1)["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert airflow_settings(tmp_path, 2)["AIRFLOW__API_AUTH__JWT_SECRET"] == first
    assert stat.S_IMODE((tmp_path / "airflow" / "secret").stat().st_mode) == 0o600


def test_an_airflow_that_cannot_start_says_which_log_to_read_and_leaves_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "COMPONENTS", ("no-such-component",))
    airflow = embedded.EmbeddedAirflow(tmp_path, port=free_port(18500))
    before = {each.pid for each in psutil.Process().children(recursive=True)}
    with pytest.raises(TransientError, match=r"no-such-component exited during startup .*no-such-component\.log"):
        airflow.start()
    assert [each for each in psutil.Process().children(recursive=True) if each.pid not in before] == []
