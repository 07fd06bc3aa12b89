"""The memory that a verdict takes, in a process of its own.

    python -m benchmarks.drift_once FILE ROWS COLUMNS

FILE is Parquet, as scorings write it, of ROWS rows with COLUMNS columns of `benchmarks.drift`. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.drift import batches, reference_of, verdict
from benchmarks.ingest_once import peak_mb


def main(file: str, rows: str, columns: str) -> int:
    verdict(reference_of(int(columns)), batches(Path(file)), int(rows))
    print(json.dumps({"peak_mb": peak_mb()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
