"""A small `include` folder with one sound dataset and one sound model, for tests to bend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

DATASET = """\
name: sales
description: Sales of a day.
owner: shop
source: {type: files, path: "${LANDING}/sales/{partition}.csv"}
schedule: {cron: "0 0 * * *", start: 2024-01-01}
knowledge: {hours_after_partition: 0}
columns:
  - {name: shop, type: string, description: Which shop}
  - {name: amount, type: number, description: "Amount, ${NOT_A_VARIABLE}"}
keys: [shop]
"""

MODEL = """\
name: revenue
description: Revenue of a day.
owner: shop
task: regression
rows: sales
inputs:
  - {dataset: sales}
target: {dataset: sales, column: amount}
features:
  - {name: shop, kind: categorical, description: Which shop}
train:
  window: 60 days
  estimator: sklearn.linear_model.Ridge
gate:
  criteria:
    - {kind: absolute, metric: mae, at_most: 15}
retrain:
  rules:
    - {metric: drift.shop, above: 0.2, k: 1, n: 1}
"""

Change = Callable[..., Path]


@pytest.fixture
def include(tmp_path: Path) -> Path:
    root = tmp_path / "include"
    for path, text in (
        ("datasets/sales/dataset.yaml", DATASET),
        ("models/revenue/model.yaml", MODEL),
        ("models/revenue/features.py", ""),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.fixture
def change_model(include: Path) -> Change:
    """Replace one piece of the sound model's text by another; returns the file."""
    return _changer(include / "models/revenue/model.yaml")


@pytest.fixture
def change_dataset(include: Path) -> Change:
    """Replace one piece of the sound dataset's text by another; returns the file."""
    return _changer(include / "datasets/sales/dataset.yaml")


def _changer(path: Path) -> Change:
    def change(old: str, new: str) -> Path:
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} must be in the text exactly once"
        path.write_text(text.replace(old, new))
        return path

    return change
