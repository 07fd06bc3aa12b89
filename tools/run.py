"""`make run`: Airflow on this machine, the main job through its real scheduler, a summary, and the UI until Ctrl-C.

python -m tools.run [--once] [--port N]
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from include.evergreen.config import Catalog
from include.evergreen.errors import ConfigError, EvergreenError
from include.evergreen.settings import Settings
from tools.embedded import HOST, PREFERRED_PORT, EmbeddedAirflow, free_port
from tools.progress import Progress
from tools.story import Story
from tools.summary import print_summary

MLFLOW_PORT = 5000
PLAIN_WIDTH = 120  # of the summary where there is no terminal to ask
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 when the main job succeeded, 1 when it failed, 130 when it was interrupted."""
    options = _parse(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    try:
        with _only_one(Settings.from_environment().home):
            _run(console, once=options.once, port=options.port)
    except KeyboardInterrupt:
        console.print("\nStopped. `make run` continues from here.")
        return INTERRUPTED
    except EvergreenError as error:
        console.print(f"\n{error}", markup=False, highlight=False, style="red", soft_wrap=True)
        console.print("Nothing is left running. Once mended, `make run` continues from here; `make clean` starts over.", soft_wrap=True)
        return 1
    return 0


def _run(console: Console, *, once: bool, port: int) -> None:
    home = Settings.from_environment().home
    mlflow_port = free_port(MLFLOW_PORT)
    environment = {} if once else {"EVERGREEN_MLFLOW_UI_URL": f"http://{HOST}:{mlflow_port}"}
    airflow = EmbeddedAirflow(home, port=free_port(port), environment=environment)
    with Progress(console) as progress:
        progress.begin("Airflow starts")
        airflow.start()
        try:
            progress.done(f"Airflow is up at {airflow.url}")
            Story(airflow.api(), home / "airflow" / "logs", progress, airflow.dead_component).run()
        except BaseException:
            airflow.stop()
            raise
    try:
        console.rule()
        print_summary(console, Catalog())
        console.print("\nThe main job is done. `.venv/bin/python -m include.evergreen status` says where things stand.")
        if not once:
            _serve(console, airflow, mlflow_port)
    finally:
        airflow.stop()


def _serve(console: Console, airflow: EmbeddedAirflow, mlflow_port: int) -> None:
    """Keep the UIs up until somebody stops them."""
    tracking = Settings.from_environment().mlflow_tracking_uri
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(mlflow_port), "--workers", "1",
               "--backend-store-uri", tracking]  # fmt: skip
    with (airflow.logs / "mlflow.log").open("ab") as log:
        mlflow = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        console.print(f"Airflow's UI: [bold]{airflow.url}[/bold]   MLflow's UI: http://{HOST}:{mlflow_port}   Ctrl-C stops both.")
        threading.Event().wait()
    finally:
        os.killpg(mlflow.pid, signal.SIGTERM)
        mlflow.wait()


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Two Airflows on one home would each run the other's tasks."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"`make run` is running already on {home}. Stop it first, or set EVERGREEN_HOME to another folder."
            ) from error
        yield


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="stop everything after the main job, and exit with its status")
    parser.add_argument("--port", type=int, default=PREFERRED_PORT, help="first port to try for Airflow's UI")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
