"""Shops whose visits, results and prices come by the hour, the day, the month, or anything else: for tests of grains.

What a visit brings follows its size, and the shop, by a law that is known.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from include.evergreen.config import Catalog, DatasetConfig
from include.evergreen.data.partitions import PartitionVersion, publish_partition
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.numbering import is_cron
from include.evergreen.foundation.span import Span
from include.evergreen.state import storage

MODEL, SHOPS = "takings", 12
CRONS = {
    "15min": "*/15 * * * *", "30min": "*/30 * * * *", "hour": "10 * * * *", "6 hours": "0 */6 * * *", "8 hours": "0 */8 * * *",
    "day": "0 6 * * *", "week": "0 6 * * 1", "week from Saturday": "0 6 * * 6", "week from Sunday": "0 6 * * 0", "month": "0 6 3 * *",
    "quarter": "0 6 1 1,4,7,10 *", "year": "0 6 2 1 *",
}  # fmt: skip
DATASET = """\
name: {name}
description: Of a shop.
owner: shop
source: {{type: files, path: "${{EVERGREEN_HOME}}/landing/{name}/{{partition}}.csv"}}
schedule: {{cron: "{cron}", run_offset: -1, start: {start}, end: 2016-12-31, grain: {unit}, timezone: {timezone}}}
knowledge: {{{known}}}
columns:
  - {{name: shop, type: integer, description: x}}
  - {{name: {column}, type: number, description: x}}
keys: [shop]
"""
DECLARED = """\
name: takings
description: What a shop will take.
owner: shop
task: regression
rows: visits
scored_at: {{{scored_at}}}
inputs:
  - {{dataset: visits}}
  - {{dataset: results, {lag}, window: {window}}}
  - {{dataset: prices, {prices_lag}, window: {prices_window}}}
target: {{dataset: results, column: taken}}
features:
  - {{name: size, kind: numeric, description: x}}
  - {{name: price, kind: numeric, description: x}}
  - {{name: before, kind: numeric, description: x}}
train: {{window: {window}, min_history: {least}, holdout: {holdout}, estimator: sklearn.linear_model.Ridge}}
gate:
  criteria:
    - {{kind: absolute, metric: mae, at_most: 20}}
retrain:
  rules:
    - {{metric: performance.mae, above: 0.0001, k: 1, n: 1}}
"""
FEATURES = """\
def features(read):
    rows = read.rows()
    prices = read.window("prices", span="{prices_days}")
    newest = prices[prices["partition"] == prices["partition"].max()][["shop", "price"]]
    before = read.trailing(rows, "results", span="{days}", group_by="shop", column="taken", agg="mean")
    joined = rows[["shop", "size"]].merge(newest, on="shop", how="left").set_index(rows.index)
    return joined.assign(before=before)[["size", "price", "before"]]
"""


@dataclass(frozen=True)
class Shape:
    """The grain of the visits, which is that of the results, and of the prices; and how long windows are, in days."""

    grain: Grain
    prices: Grain
    lag: str
    prices_lag: str
    window: int
    least: int
    holdout: int
    days: int  # that features look back over
    start: str
    visits_known: str = "hours_after_partition: 0"
    scored_at: str = "hours_after_partition: 0"

    def declare(self, folder: Path) -> Catalog:
        """Write the declarations."""
        end = "hours_after_end: 0"
        texts = {
            "datasets/visits/dataset.yaml": self._dataset("visits", self.grain, self.visits_known, "size", self.start),
            "datasets/results/dataset.yaml": self._dataset("results", self.grain, end, "taken", self.start),
            "datasets/prices/dataset.yaml": self._dataset(
                "prices", self.prices, end, "price", "2012-10-01" if self.prices.unit in ("month", "quarter") else self.start
            ),
            f"models/{MODEL}/model.yaml": DECLARED.format(
                lag=self.lag,
                prices_lag=self.prices_lag,
                window=counted(self.grain, self.window),
                prices_window=counted(self.prices, self.window),
                least=counted(self.grain, self.least),
                holdout=counted(self.grain, self.holdout),
                scored_at=self.scored_at,
            ),
            f"models/{MODEL}/features.py": FEATURES.format(
                days=counted(self.grain, self.days), prices_days=counted(self.prices, self.days)
            ),
        }
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return Catalog(folder)

    def _dataset(self, name: str, grain: Grain, known: str, column: str, start: str) -> str:
        unit, cron = f'"{grain.unit}"' if is_cron(grain.unit) else grain.unit, CRONS.get(grain.unit, grain.unit)
        return DATASET.format(name=name, cron=cron, start=start, unit=unit, timezone=grain.timezone, known=known, column=column)


def counted(grain: Grain, days: int) -> Span:
    """So many days, in the unit of a grain."""
    return grain.span_of(grain.partitions_in(Span(days, "day")))


def frame_of(dataset: DatasetConfig, partition: Partition) -> pd.DataFrame:
    """What the source has of a partition; the same whenever it is asked."""
    begins = dataset.grain.start(partition)
    rng = np.random.default_rng(int(begins.timestamp()))
    shops, size = np.arange(SHOPS), rng.normal(size=SHOPS)
    values = {"visits": size, "results": 3 * size + shops, "prices": rng.normal(size=SHOPS)}
    return pd.DataFrame({"shop": pd.array(shops, dtype="Int64"), dataset.columns[1].name: values[dataset.name]})


def deliver(
    dataset: DatasetConfig,
    partition: Partition,
    frame: pd.DataFrame | None = None,
    *,
    origin: str = "backfill",
    known: dt.datetime | None = None,
) -> PartitionVersion:
    """Publish a partition as ingestion does, without reading it from anywhere."""
    content = frame_of(dataset, partition) if frame is None else frame
    digest = frame_digest(content)
    path = f"datasets/{dataset.name}/{partition}/{digest[:16]}.parquet"
    storage.write_frame(path, content)
    counts = {"rows": len(content), "source_rows": len(content), "quarantined": 0, "quarantine_digest": "", "quarantine_path": ""}
    if dataset.knowledge.column is not None:
        counts |= {"knowledge_column": dataset.knowledge.column}
    return publish_partition(
        dataset=dataset.name, partition=partition, content={"digest": digest, "path": path, **counts},
        known_at=lambda _: known or dataset.known_from(partition), origin=origin,
    )[0]  # fmt: skip


def deliver_all(catalog: Catalog, until: dt.datetime) -> None:
    """Publish all partitions that are known by a moment."""
    for name in catalog.dataset_names():
        dataset = catalog.dataset(name)
        for partition in dataset.schedule.partitions(dataset.schedule.first, dataset.grain.shift(dataset.grain.at(until), 1)):
            if dataset.known_from(partition) <= until:
                deliver(dataset, partition)
