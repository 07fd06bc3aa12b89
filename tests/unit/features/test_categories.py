"""A category is the value, and not how a day's column happened to be typed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog
from include.evergreen.features import build, feature_frame
from include.evergreen.features.build import code_now
from include.evergreen.features.categories import as_categories
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.operations.reproduce import reproduce
from include.evergreen.registry import champions
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.training import take_snapshot
from include.evergreen.training import train as training
from include.evergreen.training.recipes import build_recipe
from tests.unit.flights import FIRST_AS_OF, january, registered_as_of

DAY = january(20)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([10, 7]),
        pd.Series([10, 7, None]),
        pd.Series([10, 7, None], dtype="Int64"),
        pd.Series([10.0, 7.0, None], dtype="Float64"),
        pd.Series([10, 7.0, None], dtype=object),
        pd.Series([np.int8(10), Decimal("7.00")], dtype=object),
        pd.Series([10, 7, None]).astype("category"),
        pd.Series([10, 7], dtype="uint8"),
        pd.Series([10, 7], dtype="float32"),
        pd.Series(["10", "7", None]),
        pd.Series(["10", "7"], dtype="string"),
    ],
)
def test_a_number_is_one_category_however_it_is_typed(column: pd.Series) -> None:
    assert as_categories(column).dtype == "string"
    assert as_categories(column)[:2].tolist() == ["10", "7"]
    assert as_categories(column)[2:].isna().all()


@pytest.mark.parametrize("dtype", ["bool", "boolean", object, "category"])
def test_a_truth_value_is_one_category_with_and_without_a_gap(dtype: str) -> None:
    assert as_categories(pd.Series([True, False]).astype(dtype)).tolist() == ["True", "False"]
    if dtype != "bool":
        assert as_categories(pd.Series([True, None, False], dtype="boolean").astype(dtype))[::2].tolist() == ["True", "False"]


def test_what_is_no_whole_number_is_written_as_before() -> None:
    values = pd.Series([0.1, 1e300, float("inf"), -0.0, 2.5])
    assert as_categories(values).tolist() == ["0.1", str(int(1e300)), "inf", "0", "2.5"]
    assert as_categories(pd.Series(["10.0", "007", "nan"])).tolist() == ["10.0", "007", "nan"]  # text is its own value
    assert as_categories(pd.Series([], dtype="float64")).tolist() == []


def test_a_time_is_one_category_whatever_else_comes_on_its_day() -> None:
    midnight, noon = pd.Timestamp("2013-01-01"), pd.Timestamp("2013-01-01T12:00")
    assert as_categories(pd.Series([midnight]))[0] == as_categories(pd.Series([midnight, noon]))[0]
    assert as_categories(pd.Series(["2013-01-01"], dtype=object)).tolist() == ["2013-01-01"]


@given(st.lists(st.integers(-(2**53), 2**53), min_size=1))
def test_a_gap_changes_no_other_row(values: list[int]) -> None:
    whole = as_categories(pd.Series(values))
    assert as_categories(pd.Series([*values, None], dtype="float64"))[:-1].tolist() == whole.tolist()


@pytest.fixture
def numbered(flights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """The shipped model, whose carrier is a number, and on `DAY` alone a number with a gap."""
    for kind in ("datasets", "models"):
        shutil.copytree(PROJECT_ROOT / "include" / kind, tmp_path / "include" / kind)
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path / "include"))
    path = tmp_path / "include/models/flight_delay/features.py"
    numbers = 'rows["carrier"].map(lambda code: sum(map(ord, code))).astype("int64").where(rows.index != SKIPPED)'
    path.write_text(
        path.read_text()
        .replace('"carrier": rows["carrier"]', f'"carrier": {numbers}')
        .replace("    rows = read.rows()\n", f"    rows = read.rows()\n    SKIPPED = 0 if str(read.partition) == '{DAY}' else -1\n")
    )
    return Catalog()


def test_one_gap_in_a_column_of_integers_makes_no_other_row_another(numbered: Catalog) -> None:
    model = numbered.model("flight_delay")
    version = registered_as_of(model, FIRST_AS_OF)
    champions.promote(model.name, version.version, actor="a person", reason="the first")
    assert score(numbered, model, DAY, "live").is_done
    predictions = find_predictions(model.name, DAY)
    assert predictions is not None
    known = set(feature_frame(numbered, model, january(10), PartitionCache(january(10), model=model))[1]["carrier"])
    assert predictions.frame()["carrier"].isna().sum() == 1
    assert set(predictions.frame()["carrier"].dropna()) <= known and all(code.isdigit() for code in known)


def test_a_version_of_before_keeps_its_spelling(numbered: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was trained on is what it goes on getting, and what it is reproduced from."""
    code = numbered.features_path("flight_delay")
    code.write_text(code.read_text().replace('astype("int64")', 'astype("float64")'))
    model = numbered.model("flight_delay")
    with monkeypatch.context() as before:
        for place in (build, take_snapshot):
            before.setattr(place, "code_now", lambda *of: replace(code_now(*of), edition=1))
        before.setattr(training, "build_recipe", lambda *of: replace(build_recipe(*of), edition=1))
        version = registered_as_of(model, FIRST_AS_OF)
    champions.promote(model.name, version.version, actor="a person", reason="the first")
    assert score(numbered, model, DAY, "live").is_done
    predictions = find_predictions(model.name, DAY)
    assert predictions is not None
    assert predictions.frame()["carrier"].dropna().str.endswith(".0").all()
    assert reproduce(numbered, model.name, version.version).is_identical
    assert not feature_frame(numbered, model, DAY, PartitionCache(DAY, model=model))[1]["carrier"].dropna().str.endswith(".0").any()
