"""What the repository as a whole promises: its lock, its containers, its silence."""

import ast
import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys

import psycopg2
import pytest
import yaml
from cryptography.fernet import Fernet

from include.evergreen import PROJECT_ROOT, read_variables, telemetry_off
from tests.unit.warm import run_code
from tools.dotenv import write_env
from tools.embedded import airflow_settings
from tools.postgresql import PASSWORD

SECRETS = tuple(read_variables(PROJECT_ROOT / ".env.example"))


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


def composed(*files: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is not installed: apt-get install docker-compose")
    # an .env of whoever runs this is not read
    command = [compose, "--env-file", ".env.example", *(word for file in files for word in ("-f", file)), "config"]
    return subprocess.run(command, cwd=PROJECT_ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


@functools.cache
def services_of(*files: str) -> dict[str, dict]:
    done = composed(*files, environment=dict.fromkeys(SECRETS, "x"))
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["services"]


def test_compose_refuses_to_start_without_its_secrets_and_says_how_to_make_them():
    done = composed("docker-compose.yaml", environment={})
    assert done.returncode != 0
    assert "run `make env`" in done.stderr
    text = "".join((PROJECT_ROOT / file).read_text() for file in ("docker-compose.yaml", "docker-compose.celery.yaml"))
    assert set(re.findall(r"\$\{(\w+):\?run `make env`\}", text)) == set(SECRETS)
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= set(SECRETS), "no other variable is without a default"


def test_only_loopback_can_reach_what_compose_starts():
    services = services_of("docker-compose.yaml", "docker-compose.celery.yaml")
    assert {"postgres", "mlflow", "setup", "api-server", "scheduler", "dag-processor", "triggerer", "redis", "worker"} == set(services)
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))


@pytest.mark.parametrize("files", [("docker-compose.yaml",), ("docker-compose.yaml", "docker-compose.celery.yaml")])
def test_each_service_of_compose_has_the_database_role_and_the_secrets_that_its_work_needs_and_no_other(files):
    roles, holders = {}, {}
    for name, service in services_of(*files).items():
        values = service.get("environment", {})
        url = values.get("EVERGREEN_DATABASE_URL")
        roles[name] = re.match(r"postgresql\+psycopg2://(\w+):x@postgres/evergreen", url)[1] if url else None
        for secret in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"):
            if secret in values:
                holders.setdefault(secret, set()).add(name)
    airflow = {"setup", "api-server", "scheduler", "dag-processor", "triggerer"}
    assert all(names == airflow for names in holders.values())
    workers = {"scheduler": "evergreen_worker", "triggerer": "evergreen_worker"} | (
        {"worker": "evergreen_worker", "redis": None} if len(files) == 2 else {}
    )
    assert roles == {
        "postgres": None, "mlflow": None, "setup": "evergreen_owner", "api-server": "evergreen_reader", "dag-processor": "evergreen_reader",
        **workers,
    }  # fmt: skip


