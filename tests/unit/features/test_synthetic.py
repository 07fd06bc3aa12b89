"""Synthetic rows are valid by the declarations, and datasets can be joined on them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.patterns import matching
from include.evergreen.features.synthetic import KEYS_WANTED, MadeUpCache, SyntheticRows
from include.evergreen.foundation.grain import DAILY
from include.evergreen.state import storage
from tests.unit.flights import run_python

AWKWARD = """
name: awkward
description: For a test.
owner: tests
source: {type: files, path: "/nowhere/{partition}.csv"}
schedule: {cron: "0 0 * * *", start: 2020-01-01}
knowledge: {hours_after_partition: 0}
columns:
  - {name: code, type: string, description: A pattern}
  - {name: short, type: string, description: A length}
  - {name: long, type: string, description: A length}
  - {name: below, type: integer, description: Bounded on one side}
  - {name: above, type: number, description: Bounded on the other}
  - {name: choice, type: integer, description: Of a set}
  - {name: truth, type: boolean, nullable: true, description: Yes or no}
  - {name: whole, type: integer, nullable: true, description: Sometimes missing}
  - {name: at, type: timestamp, nullable: true, description: Sometimes missing}
  - {name: word, type: string, nullable: true, description: Sometimes missing}
keys: KEYS
expectations:
  - {expect: expect_column_values_to_match_regex, arguments: {column: code, regex: "^[A-Z]{2}-\\\\d{3}(x|yz)?$"}}
  - {expect: expect_column_value_lengths_to_equal, arguments: {column: short, value: 3}}
  - {expect: expect_column_value_lengths_to_be_between, arguments: {column: long, min_value: 30, max_value: 40}}
  - {expect: expect_column_values_to_be_between, arguments: {column: below, max_value: -500}}
  - {expect: expect_column_values_to_be_between, arguments: {column: above, min_value: 0.25}}
  - {expect: expect_column_values_to_be_in_set, arguments: {column: choice, value_set: [3, 5, 8]}}
