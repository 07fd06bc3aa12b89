"""What `make run` and `make serve` share: one Airflow per home, serving the UIs until stopped, and a clean shutdown."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from include.evergreen.foundation.errors import ConfigError, EvergreenError, TransientError
from include.evergreen.foundation.settings import Settings
from tools.embedded import HOST, EmbeddedAirflow

MLFLOW_PORT = 5000
PLAIN_WIDTH = 120  # characters, for tables without a terminal
INTERRUPTED = 130
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_EVERY_SECONDS = 1.0


class AlreadyRunningError(ConfigError):
    """Another Airflow is running on this home."""


def run_command(command: str, body: Callable[[Console], None]) -> int:
    """Run ``body`` and return the exit status of ``command``, such as ``make run``: 0, 1 if it failed, 130 if it was interrupted."""
    for number in STOP_SIGNALS:
        signal.signal(number, _interrupt)
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    try:
        with only_one(Settings.from_environment().home, command):
            body(console)
    except KeyboardInterrupt:
        say(console, f"\nStopped. Run `{command}` again to continue from here.")
        return INTERRUPTED
    except AlreadyRunningError as error:
        say(console, f"{error}", style="red")
        return 1
    except EvergreenError as error:
        say(console, f"\n{error}", style="red")
        say(
            console,
            f"All processes are stopped. Fix the problem and run `{command}` again to continue from here, or `make clean` to start over.",
        )
        return 1
    return 0


@contextmanager
def only_one(home: Path, command: str) -> Iterator[None]:
    """Lock the home: two Airflows on one home would run each other's tasks. Raises `AlreadyRunningError`."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "run.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise AlreadyRunningError(
                f"{lock.read().strip() or 'Another command'} is already running on {home}. "
                f"Stop it first, or set EVERGREEN_HOME to another folder."
            ) from error
        lock.truncate(0)
        lock.write(f"`{command}` (process {os.getpid()})")
        lock.flush()
        yield


def mlflow_ui_at(port: int) -> dict[str, str]:
    """Return the environment in which Airflow's links open MLflow's UI."""
    return {"EVERGREEN_MLFLOW_UI_URL": f"http://{HOST}:{port}"}


def mlflow_command(port: int) -> list[str]:
    """Return the command that serves MLflow's UI on ``port``."""
    return [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]


def serve_until_stopped(console: Console, airflow: EmbeddedAirflow, mlflow_port: int, look: Callable[[], None] = lambda: None) -> None:
    """Start MLflow's UI and serve both until Ctrl-C, SIGTERM or SIGHUP. ``look`` is called every second.

    Raises `TransientError` if a process exits unexpectedly. The caller stops ``airflow``.
    """
    airflow.start_beside(
        "mlflow",
        mlflow_command(mlflow_port),
        MLFLOW_BACKEND_STORE_URI=Settings.from_environment().mlflow_tracking_uri,  # `ps` shows arguments, and it may hold a password
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",  # otherwise it starts eight helper processes of 280 MB each
    )
    ticker = threading.Event()
    try:
        console.print(f"Airflow's UI: [bold]{airflow.url}[/bold]   MLflow's UI: http://{HOST}:{mlflow_port}   Press Ctrl-C to stop both.")
        while not ticker.wait(LOOK_EVERY_SECONDS):
            if dead := airflow.dead_component():
                raise TransientError(f"The process {dead} exited unexpectedly. Log: {airflow.logs / f'{dead}.log'}")
            look()
    except KeyboardInterrupt:
        say(console, "\nStopping Airflow and MLflow.")


def say(console: Console, message: str, style: str | None = None) -> None:
    """Print a message without markup."""
    with contextlib.suppress(OSError):  # the terminal may be closed
        console.print(message, markup=False, highlight=False, style=style, soft_wrap=True)


def stop(airflow: EmbeddedAirflow) -> None:
    """Stop all processes of ``airflow``, ignoring further signals."""
    _ignore_signals()
    airflow.stop()


def _ignore_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Stop on the first signal. Further signals must not interrupt the shutdown."""
    _ignore_signals()
    raise KeyboardInterrupt