def test_celery_workers_are_told_to_preload():
    services = services_of("docker-compose.yaml", "docker-compose.celery.yaml")
    for name in ("api-server", "scheduler", "dag-processor", "triggerer", "worker"):
        values = services[name]["environment"]
        assert values["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
        assert values["AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS"] == "evergreen_airflow.celery_worker.CONFIG"


def test_compose_and_the_embedded_airflow_share_their_settings(tmp_path):
    shared = read_variables(PROJECT_ROOT / "docker" / "airflow.env")
    assert shared.items() <= airflow_settings(tmp_path, 8080).items()
    for name, service in services_of("docker-compose.yaml").items():
        if service.get("image") == "evergreen:latest":
            assert shared.items() <= service["environment"].items(), name


def test_the_secrets_for_compose_are_made_once(tmp_path):
    shutil.copy(PROJECT_ROOT / ".env.example", tmp_path)
    assert write_env(tmp_path)
    first = (tmp_path / ".env").read_text()
    values = read_variables(tmp_path / ".env")
    assert set(values) == set(SECRETS)
    assert len(set(values.values())) == len(values)
    assert all(re.fullmatch(r"[A-Za-z0-9_=-]{40,}", value) for value in values.values())
    Fernet(values["FERNET_KEY"])
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    assert not write_env(tmp_path)
    assert (tmp_path / ".env").read_text() == first
    assert {file.name for file in tmp_path.iterdir()} == {".env", ".env.example"}


def test_the_databases_of_compose_open_to_their_own_roles_alone(postgresql):
    environment = {
        **os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(postgresql.port), "PGPASSWORD": PASSWORD, "POSTGRES_USER": "evergreen",
        **{secret: f"it's {secret}" for secret in SECRETS},
    }  # fmt: skip
    databases, roles = ["airflow", "mlflow", "evergreen"], ["airflow", "mlflow", "evergreen_owner", "evergreen_worker", "evergreen_reader"]
    postgresql.execute("DROP DATABASE IF EXISTS evergreen")
    try:
        for _ in range(2):
            subprocess.run(["bash", "docker/databases.sh"], cwd=PROJECT_ROOT, env=environment, check=True, capture_output=True)
        opened = set()
        for role in roles:
            secret = f"it's {role.upper() + ('_DB' if role in databases else '')}_PASSWORD"
            for database in databases:
                with contextlib.suppress(psycopg2.OperationalError):
                    psycopg2.connect(host="127.0.0.1", port=postgresql.port, user=role, password=secret, dbname=database).close()
                    opened.add((role, database))
        assert opened == {("airflow", "airflow"), ("mlflow", "mlflow"), *((role, "evergreen") for role in roles[2:])}
    finally:
        for kind, names in (("DATABASE", databases), ("ROLE", roles)):
            for name in names:
                postgresql.execute(f"DROP {kind} IF EXISTS {name}")


def test_every_executor_that_is_configured_anywhere_can_be_imported():
    configured = [
        set(re.findall(r"evergreen_airflow\.executor\.(\w+)", (PROJECT_ROOT / path).read_text()))
        for path in ("Dockerfile", "tools/embedded.py")
    ]
    assert all(configured)
    code = f"from evergreen_airflow.executor import {', '.join(set().union(*configured))}"
    assert subprocess.run([sys.executable, "-c", code], env=with_plugins(), check=False).returncode == 0


def test_all_telemetry_is_off_as_soon_as_the_core_is_imported():
    code = "import include.evergreen, os, json; print(json.dumps(dict(os.environ)))"
    bare = {name: value for name, value in with_plugins().items() if name not in telemetry_off()}
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True)
    found = yaml.safe_load(done.stdout)
    assert {name: found[name] for name in telemetry_off()} == telemetry_off()


def test_the_libraries_themselves_find_their_telemetry_off():
    run_code(
        "import include.evergreen\n"
        "import mlflow.telemetry.utils as m; assert m.is_telemetry_disabled()\n"
        "from evidently.telemetry import event_logger; assert not event_logger.enabled()\n"
    )


def with_plugins() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{PROJECT_ROOT}:{PROJECT_ROOT / 'plugins'}"}


def test_text_is_read_and_written_as_utf_8_whatever_the_machine_s_locale():
    """Python's own warning of it (PEP 597) speaks only where a line runs, and ruff's rule only where it can tell a path."""
    folders = ("include", "plugins", "dags", "tools", "benchmarks")
    code = [file for folder in folders for file in (PROJECT_ROOT / folder).rglob("*.py")]
    calls = [(file, node) for file in code for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    assert [f"{file}:{node.lineno}" for file, node in calls if _is_text(node) and not _names_encoding(node)] == []


def _is_text(call):
    """Whether it reads or writes text: by its name, by a mode without b, or by what a process is started with."""
    method, name = getattr(call.func, "attr", ""), ast.unparse(call.func).rpartition(".")[2]
    modes = [argument.value for argument in call.args if isinstance(argument, ast.Constant) and isinstance(argument.value, str)]
    is_opened = name in {"open", "fdopen"} and any(set(mode) <= set("rwax+t") for mode in modes)
    return (
        method in {"read_text", "write_text"}
        or is_opened
        or any(keyword.arg == "text" and ast.unparse(keyword.value) == "True" for keyword in call.keywords)
    )


def _names_encoding(call):
    return any(keyword.arg == "encoding" for keyword in call.keywords)
