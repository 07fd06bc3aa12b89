"""A small shop for `benchmarks.history`: two datasets and one model, whose days are so small that what is done around them shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from include.evergreen.foundation.grain import DAILY, Partition

MODEL = "spending"
DATASETS = ("receipts", "visits")
ROWS_A_DAY = 60
_VISITS = """\
name: visits
description: Who came to the shop, and what lay in the basket, for the benchmark.
owner: the-benchmark
source: {type: files, path: "${EVERGREEN_HOME}/landing/visits/{partition}.csv"}
schedule: {cron: "0 0 * * *", start: 2020-01-01}
knowledge: {hours_after_partition: -6}
columns:
  - {name: visit, type: integer, description: Number of the visit}
  - {name: door, type: string, description: Which door}
  - {name: basket, type: number, description: Things in the basket}
keys: [visit]
retention: {superseded_days: 30, raw_days: 30}
"""
_RECEIPTS = """\
name: receipts
description: What was spent, for the benchmark.
owner: the-benchmark
source: {type: files, path: "${EVERGREEN_HOME}/landing/receipts/{partition}.csv"}
schedule: {cron: "0 0 * * *", start: 2020-01-01}
knowledge: {hours_after_partition: 24}
columns:
  - {name: visit, type: integer, description: Number of the visit}
  - {name: spent, type: number, description: Money spent}
keys: [visit]
retention: {superseded_days: 30, raw_days: 30}
"""
_MODEL = """\
name: spending
description: What a visitor will spend, for the benchmark.
owner: the-benchmark
task: regression
rows: visits
inputs:
  - {dataset: visits, lag: 0 days}
  - {dataset: receipts, lag: 1 day, window: 3 days}
target: {dataset: receipts, column: spent}
features:
  - {name: door, kind: categorical, description: Which door}
  - {name: basket, kind: numeric, description: Things in the basket}
  - {name: spent_3d, kind: numeric, description: Mean of what was spent in the last three days}
card:
  purpose: To be measured.
  intended_use: [This benchmark.]
  not_for: [Anything else.]
  limits: [Its visitors are made up.]
  ethics: [Nobody is judged by it.]
  contact: the-benchmark
train:
  schedule: {cron: "0 6 * * 1", start: 2020-01-06}
  window: 8 days
  min_history: 6 days
  holdout: 2 days
  estimator: sklearn.linear_model.Ridge
  parameters: {alpha: 1.0}
gate:
  mode: disabled
  criteria: [{kind: absolute, metric: mae, at_most: 1000}]
retrain:
  rules:
    - {metric: performance.mae, above: 1000, k: 2, n: 3}
    - {metric: drift.share, above: 2, k: 2, n: 3}
"""
_FEATURES = """\
import pandas as pd


def features(read):
    rows = read.rows()
    spent = read.window("receipts", span="3 days", columns=["spent"])["spent"].mean()
    return pd.DataFrame({"door": rows["door"], "basket": rows["basket"], "spent_3d": spent}, index=rows.index)
"""


def declare(include: Path) -> None:
    """An include folder with the shop's datasets and its model."""
    for name, text in (("visits", _VISITS), ("receipts", _RECEIPTS)):
        (include / "datasets" / name).mkdir(parents=True)
        (include / "datasets" / name / "dataset.yaml").write_text(text, encoding="utf-8")
    folder = include / "models" / MODEL
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(_MODEL, encoding="utf-8")
    (folder / "features.py").write_text(_FEATURES, encoding="utf-8")
    (folder / "runbook.md").write_text("# spending\n\nIt is measured and not served.\n", encoding="utf-8")


def deliver(landing: Path, day: Partition) -> None:
    """What the source has of one day; the same for the same day."""
    random = np.random.default_rng(DAILY.number(day))
    visits = np.arange(ROWS_A_DAY) + 1000
    door, basket = np.array(["north", "south"])[visits % 2], random.integers(1, 20, ROWS_A_DAY)
    spent = (basket * 3.0 + random.normal(0, 2, ROWS_A_DAY)).round(2)
    rows = {
        "visits": pd.DataFrame({"visit": visits, "door": door, "basket": basket}),
        "receipts": pd.DataFrame({"visit": visits, "spent": spent}),
    }
    for dataset, frame in rows.items():
        (landing / dataset).mkdir(parents=True, exist_ok=True)
        frame.to_csv(landing / dataset / f"{day}.csv", index=False)
