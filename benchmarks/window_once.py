"""Years of partitions, of which features ask for three columns over the last days: what is read of the disk.

    python -m benchmarks.window_once FOLDER ROWS_A_DAY DAYS_BEFORE DAYS_ASKED

Prints one JSON object. Bytes are the kernel's count of what this process read (`/proc/self/io`), between the opening of the
reader and the frame that it gives.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import sales
from benchmarks.scratch import ROOT, use_home
from include.evergreen.config import Catalog
from include.evergreen.config.models import Input
from include.evergreen.data.partitions import current_partitions, publish_partition
from include.evergreen.data.partitions.files import RowWriter, arrow_schema, write_in_order
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.features.reader import PointInTimeReader
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.foundation.span import Span
from include.evergreen.state import storage
from include.evergreen.state.database import migrate

LAST_DAY = "2013-12-31"
COLUMNS = ["shop", "price", "quantity"]


def main(folder: str, rows_a_day: str, days_before: str, days_asked: str) -> None:
    rows, asked = int(rows_a_day), int(days_asked)
    days = DAILY.between(DAILY.shift(LAST_DAY, -(asked - 1 + int(days_before))), LAST_DAY)
    use_home(Path(folder))
    migrate()
    sales.declare(Path(folder) / "include", suffix="csv")
    _publish(Path(folder), rows, days)
    model = Catalog(ROOT / "include").model("flight_delay").model_copy(
        update={"rows": "sales", "inputs": (Input(dataset="sales", lag=Span(1, "day"), window=Span(asked, "day")),)}
    )  # fmt: skip
    whole = sum(Path(folder, "storage", each.path).stat().st_size for each in current_partitions("sales"))
    cache = PartitionCache("2014-01-01", model=model)
    reader = PointInTimeReader(model, "2014-01-01", cache)
    before, started = _bytes_read(), time.perf_counter()
    frame = reader.window("sales", asked, columns=COLUMNS)
    read, seconds = _bytes_read() - before, time.perf_counter() - started
    document: dict[str, Any] = {
        "days": len(days),
        "days_read": len(cache.read),
        "rows": len(frame),
        "columns": sorted(frame.columns),
        "bytes_of_partitions": whole,
        "bytes_read": read,
        "seconds": seconds,
    }
    assert len(frame) == asked * rows
    assert len(cache.read) == asked
    print(json.dumps(document))
    shutil.rmtree(folder)


def _publish(folder: Path, count: int, days: list[Partition]) -> None:
    """The same rows on each of the days, under a digest of their own by the order's number."""
    dataset = Catalog(folder / "include").dataset("sales")
    rows = next(sales.sales(count)).cast(arrow_schema(dataset))
    with RowWriter(rows.schema) as writer:
        write_in_order(writer, lambda _: iter(rows.to_batches()), dataset.keys)
        digest = writer.digest()
        content = Path(writer.finish()).read_bytes()
    for day in days:
        path = f"datasets/sales/{day}/{digest[:16]}.parquet"
        storage.write_bytes(path, content)
        publish_partition(
            dataset="sales",
            partition=day,
            content={"digest": digest, "path": path, "rows": count, "quarantine_digest": "", "quarantine_path": "", "quarantined": 0,
                     "source_rows": count},
            known_at=lambda _, day=day: DAILY.start(day) + dt.timedelta(days=1),
            origin="backfill",
        )  # fmt: skip


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text(encoding="utf-8").splitlines()
    return int(next(line.partition(":")[2] for line in lines if line.startswith("rchar")))


if __name__ == "__main__":
    main(*sys.argv[1:])
