"""Parses one DAG file as the DAG processor and the task runner do, in this process, and prints what it took as JSON.

    python -m benchmarks.parse_once DAG_FILE

With a parsing context also ``dags_alone_s``: parsing again, all modules imported and no YAML read yet. It hides nothing behind
the imports.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONTEXT = "_AIRFLOW_PARSING_CONTEXT_DAG_ID"
REPEATS = 10


def main() -> None:
    file = Path(sys.argv[1])
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"  # as both set it, before any import
    started = time.perf_counter()
    import structlog
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.dag_processing.processor import _serialize_dags

    imported = time.perf_counter()

    def parse() -> Any:
        return BundleDagBag(dag_folder=file, bundle_path=file.parent, bundle_name="dags-folder", safe_mode=False, load_op_links=False)

    bag = parse()
    parsed = time.perf_counter()
    serialized, errors = _serialize_dags(bag, structlog.get_logger())
    ended = time.perf_counter()
    peak = _peak_mb()
    from evergreen_airflow.dags.model import MODEL_DAGS

    measured = {
        "import_airflow_s": imported - started,
        "parse_s": parsed - imported,
        "serialize_s": ended - parsed,
        **({"dags_alone_s": _seconds_without_imports(parse)} if CONTEXT in os.environ else {}),
        "peak_mb": peak,
        "stages": sorted(MODEL_DAGS),
        "errors": {**bag.import_errors, **errors},
        "dags": {each.dag_id: _digest(each.data) for each in sorted(serialized, key=lambda dag: dag.dag_id)},
    }
    print(json.dumps(measured))


def _seconds_without_imports(parse: Callable[[], object]) -> float:
    """The quickest of some parses: a few milliseconds are easily disturbed."""
    from include.evergreen.config import catalog

    taken = []
    for _ in range(REPEATS):
        catalog._parsed_dataset.cache_clear()
        catalog._parsed_model.cache_clear()
        started = time.perf_counter()
        parse()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _digest(dag: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(dag, sort_keys=True, default=str).encode()).hexdigest()


def _peak_mb() -> float:
    """Of this process since it began. (``ru_maxrss`` would begin with what the parent held when it forked.)"""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main()
