"""How DAG parsing grows with the fleet: 1, 100 and 1000 models, whole and for one task's parsing context.

    python -m benchmarks.parse [--json]

The DAG processor parses a whole file; a task parses it for its own DAG alone. Each parse has a process of its own, and is
measured from when Airflow is imported; that import, and turning DAGs into what is stored, are figures of their own. The
two contexts are of the same model, and must give the same DAG.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import Report, arguments, differences, say
from benchmarks.scratch import ROOT, MeasuredProcessError, run_python, scratch_folder
from tools.embedded import airflow_settings

FLEETS = (1, 100, 1000)
LARGEST = max(FLEETS)
TEMPLATES = ("flight_delay", "air_time")
FIRST_MODEL = "flight_delay_0000"
ROUNDS = 5
ROUNDS_OF_LARGEST = 3
DAGS_A_MODEL = 5


def main(given: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    options = parser.parse_args(given)
    try:
        with scratch_folder("parse") as folder:
            return _measure(folder).print(as_json=options.json)
    except KeyboardInterrupt:
        say("Stopped. Nothing is left running.")
        return 130
    except MeasuredProcessError as error:
        say(str(error))
        return 1


def lay_out_fleet(include: Path, models: int) -> None:
    """An include folder with ``models`` models, copies of those that ship under other names, on the datasets that ship."""
    shutil.copytree(ROOT / "include" / "datasets", include / "datasets")
    for number in range(models):
        template = TEMPLATES[number % len(TEMPLATES)]
        source, target = ROOT / "include" / "models" / template, include / "models" / f"{template}_{number:04}"
        target.mkdir(parents=True)
        declared = (source / "model.yaml").read_text().replace(f"name: {template}\n", f"name: {target.name}\n", 1)
        (target / "model.yaml").write_text(declared)
        shutil.copy(source / "features.py", target)


def _measure(folder: Path) -> Report:
    figures: dict[str, Any] = {}
    found: list[str] = []
    contexts: dict[int, dict[str, Any]] = {}
    for models in FLEETS:
        lay_out_fleet(folder / f"include-{models}", models)
    _parse(folder, 1)  # brings Airflow into the disk's cache
    for models in FLEETS:
        rounds = ROUNDS_OF_LARGEST if models == LARGEST else ROUNDS
        say(f"{models} model{'s' * (models > 1)}: parsed whole, {rounds} times")
        whole = _median_of([_parse(folder, models) for _ in range(rounds)])
        found += _unexpected(whole, models)
        figures[f"whole_{models}_s"] = whole["parse_s"]
        figures[f"whole_{models}_serialize_s"] = whole["serialize_s"]
        figures[f"whole_{models}_peak_mb"] = whole["peak_mb"]
    for models in (1, LARGEST):
        say(f"{models} model{'s' * (models > 1)}: parsed for one task, {ROUNDS} times")
        contexts[models] = _median_of([_parse(folder, models, dag_id=f"{FIRST_MODEL}.train", task_id="gate") for _ in range(ROUNDS)])
        figures[f"one_context_of_{models}_ms"] = contexts[models]["parse_s"] * 1000
        figures[f"one_context_of_{models}_dags_alone_ms"] = contexts[models]["dags_alone_s"] * 1000
        figures[f"one_context_of_{models}_peak_mb"] = contexts[models]["peak_mb"]
    figures["import_airflow_s"] = contexts[1]["import_airflow_s"]
    figures["peak_mb"] = max(value for name, value in figures.items() if name.endswith("_peak_mb"))
    found += differences(contexts[1]["dags"], contexts[LARGEST]["dags"], tolerance={}, where="the DAG that one task parses")
    ratios = {
        f"one_context_of_{LARGEST}_over_1": contexts[LARGEST]["parse_s"] / contexts[1]["parse_s"],
        f"one_context_of_{LARGEST}_over_1_dags_alone": contexts[LARGEST]["dags_alone_s"] / contexts[1]["dags_alone_s"],
    }
    return Report("parse", figures, ratios, found)


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


def _median_of(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure; what is no figure is the same in every round."""
    return {
        name: statistics.median(each[name] for each in rounds) if isinstance(value, float) else value for name, value in rounds[0].items()
    }


def _unexpected(whole: dict[str, Any], models: int) -> list[str]:
    found = [f"{models} models: {file}: {error[-300:]}" for file, error in whole["errors"].items()]
    if len(whole["dags"]) != DAGS_A_MODEL * models:
        found.append(f"{models} models gave {len(whole['dags'])} DAGs; expected {DAGS_A_MODEL} for each")
    return found


if __name__ == "__main__":
    sys.exit(main())
