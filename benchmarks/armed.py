"""What it costs to wait: 1,000 models armed in one triggerer, each observed daily for five years, and how soon a rule that trips fires.

    python -m benchmarks.armed [--json] [--small]

The triggers wait as Airflow's triggerer has them wait, on its shared streams. ``core_share`` is the share of a core that this takes while
models are observed that trip no rule (every ten seconds one), with what is due every fifteen minutes, when the rules of all are
looked at, spread over that time. ``seconds_to_fire`` is the longest time from the record of an observation that trips a rule to the
trigger's event. The plain way beside it is a poll of its own for each trigger, which looks at its model's rules each time.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.parse import lay_out_fleet
from benchmarks.report import Report, arguments, differences, run_benchmark, say
from benchmarks.scratch import run_python


@dataclass(frozen=True)
class Form:
    """So many models, observed on so many days, wait for ``seconds`` with a poll every ``poll_seconds``; then ``firings`` of them fire."""

    models: int
    days: int
    seconds: float
    poll_seconds: float
    firings: int


FULL = Form(1000, 5 * 365, 60, 5, 20)
SMALL = Form(20, 30, 1, 0.2, 3)


def main(given: list[str] | None = None) -> int:
    options = arguments(__doc__ or "").parse_args(given)
    return run_benchmark("armed", lambda folder: _measure(folder, SMALL if options.small else FULL), as_json=options.json)


def _measure(folder: Path, form: Form) -> Report:
    lay_out_fleet(folder / "include", form.models)
    environment = {"EVERGREEN_INCLUDE": str(folder / "include"), "EVERGREEN_HOME": str(folder / "home")}
    say(f"{form.models} models, observed on {form.days} days, watched for {form.seconds:g} s")
    output = run_python("benchmarks.armed_once", json.dumps(asdict(form)), environment=environment)
    measured = json.loads(output.splitlines()[-1])
    figures = measured["figures"]
    ratios = {"shared_over_own_polls": figures["core_share"] / figures["own_polls_core_share"]}
    return Report("armed", figures, ratios, differences(measured["ours"], measured["plain"], tolerance={}, where="the models that fire"))


if __name__ == "__main__":
    sys.exit(main())
