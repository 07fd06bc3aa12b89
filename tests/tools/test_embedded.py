"""The embedded Airflow: where it listens, what it keeps to itself, and what it leaves behind."""

import socket
import stat

import pytest

from include.evergreen.errors import TransientError
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


def test_it_listens_on_loopback_alone_and_sends_no_usage_data(tmp_path):
    airflow = embedded.EmbeddedAirflow(tmp_path, port=8081)
    environment = airflow._environment()
    assert environment["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert environment["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8081"
    assert embedded.HOST == "127.0.0.1"


def test_settings_of_another_airflow_in_the_shell_do_not_reach_it(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production")
    monkeypatch.setenv("AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE", "False")
    environment = embedded.EmbeddedAirflow(tmp_path, port=8081)._environment()
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("sqlite:///")
    assert "AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE" not in environment


def test_its_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path):
    first = airflow_settings(tmp_path, 1)["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert airflow_settings(tmp_path, 2)["AIRFLOW__API_AUTH__JWT_SECRET"] == first
    assert stat.S_IMODE((tmp_path / "airflow" / "secret").stat().st_mode) == 0o600


def test_an_airflow_that_cannot_start_says_which_log_to_read_and_leaves_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "COMPONENTS", ("no-such-component",))
    airflow = embedded.EmbeddedAirflow(tmp_path, port=free_port(18500))
    with pytest.raises(TransientError, match=r"no-such-component ended while starting .*no-such-component\.log"):
        airflow.start()
    assert airflow._processes == {}
