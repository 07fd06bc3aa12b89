"""What the repository as a whole promises: its lock, its containers, its silence."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from include.evergreen import PROJECT_ROOT, telemetry_off

SECRETS = ("POSTGRES_PASSWORD", "SECRET_KEY", "JWT_SECRET", "FERNET_KEY")


def locked() -> dict[str, str]:
    lines = (PROJECT_ROOT / "requirements.txt").read_text().splitlines()
    return dict(
        re.match(r"([A-Za-z0-9._-]+)==(\S+)", line).groups() for line in lines if "==" in line and not line.lstrip().startswith("#")
    )


def chosen() -> list[str]:
    lines = (PROJECT_ROOT / "requirements.in").read_text().splitlines()
    return [re.match(r"[A-Za-z0-9._-]+", line).group() for line in lines if line and not line.startswith("#")]


def test_the_lock_pins_everything_that_we_chose():
    assert {name.lower() for name in chosen()} <= {name.lower() for name in locked()}


def test_the_lock_holds_for_python_3_11_to_3_13_and_names_no_address():
    text = (PROJECT_ROOT / "requirements.txt").read_text()
    assert "://" not in text
    assert "python_full_version < '3.11'" not in text


def test_what_is_installed_is_what_is_locked():
    from importlib.metadata import version

    for name in ("apache-airflow", "pandas", "great-expectations", "mlflow", "scikit-learn", "evidently", "skops"):
        assert version(name) == locked()[name]


@pytest.mark.parametrize("missing", [None, *SECRETS])
def test_the_compose_file_is_sound_and_refuses_to_start_without_its_secrets(missing):
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is not installed: apt-get install docker-compose")
    environment = {**os.environ, **dict.fromkeys(SECRETS, "x")}
    environment.pop(missing, None)
    done = subprocess.run([compose, "config"], cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
    if missing:
        assert done.returncode != 0
        assert missing in done.stderr
    else:
        services = yaml.safe_load(done.stdout)["services"]
        assert {"postgres", "mlflow", "setup", "api-server", "scheduler", "dag-processor", "triggerer"} == set(services)
        assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))


def test_every_executor_that_is_configured_anywhere_can_be_imported():
    for path in ("Dockerfile", "tools/embedded.py"):
        for executor in set(re.findall(r"evergreen_airflow\.executor\.(\w+)", (PROJECT_ROOT / path).read_text())):
            code = f"from evergreen_airflow.executor import {executor}"
            assert subprocess.run([sys.executable, "-c", code], env=with_plugins(), check=False).returncode == 0


def test_all_telemetry_is_off_as_soon_as_the_core_is_imported():
    code = "import include.evergreen, os, json; print(json.dumps(dict(os.environ)))"
    bare = {name: value for name, value in with_plugins().items() if name not in telemetry_off()}
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True)
    found = yaml.safe_load(done.stdout)
    assert {name: found[name] for name in telemetry_off()} == telemetry_off()


def test_the_libraries_themselves_find_their_telemetry_off():
    code = (
        "import include.evergreen\n"
        "import mlflow.telemetry.utils as m; assert m.is_telemetry_disabled()\n"
        "from evidently.telemetry import event_logger; assert not event_logger.enabled()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=with_plugins(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]


def with_plugins() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{PROJECT_ROOT}:{PROJECT_ROOT / 'plugins'}"}
