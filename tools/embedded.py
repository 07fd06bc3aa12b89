"""An embedded Airflow on this machine: SQLite, LocalExecutor, loopback only.

`make run`, the scheduler tests and the benchmarks all use it, so that they test what is run.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from evergreen_airflow.capacity import triggerer_capacity
from include.evergreen import read_variables, telemetry_off
from include.evergreen.foundation.errors import TransientError
from tools.guard import Guard
from tools.rest import AirflowApi

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
PREFERRED_PORT = 8080
PORTS_TRIED = 20
AIRFLOW = (sys.executable, "-m", "tools.airflow")
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
READY_TIMEOUT_SECONDS = 600  # on a machine that others keep busy; a component that ended is told at once
STOP_TIMEOUT_SECONDS = 20
DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
LOCK_SECONDS = 60  # what waits for SQLite's write lock waits for so long; the default is 5


@dataclass
class EmbeddedAirflow:
    """Airflow's four processes under one home, started and stopped together.

    ``home`` contains everything that this Airflow and Evergreen write. ``environment`` extends or overrides the settings made here.
    As a context manager it leaves no process behind, however the block ends, even if this process is killed.
    """

    home: Path
    port: int | None = None
    dags_folder: Path = ROOT / "dags"
    environment: dict[str, str] = field(default_factory=dict)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False)
    _logs: list[IO[bytes]] = field(default_factory=list, init=False)
    _guard: Guard | None = field(default=None, init=False)

    def __enter__(self) -> EmbeddedAirflow:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def logs(self) -> Path:
        """Folder of the processes' own logs, one file for each."""
        return self.home / "airflow" / "processes"

    def api(self) -> AirflowApi:
        return AirflowApi(self.url)

    def start(self) -> None:
        """Migrate Airflow's database, start its processes, and wait until all four are healthy."""
        self.port = self.port or free_port()
        environment = self._environment()
        self.logs.mkdir(parents=True, exist_ok=True)
        try:
            self._migrate(environment)
            for name in COMPONENTS:
                self._start_component(name, environment)
            self._wait_until_healthy()
        except BaseException:
            self.stop()
            raise

    def start_beside(self, name: str, command: list[str], **environment: str) -> None:
        """Start an additional process, which is monitored and stopped with the others and logs to a file of its name."""
        self._start_process(name, command, {**self._environment(), **environment})

    def kill(self, name: str) -> None:
        """Kill one of the four, with all that it started, as an outage would."""
        _signal_group(self._processes[name], signal.SIGKILL)
        self._processes[name].wait()

    def start_again(self, *names: str) -> None:
        """Start those that were killed, and wait until all four are healthy."""
        for name in names:
            self._start_component(name, self._environment())
        self._wait_until_healthy()

    def stop(self) -> None:
        """Stop every process group that was started here: with SIGTERM first, then with SIGKILL."""
        for process in self._processes.values():
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        for process in self._processes.values():
            _signal_group(process, signal.SIGKILL)  # workers and helpers outlive their parent
            process.wait()
        for log in self._logs:
            log.close()
        if self._guard is not None:
            self._guard.dismiss()
        self._guard = None
        self._processes.clear()
        self._logs.clear()

    def dead_component(self) -> str | None:
        """Return the name of a process that exited unexpectedly, or None."""
        return next((name for name, process in self._processes.items() if process.poll() is not None), None)

    def _environment(self) -> dict[str, str]:
        settings = airflow_settings(self.home, self.port or 0, self.dags_folder)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}  # may belong to another Airflow
        return {**inherited, **telemetry_off(), **settings, **self.environment}

    def _migrate(self, environment: dict[str, str]) -> None:
        log = self._open_log("migrate")
        done = subprocess.run([*AIRFLOW, "db", "migrate"], env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise TransientError(
                f"Airflow's database under {self.home} could not be migrated (exit code {done.returncode}). "
                f"Read {self.logs / 'migrate.log'}."
            )

    def _start_component(self, name: str, environment: dict[str, str]) -> None:
        arguments = {"api-server": ["--host", HOST, "--port", str(self.port), "--workers", "1"]}.get(name, [])
        if name in {"scheduler", "triggerer"}:
            arguments = ["--skip-serve-logs"]  # the log server listens on every interface; local logs are read from disk
        if name == "triggerer":
            arguments += ["--capacity", str(triggerer_capacity(environment))]
        if name != "api-server":
            environment = {**environment, DATABASE: _patient(environment[DATABASE])}
        self._start_process(name, [*AIRFLOW, name, *arguments], environment)

    def _start_process(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self._guard = self._guard or Guard()
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=ROOT,
            stdout=self._open_log(name),
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._processes[name] = process
        self._guard.watch(process.pid)

    def _open_log(self, name: str) -> IO[bytes]:
        log = (self.logs / f"{name}.log").open("ab")
        self._logs.append(log)
        return log

    def _wait_until_healthy(self) -> None:
        api = self.api()
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if dead := self.dead_component():
                raise TransientError(
                    f"Airflow's {dead} exited during startup (exit code {self._processes[dead].returncode}). "
                    f"Read {self.logs / f'{dead}.log'}."
                )
            if not (waiting := api.unhealthy_components()):
                self._wake_execution_api()
                return
            time.sleep(0.3)
        raise TransientError(
            f"Airflow is not up after {READY_TIMEOUT_SECONDS} s; still waiting for {', '.join(waiting)}. Read {self.logs}."
        )

    def _wake_execution_api(self) -> None:
        """Have the API that tasks call built now. Airflow builds it in the event loop, at the first task's call, in up to 20 s of a busy
        machine; whoever has SQLite's write lock at that moment keeps it for as long, and the scheduler gives up on it.
        """
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{self.url}/execution/health", timeout=READY_TIMEOUT_SECONDS).close()


def airflow_settings(home: Path, port: int, dags_folder: Path = ROOT / "dags") -> dict[str, str]:
    """Return the environment of an embedded Airflow: only the settings that differ from Airflow's defaults."""
    airflow_home = home / "airflow"
    airflow_home.mkdir(parents=True, exist_ok=True)
    secret = _secret(airflow_home / "secret")
    cores = os.cpu_count() or 2
    values: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": dags_folder,
            "plugins_folder": ROOT / "plugins",
            "executor": "evergreen_airflow.executor.PreloadingLocalExecutor",
            "parallelism": cores,
            "load_examples": False,
            "simple_auth_manager_all_admins": True,
            "execution_api_server_url": f"http://{HOST}:{port}/execution/",
            "fernet_key": "",
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{airflow_home}/airflow.db"},
        "logging": {"base_log_folder": airflow_home / "logs"},
        "api": {"base_url": f"http://{HOST}:{port}", "secret_key": secret},
        "api_auth": {"jwt_secret": secret},
        "scheduler": {
            "scheduler_idle_sleep_time": 0.01,  # our executor does the waiting, and wakes up when a task ends
            "enable_health_check": False,
        },
        "dag_processor": {
            "min_file_process_interval": 120,
            "refresh_interval": 120,
            "print_stats_interval": 0,
        },
    }
    environment = {
        f"AIRFLOW__{section.upper()}__{key.upper()}": str(value) for section, keys in values.items() for key, value in keys.items()
    }
    return {
        **read_variables(ROOT / "docker" / "airflow.env"),
        **environment,
        "AIRFLOW_HOME": str(airflow_home),
        "EVERGREEN_HOME": str(home),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONWARNINGS": "ignore:GitWildMatchPattern",  # a warning from Airflow's use of pathspec, in every task's log
    }


def _patient(database: str) -> str:
    """Let a process wait for SQLite's write lock, rather than end with "database is locked" after five seconds.

    Not for the API server: while its event loop waits for the lock to write its audit log, none of its requests can release it.
    """
    return f"{database}?timeout={LOCK_SECONDS}" if database.startswith("sqlite:") and "?" not in database else database


def free_port(preferred: int = PREFERRED_PORT) -> int:
    """Return the first free port from ``preferred`` on. Raises `TransientError` that names the ports that were tried."""
    for port in range(preferred, preferred + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise TransientError(
        f"No free port for Airflow's UI: {preferred}-{preferred + PORTS_TRIED - 1} on {HOST} are all in use. "
        f"Stop the processes that use them, or set another first port with `make run PORT=...`."
    )


def _secret(path: Path) -> str:
    """Return the secret shared by all processes of one home. It is created once and readable by its owner only."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text(encoding="utf-8")


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
