"""Ingests one partition of `benchmarks.sales` in this process, and prints what it took.

EVERGREEN_HOME=... EVERGREEN_INCLUDE=... python -m benchmarks.ingest_once
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.sales import PARTITION
from include.evergreen.config import Catalog
from include.evergreen.data import ingestion
from include.evergreen.data.validation import latest_validation
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.silent_import import import_quietly
from include.evergreen.state.database import migrate

KILOBYTES_PER_MB = 1024


def main() -> None:
    import pandas  # noqa: F401
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401

    import_quietly("great_expectations")
    import_quietly("great_expectations.expectations")
    migrate()
    dataset, partition = Catalog().dataset("sales"), DAILY.parse(PARTITION)
    before_mb = peak_mb()
    started = time.perf_counter()
    fetched = ingestion.fetch(dataset, partition)
    fetch = time.perf_counter()
    validated = ingestion.validate_partition(dataset, partition, fetched, "live")
    validate = time.perf_counter()
    version, _ = ingestion.publish(dataset, partition, validated, "live")
    publish = time.perf_counter()
    found = latest_validation("sales", partition)
    assert found is not None
    document = {
        "seconds": {"fetch": fetch - started, "validate": validate - fetch, "publish": publish - validate, "all": publish - started},
        "passed": {_name(each): each["passed"] for each in found["checks"]},
        "rows": version.source_rows,
        "quarantined": version.quarantined,
        "accepted_path": version.path,
        "quarantine_path": version.quarantine_path,
        "digest": version.digest,
        "before_mb": before_mb,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(document))


def _name(check: dict[str, object]) -> str:
    arguments = check["arguments"]
    assert isinstance(arguments, dict)
    return f"{check['expectation']}({arguments.get('column', '')})"


def peak_mb() -> float:
    """The most that this process ever held, by the kernel's count. (`getrusage` would count what its parent held before it.)"""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / KILOBYTES_PER_MB


if __name__ == "__main__":
    sys.exit(main())
