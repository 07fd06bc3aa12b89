"""`make serve`: Airflow and MLflow's UI on this machine, over what is declared, until Ctrl-C; no story is told.

python -m tools.serve [--port N]
"""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console

from include.evergreen.config import Catalog
from include.evergreen.config.check import check_catalog
from include.evergreen.config.wording import listed
from include.evergreen.foundation.settings import Settings
from tools.embedded import PREFERRED_PORT, EmbeddedAirflow, free_port
from tools.progress import Progress
from tools.session import MLFLOW_PORT, mlflow_ui_at, run_command, say, serve_until_stopped, stop
from tools.switches import Switches

PARSE_EVERY_SECONDS = 20  # somebody waits for the DAGs of the file that was just saved
PARSE_TIMEOUT_SECONDS = 120
POLL_SECONDS = 0.4
PROBLEMS_SHOWN = 5


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 when it was stopped while it served, 1 when something failed, 130 when it was stopped before that."""
    options = _parse(arguments)
    return run_command("make serve", lambda console: _serve(console, options.port))


def _serve(console: Console, port: int) -> None:
    _say_what_is_wrong(console)
    mlflow_port = free_port(MLFLOW_PORT)
    often = {f"AIRFLOW__DAG_PROCESSOR__{key}": str(PARSE_EVERY_SECONDS) for key in ("MIN_FILE_PROCESS_INTERVAL", "REFRESH_INTERVAL")}
    environment = {**mlflow_ui_at(mlflow_port), **often}
    airflow = EmbeddedAirflow(Settings.from_environment().home, port=free_port(port), environment=environment)
    try:
        with Progress(console) as progress:
            progress.begin("Airflow starts")
            airflow.start()
            progress.done(f"Airflow is up at {airflow.url}")
            switches = Switches(airflow.api(), lambda words: say(console, words))
            _wait_for_dags(switches, progress)
        switches.look()
        serve_until_stopped(console, airflow, mlflow_port, switches.look_now_and_then)
    finally:
        stop(airflow)


def _say_what_is_wrong(console: Console) -> None:
    """Bad files fail their own DAGs alone, so the rest is served."""
    problems = check_catalog(Catalog())
    for problem in problems[:PROBLEMS_SHOWN]:
        say(console, problem, style="red")
    if problems:
        more = f" ({len(problems) - PROBLEMS_SHOWN} more: see `evergreen check`)" if len(problems) > PROBLEMS_SHOWN else ""
        say(console, f"Mend these{more} while Airflow serves the rest: it reads the files again every {PARSE_EVERY_SECONDS} s.")


def _wait_for_dags(switches: Switches, progress: Progress) -> None:
    """Until Airflow has read what is declared; after a while it is served as far as it was read."""
    progress.begin("Airflow reads the DAGs")
    deadline = time.monotonic() + PARSE_TIMEOUT_SECONDS
    while (unread := switches.unread()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    progress.done("The DAGs are read" if not unread else f"Airflow has not read {listed(sorted(unread))} yet; it goes on trying")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=PREFERRED_PORT, help="first port to try for Airflow's UI")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
