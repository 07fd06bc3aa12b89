"""A catalog in which a team's own dataset and model stand beside the example."""

import shutil

import pytest

from tools.embedded import ROOT

OWN_DATASET = """\
name: census
description: Households of a day.
owner: a team
source: {type: files, path: "${EVERGREEN_HOME}/landing/census/{partition}.csv"}
schedule: {cron: "0 0 * * *", start: 2024-01-01}
knowledge: {hours_after_partition: -2}
keys: [household]
columns:
  - {name: household, type: integer, description: Its number}
  - {name: income, type: number, description: Its income}
"""
OWN_MODEL = """\
name: income
description: Income of a household.
owner: a team
task: regression
rows: census
inputs:
  - {dataset: census}
target: {dataset: census, column: income}
features:
  - {name: rooms, kind: numeric, description: Number of rooms}
train: {estimator: sklearn.linear_model.Ridge}
gate:
  criteria:
    - {kind: absolute, metric: mae, at_most: 15}
"""


@pytest.fixture
def own_beside(tmp_path, monkeypatch):
    """The include folder, declared from now on."""
    include = tmp_path / "include"
    for kind in ("datasets", "models"):
        shutil.copytree(ROOT / "include" / kind, include / kind, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in (("datasets/census/dataset.yaml", OWN_DATASET), ("models/income/model.yaml", OWN_MODEL)):
        (include / path).parent.mkdir()
        (include / path).write_text(text)
    (include / "models/income/features.py").write_text("def features(read): ...\n")
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(include))
    return include
