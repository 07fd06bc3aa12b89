"""`make serve`: start Airflow and MLflow's UI on this machine for all declared datasets and models, until Ctrl-C.

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
from include.evergreen.foundation.garbage import collect_seldom
from include.evergreen.foundation.settings import Settings
from tools.embedded import PREFERRED_PORT, EmbeddedAirflow, free_port
from tools.progress import Progress
from tools.session import MLFLOW_PORT, mlflow_ui_at, run_command, say, serve_until_stopped, stop
from tools.switches import Switches

PARSE_EVERY_SECONDS = 20  # so that the DAGs of a file that was just saved appear soon
PARSE_TIMEOUT_SECONDS = 120
POLL_SECONDS = 0.4
PROBLEMS_SHOWN = 5


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0 if stopped while serving, 1 if something failed, 130 if interrupted during startup."""
    options = _parse(arguments)
    return run_command("make serve", lambda console: _serve(console, options.port))


def _serve(console: Console, port: int) -> None:
    _report_problems(console)
    mlflow_port = free_port(MLFLOW_PORT)
    parsing = {f"AIRFLOW__DAG_PROCESSOR__{key}": str(PARSE_EVERY_SECONDS) for key in ("MIN_FILE_PROCESS_INTERVAL", "REFRESH_INTERVAL")}
    environment = {**mlflow_ui_at(mlflow_port), **parsing}
    airflow = EmbeddedAirflow(Settings.from_environment().home, port=free_port(port), environment=environment)
    try:
        with Progress(console) as progress:
            progress.begin("Starting Airflow")
            airflow.start()
            progress.done(f"Airflow is up at {airflow.url}")
            switches = Switches(airflow.api(), lambda message: say(console, message))
            _wait_for_dags(switches, progress)
        switches.update()
        serve_until_stopped(console, airflow, mlflow_port, switches.update_periodically)
    finally:
        stop(airflow)


def _report_problems(console: Console) -> None:
    """Print what is wrong with the declarations. Invalid files affect only their own DAGs, so the rest is served."""
    problems = check_catalog(Catalog())
    for problem in problems[:PROBLEMS_SHOWN]:
        say(console, problem, style="red")
    if problems:
        more = f" ({len(problems) - PROBLEMS_SHOWN} more: see `evergreen check`)" if len(problems) > PROBLEMS_SHOWN else ""
        say(console, f"Airflow serves everything else. Fix these problems{more}; the files are parsed every {PARSE_EVERY_SECONDS} s.")


def _wait_for_dags(switches: Switches, progress: Progress) -> None:
    """Wait until Airflow has parsed all DAGs, or for the timeout."""
    progress.begin("Waiting for Airflow to parse the DAGs")
    deadline = time.monotonic() + PARSE_TIMEOUT_SECONDS
    while (unparsed := switches.unparsed()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    progress.done("All DAGs are parsed" if not unparsed else f"Airflow has not parsed {listed(sorted(unparsed))} yet, and keeps trying")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=PREFERRED_PORT, help="first port to try for Airflow's UI")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    collect_seldom()
    sys.exit(main())
