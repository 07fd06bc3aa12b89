"""How quickly the inbox answers: 100,000 alerts of which 10,000 are open, beside Airflow's own list of as many task instances.

    python -m benchmarks.inbox [--json] [--small]

Both are asked through one API server's app in one process, by a user who may read every DAG and by one who may read a tenth of them:
lists, filters, a search, counts, the page itself, and acknowledging. ``p95`` is the slowest but five of a hundred requests.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import Report, arguments, run_benchmark, say
from benchmarks.scratch import run_python
from tools.embedded import airflow_settings


@dataclass(frozen=True)
class Form:
    """So many alerts, of which ``opened`` are open, of so many DAGs; each kind of request is made ``requests`` times."""

    alerts: int
    opened: int
    dags: int
    requests: int


FULL = Form(100_000, 10_000, 1_000, 100)
SMALL = Form(500, 100, 20, 4)


def main(given: list[str] | None = None) -> int:
    options = arguments(__doc__ or "").parse_args(given)
    return run_benchmark("inbox", lambda folder: _measure(folder, SMALL if options.small else FULL), as_json=options.json)


def _measure(folder: Path, form: Form) -> Report:
    environment = {
        **airflow_settings(folder / "home", port=0),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "EVERGREEN_HOME": str(folder / "home"),
        "EVERGREEN_WATCH": "off",
    }
    say(f"{form.alerts} alerts, {form.opened} of them open, {form.requests} requests of each kind")
    output = run_python("benchmarks.inbox_once", json.dumps(asdict(form)), environment=environment)
    measured: dict[str, Any] = json.loads(output.splitlines()[-1])
    differences = [
        f"{side} listed {found}, and should have listed {form.opened}"
        for side, found in measured.pop("listed").items()
        if found != form.opened
    ]
    ratios = {"list_over_airflow": measured["p95_list_ms"] / measured["airflow_p95_list_ms"]}
    return Report("inbox", measured, ratios, differences)


if __name__ == "__main__":
    sys.exit(main())
