"""Made-up sales for `benchmarks.ingest`: twelve columns, one row in a thousand wrong, in no order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

PARTITION = "2013-01-01"
CHUNK_ROWS = 1_000_000
WRONG_EVERY = 1000
DATASET = """\
name: sales
description: The sales of a day, for the benchmark.
owner: the-benchmark
source: {type: files, path: "${EVERGREEN_HOME}/landing/{partition}.SUFFIX", format: FORMAT}
schedule: {cron: "0 0 * * *", start: 2013-01-01}
knowledge: {hours_after_partition: 24}
columns:
  - {name: order, type: integer, description: Number of the order}
  - {name: shop, type: string, description: Which shop}
  - {name: customer, type: integer, nullable: true, description: Number of the customer}
  - {name: sku, type: string, description: What was sold}
  - {name: sold_at, type: timestamp, description: When}
  - {name: quantity, type: integer, description: How many}
  - {name: price, type: number, unit: dollars, description: Of one}
  - {name: discount, type: number, nullable: true, description: Share of the price}
  - {name: latitude, type: number, nullable: true, unit: degrees, description: Where}
  - {name: longitude, type: number, nullable: true, unit: degrees, description: Where}
  - {name: gift, type: boolean, nullable: true, description: Whether it was wrapped}
  - {name: note, type: string, nullable: true, description: What the customer said}
keys: [order]
undeclared_columns: ignore
expectations:
  - {expect: expect_table_row_count_to_be_between, arguments: {min_value: 1}}
  - {expect: expect_column_values_to_be_between, arguments: {column: quantity, min_value: 1, max_value: 100}, on_fail: quarantine}
  - {expect: expect_column_values_to_be_between, arguments: {column: price, min_value: 0, max_value: 1000}, on_fail: quarantine}
  - {expect: expect_column_values_to_be_between, arguments: {column: discount, min_value: 0, max_value: 1}, on_fail: quarantine}
  - {expect: expect_column_values_to_be_between, arguments: {column: latitude, min_value: -90, max_value: 90}, on_fail: quarantine}
  - {expect: expect_column_values_to_be_between, arguments: {column: longitude, min_value: -180, max_value: 180}, on_fail: quarantine}
  - {expect: expect_column_values_to_be_in_set, arguments: {column: shop, value_set: [north, south, web]}, on_fail: quarantine}
  - {expect: expect_column_values_to_match_regex, arguments: {column: sku, regex: "^SKU[0-9]{5}$"}, on_fail: quarantine}
"""


def declare(include: Path, *, suffix: str) -> None:
    """An include folder with the dataset ``sales``, whose source is a file with this suffix."""
    folder = include / "datasets" / "sales"
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text(DATASET.replace("SUFFIX", suffix).replace("FORMAT", suffix), encoding="utf-8")


def write_csv(path: Path, rows: int) -> None:
    import pyarrow.csv as pacsv

    path.parent.mkdir(parents=True, exist_ok=True)
    chunks = sales(rows)
    first = next(chunks)
    with pacsv.CSVWriter(path, first.schema) as writer:
        writer.write_table(first)
        for chunk in chunks:
            writer.write_table(chunk)


def write_parquet(path: Path, rows: int) -> None:
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    chunks = sales(rows)
    first = next(chunks)
    with pq.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for chunk in chunks:
            writer.write_table(chunk)


def sales(rows: int) -> Iterator[pa.Table]:
    """The same rows for the same number, `CHUNK_ROWS` at most at a time."""
    import pyarrow as pa

    random = np.random.default_rng(20130101)
    orders = random.permutation(rows)
    for start in range(0, rows, CHUNK_ROWS):
        chunk = orders[start : start + CHUNK_ROWS]
        count = len(chunk)
        price = random.normal(50, 10, count).round(2)
        price[::WRONG_EVERY] = -1.0
        moments = np.datetime64("2013-01-01T00:00:00", "us") + random.integers(0, 86_400, count).astype("timedelta64[s]")
        columns = {
            "order": chunk,
            "shop": pa.array(["north", "south", "web"]).take(pa.array(random.integers(0, 3, count))),
            "customer": random.integers(0, 1_000_000, count),
            "sku": pa.array([f"SKU{number:05}" for number in range(100_000)]).take(pa.array(random.integers(0, 100_000, count))),
            "sold_at": pa.array(moments, pa.timestamp("us", "UTC")),
            "quantity": random.integers(1, 20, count),
            "price": price,
            "discount": random.random(count).round(4),
            "latitude": random.uniform(-90, 90, count).round(6),
            "longitude": random.uniform(-180, 180, count).round(6),
            "gift": random.random(count) < 0.5,
            "note": pa.array(["thank you", "leave at the door", "none"]).take(pa.array(random.integers(0, 3, count))),
        }
        yield pa.table(columns)
