"""That a rule which trips fires once, and starts one training, whatever happens meanwhile: trials with misfortunes drawn by a seed.

    python -m benchmarks.exactly_once [--json] [--small] [--trials N] [--seed N] [--database sqlite|postgresql]

Each trial has a model of its own, which is armed and then observed so that its rule trips. What is ours is real: the trigger in Airflow's
shared streams, the sensor, the task that triggers the training, the database (SQLite, then PostgreSQL), and processes that are killed
with SIGKILL. Airflow's server is a folder in which each run is one file, made at most once, as its API makes runs. Drawn, in any
combination:

- *two armed*: two processes wait for the same model, as when a triggerer has lost its heartbeat;
- *killed while armed*, or *as it fires*: at a random moment within half a second after the observation; then another takes its place,
  and goes on where Airflow would;
- *slow*: the call for the training takes ten polls;
- *refused*: the call for the training fails at the last moment, with or without the run made, or each time, so that the task fails;
- *cleared*: the whole run, or its last task, is run again by hand, once or twice;
- *written twice*: the tripping observation is recorded again, one after the other or by two processes at once;
- *the clock moved*: by hours, days, or a year, ahead or back, before the observation or after the firing;
- *backfilled*: figures that would trip were recorded by a backfill before; they must fire nothing.

Every trial ends with two more looks, each a day later, while its training runs; then the gate decides, and two more follow. There must
be one firing with its entry in the ledger, and one training run. ``failed_runs`` is the number of runs of the retraining DAG that would
fail while the poll raises for a minute; the rule must fire afterwards.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.parse import lay_out_fleet
from benchmarks.report import Report, arguments, run_benchmark, say
from benchmarks.scratch import run_python
from tools.postgresql import PostgreSQL

DATABASES = ("sqlite", "postgresql")
TRIALS, SMALL_TRIALS = 100, 4
FAILING_SECONDS, SMALL_FAILING_SECONDS = 60.0, 0.5


def main(given: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"on each database (default: {TRIALS})")
    parser.add_argument("--seed", type=int, default=1, help="of the first trial; another one gives other misfortunes")
    parser.add_argument("--database", choices=DATABASES, help="one of the two (default: both)")
    options = parser.parse_args(given)
    databases = (options.database,) if options.database else DATABASES[:1] if options.small else DATABASES
    form = {"trials": SMALL_TRIALS if options.small else options.trials, "seed": options.seed}
    form["failing_seconds"] = SMALL_FAILING_SECONDS if options.small else FAILING_SECONDS
    return run_benchmark("exactly_once", lambda folder: _measure(folder, databases, form), as_json=options.json)


def _measure(folder: Path, databases: tuple[str, ...], form: dict[str, Any]) -> Report:
    lay_out_fleet(folder / "include", form["trials"] + 1)
    figures: dict[str, Any] = {}
    wrong: list[str] = []
    for name in databases:
        with _database(name) as url:
            say(f"{name}: {form['trials']} trials")
            environment = {"EVERGREEN_INCLUDE": str(folder / "include"), "EVERGREEN_HOME": str(folder / name), **url}
            document = json.dumps({**form, "airflow": str(folder / name / "airflow")})
            measured = json.loads(run_python("benchmarks.exactly_once_trials", document, environment=environment).splitlines()[-1])
        figures[name] = measured["figures"]
        wrong += [f"{name}: {words}" for words in measured["wrong"]]
    return Report("exactly_once", figures, {}, wrong)


@contextmanager
def _database(name: str) -> Iterator[dict[str, str]]:
    if name == "sqlite":
        yield {}
        return
    with PostgreSQL() as server:
        yield {"EVERGREEN_DATABASE_URL": server.new_database("evergreen")}


if __name__ == "__main__":
    sys.exit(main())
