"""The test kit finds models that break one promise each, and passes those that break none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.testkit import CHECKS, Finding, examine
from include.evergreen.testkit.leakage import LaterFacts
from include.evergreen.testkit.subject import Subject

LEAK, TRAINING, ORDER, BOUNDARIES, ROWS_ALONE = CHECKS
KNOWN_SINCE = "float((type(read.partition).fromisoformat(read._cache.as_of) - read.partition).days)"
DATASET = """
name: {name}
description: For a test.
owner: tests
source: {{type: files, path: "/nowhere/{{partition}}.csv"}}
schedule: {{cron: "0 0 * * *", start: 2020-01-01}}
knowledge: {knowledge}
columns:
  - {{name: shop, type: string, description: Where}}
  - {{name: till, type: integer, description: Which}}
{columns}
keys: {keys}
"""
ORDERS = DATASET.format(
    name="orders",
    knowledge="{hours_after_partition: 0}",
    columns="""  - {name: opened, type: timestamp, description: When the till was opened}
  - {name: price, type: number, nullable: true, description: In euros}
  - {name: gift, type: boolean, description: Whether it is wrapped}""",
    keys="[shop, till]",
)
RETURNS = DATASET.format(
    name="returns",
    knowledge="{hours_after_partition: 48}",
    columns="  - {name: refund, type: number, nullable: true, description: In euros}",
    keys="[shop, till]",
)
READINGS = DATASET.format(
    name="readings",
    knowledge="{hours_after_partition: 24, column: known}",
    columns="""  - {name: taken, type: timestamp, description: When it was read}
  - {name: known, type: timestamp, description: When we had it}
  - {name: heat, type: number, nullable: true, description: In degrees}""",
    keys="[shop, till, taken]",
)
MODEL = """
name: takings
description: For a test.
owner: tests
task: regression
rows: orders
inputs:
  - {dataset: orders, lag: 0 days}
  - {dataset: returns, lag: 2 days}
  - {dataset: readings, lag: 1 day}
target: {dataset: returns, column: refund}
features:
  - {name: value, kind: numeric, description: Under test}
  - {name: shop, kind: categorical, description: Where}
train: {estimator: sklearn.linear_model.Ridge, window: 20 days, min_history: 10 days}
gate:
  criteria: [{kind: absolute, metric: mae, at_most: 100}]
"""
FEATURES = """
import datetime as dt
import os
import random
import time

import numpy as np
import pandas as pd

seen = []

def features(read):
    rows = read.rows()
    value = {value}
    return pd.DataFrame({{"value": value, "shop": rows["shop"]}}, index=rows.index)

{more}
"""

HONEST = {
    "a column of its own": "rows['price'] * 2",
    "an exact mean": "read.trailing(rows, 'returns', span='7 days', group_by='shop', column='refund', agg='mean')",
    "a mean of pandas": "rows['shop'].map(read.window('returns', span='7 days').groupby('shop')['refund'].mean())",
    "a count by two keys": "read.trailing(rows, 'orders', span='7 days', group_by=['shop', 'till'], column='price', agg='count')",
    "rows that were known one by one": "read.trailing(rows, 'readings', span='3 days', group_by='shop', column='heat', "
    "agg='rate', threshold=50)",
    "the latest of them": "read.latest(rows, 'readings', span='3 days', by='shop', time='taken', columns=['heat'], at='opened')['heat']",
    "how many orders the day has": "float(len(read.window('orders', span='1 day', columns=['till'])))",
    "the day of the week": "float(read.partition.weekday())",
}
BROKEN = {  # what features.py does; the check that finds it
    "the truth of its own day, out of the database": (LEAK, "newest(rows, 'returns', str(read.partition), 'refund')"),
    "a correction that came later, out of the database": (LEAK, "newest(rows, 'orders', str(read.partition), 'price')"),
    "the truth of its own day, out of the cache of a training": (LEAK, "peeped(rows, read, read._cache.as_of)"),
    "what a training knows and scoring did not": (
        TRAINING,
        "float((type(read.partition).fromisoformat(read._cache.as_of) - read.partition).days)",
    ),
    "the number of its row": (ORDER, "np.arange(len(rows)) * 1.0"),
    "the row before": (ORDER, "rows['price'].shift(1)"),
    "the first of a window": (ORDER, "read.window('returns', span='1 day')['refund'].bfill().iloc[0]"),
    "a mean over the rows": (BOUNDARIES, "rows['price'] - rows['price'].mean()"),
    "a rank among the rows": (BOUNDARIES, "rows['price'].rank()"),
    "what is left of other days": (BOUNDARIES, "remembered(len(rows))"),
    "what it did to what all share": (BOUNDARIES, "spoiled(read, rows)"),
}
ALONE = {  # what features.py does, and is not of the rows alone
    "chance": "random.random()",
    "the chance of NumPy": "np.random.default_rng().normal(size=len(rows))",
    "the year": "float(dt.date.today().year)",
    "the clock": "dt.datetime.now(dt.timezone.utc).timestamp() // 86400",
    "the clock of pandas": "float(pd.Timestamp.now().year)",
    "seconds since 1970": "time.time() // 86400",
    "the zone of the machine": "float(time.timezone)",
    "hashes of texts": "rows['shop'].map(hash) % 1000",
    "the process": "float(os.getpid())",
}
MORE = """
from include.evergreen.data.partitions import current_partition, read_partition

