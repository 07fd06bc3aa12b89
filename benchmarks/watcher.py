"""What the watcher costs an API server: 1,000 models, 6,000 DAGs, ten nights in Airflow's database and one just now.

    python -m benchmarks.watcher [--json] [--small]

``watcher_core_share`` is the share of a core that a minute of it takes, ``queries_a_minute`` how often it asks Airflow's database. All
it must find (failures, deaths, a silent worker, a run that failed by itself) is to be alerts afterwards, and nothing else.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.parse import lay_out_fleet
from benchmarks.report import Report, arguments, run_benchmark, say
from benchmarks.scratch import run_python
from tools.embedded import airflow_settings


@dataclass(frozen=True)
class Form:
    """``nights`` of each model's six DAGs are in the database, of which the last has just ended.

    The watcher is watched for ``seconds``, and looks each ``period``, in seconds; 0: as often as it does in life.
    """

    models: int
    nights: int
    seconds: float
    period: float = 0.0


FULL = Form(1000, 10, 120)
SMALL = Form(5, 2, 0.5, period=0.2)


def main(given: list[str] | None = None) -> int:
    options = arguments(__doc__ or "").parse_args(given)
    return run_benchmark("watcher", lambda folder: _measure(folder, SMALL if options.small else FULL), as_json=options.json)


def _measure(folder: Path, form: Form) -> Report:
    lay_out_fleet(folder / "include", form.models)
    environment = {
        **airflow_settings(folder / "home", port=0),
        "EVERGREEN_INCLUDE": str(folder / "include"),
        "EVERGREEN_HOME": str(folder / "home"),
    }
    say(f"{form.models} models, {form.nights} nights of their DAGs, watched for {form.seconds:g} s")
    output = run_python("benchmarks.watcher_once", json.dumps(asdict(form)), environment=environment)
    measured: dict[str, Any] = json.loads(output.splitlines()[-1])
    found = measured.pop("alerts")
    wanted = {"task": 1, "died": 2, "run": 1}
    differences = [] if found == wanted else [f"the alerts are {found}, and should be {wanted}"]
    return Report("watcher", measured, {}, differences)


if __name__ == "__main__":
    sys.exit(main())