"""
KEYS = ["[]", "[code]", "[choice]", "[truth, choice]", "[code, short, below, above]", "[at]", "[at, word]", "[whole]"]


@pytest.fixture(params=["air_time", "flight_delay"])
def shipped(request: pytest.FixtureRequest, catalog: Catalog) -> SyntheticRows:
    return SyntheticRows(catalog, catalog.model(request.param))


def awkward(folder: Path, catalog: Catalog, keys: str) -> SyntheticRows:
    """A model whose rows and labels are one dataset that uses all that may be declared."""
    text = AWKWARD.replace("KEYS", keys)
    for name in keys.strip("[]").split(", "):
        text = re.sub(rf"(name: {name}, type: \w+), nullable: true", r"\1", text)
    (folder / "datasets" / "awkward").mkdir(parents=True)
    (folder / "datasets" / "awkward" / "dataset.yaml").write_text(text)
    model = catalog.model("air_time")
    inputs = (model.inputs[0].model_copy(update={"dataset": "awkward"}),)
    target = model.target.model_copy(update={"dataset": "awkward", "column": "above"})
    return SyntheticRows(Catalog(folder), model.model_copy(update={"rows": "awkward", "inputs": inputs, "target": target}))


@pytest.mark.parametrize("keys", KEYS)
def test_whatever_is_declared_is_kept_to(tmp_path: Path, catalog: Catalog, keys: str) -> None:
    rows = awkward(tmp_path, catalog, keys)
    frame = pd.concat([rows.frame("awkward", day) for day in DAILY.between(DAILY.shift(rows.day, -20), rows.day)])
    assert len(frame) > 0
    assert frame["code"].str.fullmatch(r"[A-Z]{2}-\d{3}(x|yz)?").all()
    assert set(frame["short"].str.len()) == {3}
    assert frame["long"].str.len().between(30, 40).all()
    assert frame["below"].max() <= -500
    assert frame["above"].min() >= 0.25
    assert set(frame["choice"]) <= {3, 5, 8}
    names = keys.strip("[]").split(", ")
    for column in ("truth", "whole", "at", "word"):
        assert frame[column].isna().any() == (column not in names)
    earliest, latest = DAILY.start(DAILY.shift(rows.day, -20)), DAILY.start(DAILY.shift(rows.day, 1))
    assert frame["at"].dropna().between(earliest, latest, inclusive="left").all()


@pytest.mark.parametrize("keys", KEYS[1:])
def test_no_key_comes_twice_and_rows_lie_in_the_order_of_their_keys(tmp_path: Path, catalog: Catalog, keys: str) -> None:
    rows = awkward(tmp_path, catalog, keys)
    names = keys.strip("[]").split(", ")
    frame = rows.frame("awkward", rows.day)
    assert not frame.duplicated(names).any()
    pd.testing.assert_frame_equal(frame, frame.sort_values(names, ignore_index=True))
    for name in names:
        other = frame.assign(**{name: rows.other_values("awkward", name, rows.day, 1)})
        assert not other.duplicated(names).any()  # one for one


def test_the_shipped_datasets_get_rows_that_their_expectations_allow(shipped: SyntheticRows) -> None:
    for name, dataset in shipped.datasets.items():
        frame = shipped.frame(name, shipped.day)
        assert list(frame.columns) == dataset.column_names
        assert set(frame["origin"]) <= {"EWR", "JFK", "LGA"}
        for column in dataset.columns:
            assert column.nullable or frame[column.name].notna().all()
    assert shipped.frame("outcomes", shipped.day)["air_time"].dropna().between(5, 900).all()


def test_rows_and_truth_have_the_same_keys_and_others_share_their_values(shipped: SyntheticRows) -> None:
    keys = ["carrier", "flight", "origin"]
    schedules, outcomes = (shipped.frame(name, shipped.day) for name in ("schedules", "outcomes"))
    pd.testing.assert_frame_equal(schedules[keys], outcomes[keys])
    assert set(schedules["origin"]) <= set(shipped.frame("weather", shipped.day)["origin"])
    before = shipped.frame("schedules", DAILY.shift(shipped.day, -1))
    both = before.merge(schedules, on=keys)
    assert 0 < len(both) < len(schedules)  # most flights go every day, and not all
    assert KEYS_WANTED > len(schedules) > 20


def test_made_up_rows_have_the_types_of_stored_ones(home: Path, shipped: SyntheticRows) -> None:
    for name in shipped.datasets:
        frame = shipped.frame(name, shipped.day)
        storage.write_frame("a.parquet", frame)
        pd.testing.assert_frame_equal(storage.read_frame("a.parquet"), frame, check_exact=True)


def test_they_are_known_when_the_datasets_rule_says(shipped: SyntheticRows, air_time: ModelConfig) -> None:
    cache = MadeUpCache(shipped.day, shipped)
    assert cache.known("schedules", shipped.day, shipped.day, shipped.day)
    assert not cache.known("outcomes", shipped.day, shipped.day, shipped.day)


def test_the_same_seed_gives_the_same_rows_in_any_process(shipped: SyntheticRows, catalog: Catalog) -> None:
    code = """
from include.evergreen.config import Catalog
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.features.synthetic import SyntheticRows
rows = SyntheticRows(Catalog(), Catalog().model("air_time"))
print([frame_digest(rows.frame(name, rows.day)) for name in rows.datasets])
print([frame_digest(rows.frame(name, rows.day, 1)) for name in rows.datasets])
print([frame_digest(SyntheticRows(Catalog(), Catalog().model("air_time"), 1).frame(name, rows.day)) for name in rows.datasets])
"""
    first, second = (run_python(code).splitlines() for _ in range(2))
    assert first == second
    assert len(set(first)) == 3  # another draw and another seed are others


@pytest.mark.parametrize(
    "pattern",
    [r"^[A-Z]{2}\d{1,4}$", r"a|bc|d+", r"^[^\W\d_]\S.x*?$", r"(ab){2,}-(?:c|d)\.", r"^\w+@\w+\.com$", "^$", "[^a]", r"[\s-]"],
)
def test_a_text_is_written_that_matches_the_pattern(pattern: str) -> None:
    for seed in range(20):
        text = matching(pattern, np.random.default_rng(seed))
        assert text is not None
        assert re.search(pattern, text)


@pytest.mark.parametrize("pattern", [r"(a)\1", r"(?=b)a", r"a(?<!a)", "("])
def test_a_pattern_that_is_too_much_gives_none(pattern: str) -> None:
    assert matching(pattern, np.random.default_rng(0)) is None


@pytest.mark.parametrize("bound", [15.0, 5000.0, -5000.0])
def test_some_labels_are_positive_and_some_are_not_wherever_the_bound_is(bound: float) -> None:
    model = Catalog().model("flight_delay")
    rows = SyntheticRows(Catalog(), model.model_copy(update={"target": model.target.model_copy(update={"positive_above": bound})}))
    delays = rows.frame("outcomes", rows.day)["arr_delay"].dropna()
    assert set(delays > bound) == {False, True}
