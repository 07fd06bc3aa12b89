"""How DAG parsing grows with the fleet: 1, 100 and 1000 models, whole and for one task's parsing context.

    python -m benchmarks.parse [--json] [--small]

The DAG processor parses a whole file; a task parses it for its own DAG alone. Each parse has a process of its own, and is
measured from when Airflow is imported; that import, and turning DAGs into what is stored, are figures of their own. The
two contexts are of the same model, and must give the same DAG.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import Report, arguments, differences, run_benchmark, say
from benchmarks.scratch import FORKED, ROOT, run_python
from tools.embedded import airflow_settings

TEMPLATES = ("flight_delay", "air_time")
FIRST_MODEL = "flight_delay_0000"


@dataclass(frozen=True)
class Form:
    """``fleets`` are numbers of models, the smallest first; each is parsed whole so many times, and ``rounds`` times for one task."""

    fleets: dict[int, int]
    rounds: int
    rehearses: bool  # first, which brings Airflow into the disk's cache


FULL = Form({1: 5, 100: 5, 1000: 3}, rounds=5, rehearses=True)
SMALL = Form({1: 1, 2: 1}, rounds=1, rehearses=False)


def main(given: list[str] | None = None) -> int:
    options = arguments(__doc__ or "").parse_args(given)
    return run_benchmark("parse", lambda folder: _measure(folder, SMALL if options.small else FULL), as_json=options.json)


def lay_out_fleet(include: Path, models: int) -> None:
    """An include folder with ``models`` models, copies of those that ship under other names, on the datasets that ship."""
    shutil.copytree(ROOT / "include" / "datasets", include / "datasets")
    for number in range(models):
        template = TEMPLATES[number % len(TEMPLATES)]
        source, target = ROOT / "include" / "models" / template, include / "models" / f"{template}_{number:04}"
        target.mkdir(parents=True)
        declared = (source / "model.yaml").read_text(encoding="utf-8").replace(f"name: {template}\n", f"name: {target.name}\n", 1)
        (target / "model.yaml").write_text(declared, encoding="utf-8")
        shutil.copy(source / "features.py", target)


def _measure(folder: Path, form: Form) -> Report:
    figures: dict[str, Any] = {}
    found: list[str] = []
    contexts: dict[int, dict[str, Any]] = {}
    for models in form.fleets:
        lay_out_fleet(folder / f"include-{models}", models)
    if FORKED in os.environ:
        _import_for_all(folder)
    if form.rehearses:
        _parse(folder, 1)
    for models, rounds in form.fleets.items():
        say(f"{models} model{'s' * (models > 1)}: parsed whole, {rounds} time{'s' * (rounds > 1)}")
        whole = _median_round([_parse(folder, models) for _ in range(rounds)])
        found += _unexpected(folder / f"include-{models}", whole)
        figures[f"whole_{models}_s"] = whole["parse_s"]
        figures[f"whole_{models}_serialize_s"] = whole["serialize_s"]
        figures[f"whole_{models}_peak_mb"] = whole["peak_mb"]
    smallest, largest = min(form.fleets), max(form.fleets)
    for models in (smallest, largest):
        say(f"{models} model{'s' * (models > 1)}: parsed for one task, {form.rounds} time{'s' * (form.rounds > 1)}")
        rounds_of_one = [_parse(folder, models, dag_id=f"{FIRST_MODEL}.train", task_id="gate") for _ in range(form.rounds)]
        contexts[models] = _median_round(rounds_of_one)
        figures[f"one_context_of_{models}_ms"] = contexts[models]["parse_s"] * 1000
        figures[f"one_context_of_{models}_dags_alone_ms"] = contexts[models]["dags_alone_s"] * 1000
        figures[f"one_context_of_{models}_peak_mb"] = contexts[models]["peak_mb"]
    figures["import_airflow_s"] = contexts[smallest]["import_airflow_s"]
    figures["peak_mb"] = max(value for name, value in figures.items() if name.endswith("_peak_mb"))
    found += differences(contexts[smallest]["dags"], contexts[largest]["dags"], tolerance={}, where="the DAG that one task parses")
    ratios = {
        f"one_context_of_{largest}_over_{smallest}": contexts[largest]["parse_s"] / contexts[smallest]["parse_s"],
        f"one_context_of_{largest}_over_{smallest}_dags_alone": contexts[largest]["dags_alone_s"] / contexts[smallest]["dags_alone_s"],
    }
    return Report("parse", figures, ratios, found)


def _import_for_all(folder: Path) -> None:
    """What each process imports, as `benchmarks.parse_once` does, for those that are forked from this one."""
    os.environ |= {**airflow_settings(folder / "home", port=0), "_AIRFLOW_PROCESS_CONTEXT": "client"}
    import airflow.dag_processing.dagbag
    import airflow.dag_processing.processor  # noqa: F401


def _parse(folder: Path, models: int, *, dag_id: str = "", task_id: str = "") -> dict[str, Any]:
    """What `benchmarks.parse_once` measured in a process of its own."""
    environment = {
        **airflow_settings(folder / "home", port=0),
        "EVERGREEN_INCLUDE": str(folder / f"include-{models}"),
    }
    if dag_id:  # as Airflow's task runner sets them
        environment |= {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": dag_id, "_AIRFLOW_PARSING_CONTEXT_TASK_ID": task_id}
    output = run_python("benchmarks.parse_once", ROOT / "dags" / "models.py", environment=environment)
    measured: dict[str, Any] = json.loads(output.splitlines()[-1])
    return measured


def _median_round(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure; what is no figure is the same in every round."""
    return {
        name: statistics.median(each[name] for each in rounds) if isinstance(value, float) else value for name, value in rounds[0].items()
    }


def _unexpected(include: Path, whole: dict[str, Any]) -> list[str]:
    """In words, what failed, and the DAGs that are missing or too many: a fleet has each of a model's DAGs for each model."""
    models = [each.name for each in (include / "models").iterdir()]
    expected = {f"{model}.{stage}" for model in models for stage in whole["stages"]}
    found = [f"{len(models)} models: {file}: {error[-300:]}" for file, error in whole["errors"].items()]
    return found + [f"{len(models)} models: only one side has the DAG {name}" for name in sorted(expected ^ set(whole["dags"]))]


if __name__ == "__main__":
    sys.exit(main())
