"""Rows in memory through the whole of a validation, as ingestion puts them there: a Parquet file of the declared types."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.data.partitions.files import GROUP_ROWS, arrow_schema
from include.evergreen.data.validation import Delivered, RawRows, Validation, validate
from include.evergreen.foundation.grain import DAILY, Partition

DAY = "2013-02-09"
DATASET: dict[str, Any] = {
    "name": "sales",
    "description": "Sales of a day.",
    "owner": "shop",
    "source": {"type": "files", "path": "/landing/{partition}.csv"},
    "schedule": {"cron": "0 0 * * *", "start": "2013-01-01"},
    "knowledge": {"hours_after_partition": 24},
    "columns": [
        {"name": "shop", "type": "string", "description": "Which shop"},
        {"name": "hour", "type": "integer", "description": "Which hour"},
        {"name": "amount", "type": "number", "nullable": True, "description": "Amount"},
    ],
    "keys": ["shop", "hour"],
}


@dataclass
class Judged:
    """A validation, and the rows that it judged."""

    validation: Validation
    raw: pd.DataFrame

    @property
    def quarantined(self) -> pd.DataFrame:
        return self.raw.iloc[self.validation.failing]

    @property
    def accepted(self) -> pd.DataFrame:
        return self.raw.drop(index=self.validation.failing)


def dataset(*expectations: dict[str, Any], max_share: float = 0.05, **changes: Any) -> DatasetConfig:
    return DatasetConfig.model_validate({**DATASET, "expectations": expectations, "quarantine": {"max_share": max_share}, **changes})


def delivered(
    day: Partition = DAY, *, live: bool = True, arrived: dt.datetime | None = None, undeclared: tuple[str, ...] = ()
) -> Delivered:
    return Delivered(partition=day, live=live, arrived=arrived or DAILY.start(day), undeclared=undeclared)


def written(declared: DatasetConfig, raw: pd.DataFrame, folder: Path, group_rows: int = GROUP_ROWS) -> RawRows:
    """The rows as `fetch` would leave them."""
    file = folder / "raw.parquet"
    pq.write_table(pa.Table.from_pandas(raw, arrow_schema(declared), preserve_index=False), file, row_group_size=group_rows)
    return RawRows(file)


def judged(declared: DatasetConfig, raw: pd.DataFrame, delivery: Delivered | None = None) -> Judged:
    with tempfile.TemporaryDirectory() as folder:
        return Judged(validate(declared, written(declared, raw, Path(folder)), delivery or delivered()), raw)