def newest(rows, dataset, day, column):
    frame = read_partition(current_partition(dataset, day))
    return rows[["shop", "till"]].merge(frame, on=["shop", "till"], how="left")[column]

def peeped(rows, read, as_of):
    found = read._cache.known("returns", as_of, str(read.partition), str(read.partition))
    limit = read._cache.as_of
    return float(read._cache.frame(found[0], limit)["refund"].sum()) if found else 0.0

def remembered(number):
    seen.append(number)
    return float(sum(seen))

def spoiled(read, rows):
    held = [frame for (dataset, _), frame in read._cache._held.items() if dataset == "orders"]
    for frame in held:
        frame["price"] += 1
    return read.rows()["price"]
"""


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """The declarations of one model, without its features."""
    root = tmp_path / "include"
    for name, text in (("orders", ORDERS), ("returns", RETURNS), ("readings", READINGS)):
        (root / "datasets" / name).mkdir(parents=True)
        (root / "datasets" / name / "dataset.yaml").write_text(text)
    (root / "models" / "takings").mkdir(parents=True)
    (root / "models" / "takings" / "model.yaml").write_text(MODEL)
    return root


@pytest.mark.parametrize("check", CHECKS)
def test_honest_features_pass(include: Path, check: str) -> None:
    assert [each.message for each in _all_examined(include, HONEST, check)] == []


def test_features_that_are_not_of_the_rows_alone_are_found_by_a_process_of_its_own(include: Path) -> None:
    """All at once, as each process costs a second; none of them changes what another finds."""
    assert {each.feature for each in _all_examined(include, ALONE, ROWS_ALONE)} == set(ALONE)


@pytest.mark.parametrize(("check", "value"), BROKEN.values(), ids=BROKEN)
def test_features_that_break_a_promise_are_found_by_its_check(include: Path, check: str, value: str) -> None:
    findings = _examined(include, value, check)
    assert {each.feature for each in findings} == {"value"}  # and `shop`, which is honest, is not accused


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("keys: [shop, till]", "keys: [till, shop]"),
        ("keys: [shop, till]", "keys: [shop]"),
        ("name: till, type: integer", "name: till, type: string"),
        ("name: till, type: integer", "name: till, type: number"),
        ('cron: "0 0 * * *"', 'cron: "0 0 * * 1"'),
    ],
)
def test_labels_that_come_late_by_fewer_keys_in_another_order_or_of_another_type_find_their_rows(include: Path, old: str, new: str) -> None:
    model = include / "models" / "takings" / "model.yaml"
    model.write_text(MODEL.replace("column: refund", "column: refund, within: 9 days"))
    returns = include / "datasets" / "returns" / "dataset.yaml"
    assert old in returns.read_text()
    returns.write_text(returns.read_text().replace(old, new))
    for check in (LEAK, TRAINING):
        assert _examined(include, "rows['price'] * 2", check) == []
    trained_on_more = _examined(include, KNOWN_SINCE, TRAINING)
    assert {each.feature for each in trained_on_more} == {"value"}


def test_a_target_that_stands_in_the_row_itself_is_no_input(include: Path) -> None:
    """Whatever the dataset says of when it is known: that the declaration is wrong is just what nobody has noticed."""
    model = include / "models" / "takings" / "model.yaml"
    model.write_text(MODEL.replace("{dataset: returns, column: refund}", "{dataset: orders, column: price}"))
    assert {each.feature for each in _examined(include, "rows['price'] * 2", LEAK)} == {"value"}
    assert _examined(include, "rows['till'] * 2", LEAK) == []


def test_what_is_tampered_with_is_exactly_what_was_not_known(include: Path) -> None:
    """Of a partition whose rows were known one by one, the rows that were known are left as they are."""
    _write(include, "rows['price']")
    subject = Subject.of(Catalog(include), "takings")
    day, yesterday = subject.source.day, DAILY.shift(subject.source.day, -1)
    midnight = DAILY.start(day)
    later = LaterFacts(subject.source, subject.model, day, {(name, each) for name in subject.source.datasets for each in (day, yesterday)})
    for name in subject.source.datasets:
        for original in subject.source.versions(name):
            versions = [each for each in later.versions(name) if each.partition == original.partition]
            if original.partition not in (day, yesterday):
                assert versions == []
                continue
            seen = [each for each in versions if each.knowledge_time <= midnight]
            assert (len(versions) > len(seen)) and (len(seen) == 1) == ((name, original.partition) == ("readings", yesterday))
            for each in seen:
                before, after = subject.source.content(original), later.content(each)
                known = before["known"] <= midnight
                assert known.any() and not known.all()
                assert after[known].equals(before[known])
                assert not after[~known].equals(before[~known])


def test_a_finding_names_model_feature_day_row_both_values_and_what_to_do(include: Path) -> None:
    finding = _examined(include, "rows['price'] - rows['price'].mean()", BOUNDARIES)[0]
    assert finding.message.startswith(f"takings: feature 'value' on {finding.partition}: it changes with which other rows are scored")
    assert f"the first is {finding.row}: {finding.before!r}, then {finding.after!r}. Compute nothing over read.rows()" in finding.message
    assert finding.row.startswith("shop=shop ") and ", till=" in finding.row
    assert finding.before != finding.after
    assert str(include / "models" / "takings" / "features.py") in finding.message


@pytest.mark.parametrize("check", CHECKS)
def test_features_that_fail_on_possible_rows_are_told_so(include: Path, check: str) -> None:
    with pytest.raises(ConfigError, match="takings: features.. must work on any rows that its datasets declare as possible.*KeyError"):
        _examined(include, "rows['prices']", check)


def test_the_kit_leaves_the_home_that_it_finds_as_it_is(include: Path, tmp_path: Path) -> None:
    before = dict(os.environ)
    for check in CHECKS:
        _examined(include, "rows['price']", check)
    assert dict(os.environ) == before
    assert not (tmp_path / "home").exists()


def test_a_teams_models_are_examined_wherever_they_stand(include: Path) -> None:
    """`make test` as a team has it: their folder, our tests, and no data at all."""
    _write(include, "rows['price'].shift(1)")
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/models", "-q", "-p", "no:cacheprovider"],
        env={**os.environ, "EVERGREEN_INCLUDE": str(include)},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert answer.returncode == 1
    assert f"test_features_keep_their_promise[takings-{ORDER}]" in answer.stdout
    assert "takings: feature 'value' on 2020-" in answer.stdout
    assert "air_time" not in answer.stdout


def _write(include: Path, value: str, more: str = MORE) -> None:
    (include / "models" / "takings" / "features.py").write_text(FEATURES.format(value=value, more=more))


def _all_examined(include: Path, values: dict[str, str], check: str) -> list[Finding]:
    """The findings on a model with a feature of each of some names, beside two that are honest."""
    declared = "".join(f"  - {{name: {name}, kind: numeric, description: Under test}}\n" for name in values)
    (include / "models" / "takings" / "model.yaml").write_text(MODEL.replace("features:\n", f"features:\n{declared}"))
    columns = ", ".join(f"{name!r}: {value}" for name, value in values.items())
    more = f"alone = features\n\ndef features(read):\n    rows = read.rows()\n    return alone(read).assign(**{{{columns}}})\n"
    return _examined(include, "rows['price']", check, more)


def _examined(include: Path, value: str, check: str, more: str = MORE) -> list[Finding]:
    _write(include, value, more)
    return examine(Catalog(include), "takings", check)
