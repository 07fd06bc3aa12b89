"""`make run`: start Airflow on this machine, run the main job through its scheduler, print a summary, and serve the UI until Ctrl-C.

python -m tools.run [--once] [--port N]
"""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from include.evergreen.config import Catalog
from include.evergreen.foundation.garbage import collect_seldom
from include.evergreen.foundation.settings import Settings
from tools.embedded import PREFERRED_PORT, EmbeddedAirflow, free_port
from tools.example import require_example
from tools.progress import Progress
from tools.session import MLFLOW_PORT, mlflow_ui_at, run_command, serve_until_stopped, stop
from tools.story import Story
from tools.summary import print_summary


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0 if the main job succeeded, 1 if it failed, 130 if it was interrupted."""
    options = _parse(arguments)
    return run_command("make run", lambda console: _run(console, once=options.once, port=options.port))


def _run(console: Console, *, once: bool, port: int) -> None:
    require_example(Catalog())
    home = Settings.from_environment().home
    mlflow_port = free_port(MLFLOW_PORT)
    airflow = EmbeddedAirflow(home, port=free_port(port), environment={} if once else mlflow_ui_at(mlflow_port))
    try:
        with Progress(console) as progress:
            progress.begin("Starting Airflow")
            airflow.start()
            progress.done(f"Airflow is up at {airflow.url}")
            Story(airflow.api(), home / "airflow" / "logs", progress, airflow.dead_component).run()
        console.rule()
        print_summary(console, Catalog())
        console.print("\nThe main job is done. `.venv/bin/evergreen status` shows the current state.")
        if not once:
            serve_until_stopped(console, airflow, mlflow_port)
    finally:
        stop(airflow)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="stop everything after the main job and exit with its status")
    parser.add_argument("--port", type=int, default=PREFERRED_PORT, help="first port to try for Airflow's UI")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    collect_seldom()
    sys.exit(main())
