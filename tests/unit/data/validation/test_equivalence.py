"""What we say of rows is what Great Expectations itself says of the whole frame, for every map expectation that it has for pandas."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.data.validation import evaluation, rows, uniqueness
from include.evergreen.data.validation.evaluation import evaluate
from include.evergreen.data.validation.expectations import declared_expectations
from include.evergreen.data.validation.rows import RawRows
from include.evergreen.foundation.grain import DAILY
from tests.unit.data.validation.judged import DATASET, written
from tests.unit.flights import january

COLUMNS = {
    "code": "string",
    "other": "string",
    "count": "integer",
    "least": "integer",
    "amount": "number",
    "at": "timestamp",
    "ok": "boolean",
}
BOTH = {"ignore_row_if": "both_values_are_missing"}
EITHER = {"ignore_row_if": "either_value_is_missing"}
ANY = {"ignore_row_if": "any_value_is_missing"}
PANDAS = {"condition_parser": "pandas"}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("expect_column_values_to_not_be_null", {"column": "code"}),
    ("expect_column_values_to_not_be_null", {"column": "amount", "mostly": 0.7}),
    ("expect_column_values_to_be_null", {"column": "count", "mostly": 0.1}),
    ("expect_column_values_to_be_unique", {"column": "code"}),
    ("expect_column_values_to_be_unique", {"column": "count"}),
    ("expect_column_values_to_be_unique", {"column": "amount", "mostly": 0.5}),
    ("expect_column_values_to_be_unique", {"column": "at"}),
    ("expect_column_values_to_be_between", {"column": "count", "min_value": -5, "max_value": 2**53 + 1}),
    ("expect_column_values_to_be_between", {"column": "amount", "min_value": 0.1, "strict_min": True, "mostly": 0.5}),
    ("expect_column_values_to_be_between", {"column": "amount", "max_value": 0, "strict_max": True}),
    ("expect_column_values_to_be_between", {"column": "at", "min_value": DAILY.start(january(2)), "max_value": DAILY.start(january(5))}),
    ("expect_column_values_to_be_in_set", {"column": "code", "value_set": ["a", "bb", "B-12"]}),
    ("expect_column_values_to_be_in_set", {"column": "count", "value_set": [0, 1, 2**53 + 1]}),
    ("expect_column_values_to_be_in_set", {"column": "ok", "value_set": [True]}),
    ("expect_column_values_to_not_be_in_set", {"column": "code", "value_set": ["a", ""], "mostly": 0.9}),
    ("expect_column_values_to_match_regex", {"column": "code", "regex": r"^[A-Z]-\d+$"}),
    ("expect_column_values_to_match_regex", {"column": "code", "regex": r"(?<!x)b$", "mostly": 0.4}),
    ("expect_column_values_to_not_match_regex", {"column": "code", "regex": "é|\\s"}),
    ("expect_column_values_to_match_regex_list", {"column": "code", "regex_list": ["^a", r"\d"], "match_on": "any"}),
    ("expect_column_values_to_match_regex_list", {"column": "code", "regex_list": ["^B", r"\d"], "match_on": "all"}),
    ("expect_column_values_to_not_match_regex_list", {"column": "code", "regex_list": ["^B", r"\d"]}),
    ("expect_column_value_lengths_to_be_between", {"column": "code", "min_value": 1, "max_value": 3}),
    ("expect_column_value_lengths_to_equal", {"column": "code", "value": 2, "mostly": 0.3}),
    ("expect_column_values_to_match_strftime_format", {"column": "code", "strftime_format": "%Y-%m-%d"}),
    ("expect_column_values_to_be_dateutil_parseable", {"column": "code"}),
    ("expect_column_values_to_be_json_parseable", {"column": "code"}),
    ("expect_column_values_to_be_increasing", {"column": "amount"}),
    ("expect_column_values_to_be_increasing", {"column": "count", "strictly": True, "mostly": 0.2}),
    ("expect_column_values_to_be_decreasing", {"column": "at"}),
    ("expect_column_value_z_scores_to_be_less_than", {"column": "amount", "threshold": 1.2, "double_sided": True}),
    ("expect_column_values_to_not_be_outliers", {"column": "amount", "multiplier": 0.5}),
    ("expect_column_pair_values_to_be_equal", {"column_A": "code", "column_B": "other", **BOTH}),
    ("expect_column_pair_values_to_be_equal", {"column_A": "code", "column_B": "other", **EITHER}),
    ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "count", "column_B": "least", **EITHER}),
    ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "least", "column_B": "amount", **BOTH}),
    ("expect_multicolumn_sum_to_equal", {"column_list": ["least", "amount"], "sum_total": 1, "ignore_row_if": "never"}),
    (
        "expect_column_pair_values_a_to_be_greater_than_b",
        {"column_A": "amount", "column_B": "count", "or_equal": True, "mostly": 0.6, **EITHER},
    ),
    ("expect_column_pair_values_to_be_in_set", {"column_A": "code", "column_B": "other", "value_pairs_set": [["a", "a"], ["bb", None]]}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["code", "count"]}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["code", "other", "at"], **ANY, "mostly": 0.8}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["amount", "ok"], "ignore_row_if": "never"}),
    ("expect_multicolumn_sum_to_equal", {"column_list": ["count", "least"], "sum_total": 3, **ANY}),
    ("expect_multicolumn_values_to_be_equal", {"column_list": ["code", "other"], **ANY}),
    ("expect_select_column_values_to_be_unique_within_record", {"column_list": ["code", "other"], **ANY}),
    ("expect_column_values_to_be_between", {"column": "amount", "min_value": 0, "row_condition": "count > 1", **PANDAS}),
    ("expect_column_values_to_be_unique", {"column": "code", "row_condition": 'other == "a"', **PANDAS}),
    ("expect_column_values_to_match_regex", {"column": "code", "regex": "a", "row_condition": "ok == True", **PANDAS, "mostly": 0.5}),
]
NAMES = [f"{expect}-{number}" for number, (expect, _) in enumerate(CASES)]
NOT_ABOUT_PANDAS = {  # Great Expectations has no computation of these for a frame
    "expect_column_values_to_match_like_pattern",
    "expect_column_values_to_match_like_pattern_list",
    "expect_column_values_to_not_match_like_pattern",
    "expect_column_values_to_not_match_like_pattern_list",
}
ELSEWHERE = {  # below: what they say is about the types of a frame, which are ours; and one takes a schema
    "expect_column_values_to_be_of_type",
    "expect_column_values_to_be_in_type_list",
    "expect_column_values_to_match_json_schema",
}

texts = st.sampled_from(["a", "bb", "B-12", "", "é x", "xb", "2013-01-02", "1", "null", None])
numbers = st.sampled_from([0.0, -0.0, 0.1, 1.0, -3.5, 1e300, 7.25, None])
integers = st.sampled_from([0, 1, 2, 3, -6, 2**53 + 1, 2**53 + 2, None])
moments = st.sampled_from([*pd.date_range("2013-01-01", periods=6, tz="UTC"), None])
booleans = st.sampled_from([True, False, None])
some_rows = st.lists(st.tuples(texts, texts, integers, integers, numbers, moments, booleans), min_size=1, max_size=24)


def declared(expect: str, arguments: dict[str, Any]) -> DatasetConfig:
    columns = [{"name": name, "type": kind, "nullable": True, "description": name} for name, kind in COLUMNS.items()]
    expectation = {"expect": expect, "arguments": arguments, "on_fail": "quarantine"}
    return DatasetConfig.model_validate({**DATASET, "columns": columns, "keys": [], "expectations": [expectation]})


def without_quarantine(config: DatasetConfig) -> DatasetConfig:
    return config.model_copy(update={"expectations": tuple(each.model_copy(update={"on_fail": "error"}) for each in config.expectations)})


def frame_of(values: list[tuple[Any, ...]]) -> pd.DataFrame:
    types = {"string": "object", "integer": "Int64", "number": "float64", "timestamp": "datetime64[us, UTC]", "boolean": "boolean"}
    columns = zip(*values, strict=True)
    return pd.DataFrame(
        {name: pd.Series(list(given), dtype=types[kind]) for (name, kind), given in zip(COLUMNS.items(), columns, strict=True)}
    )


def as_great_expectations_has_it(frame: pd.DataFrame, expect: str, arguments: dict[str, Any]) -> tuple[bool, list[int]] | None:
    """Its COMPLETE result of the whole frame through its public door, or None where it says that it cannot compute it."""
    import great_expectations as gx
    from great_expectations.expectations.registry import get_expectation_impl

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("frame")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
        outcome = batch.validate(get_expectation_impl(expect)(**arguments), result_format="COMPLETE")
    if "unexpected_index_list" not in outcome.result:
        return None
    return bool(outcome.success), sorted(outcome.result["unexpected_index_list"])


def as_we_have_it(config: DatasetConfig, raw: RawRows) -> tuple[bool, list[int]]:
    (check,), failures = evaluate(config, declared_expectations(config, raw.no_rows(config.column_names)), raw)
    found = failures[0].positions.tolist() if failures else []
    assert check.failed_rows is not None
    assert check.failed_rows == len(found) or not check.failed, "with `mostly`, rows may fail that the check lets pass"
    return not check.failed, found


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """As pandas would read it: NumPy's types wherever nothing is missing, and floats for integers where they are exact."""
    kept = frame.copy()
    for name, column in frame.items():
        if isinstance(column.dtype, pd.Int64Dtype | pd.BooleanDtype) and not column.isna().any():
            kept[name] = column.astype(column.dtype.numpy_dtype)
        elif isinstance(column.dtype, pd.Int64Dtype) and not (column.abs() > 2**53).any():
            kept[name] = column.astype("float64")
    return kept


def compare(frame: pd.DataFrame, expect: str, arguments: dict[str, Any], folder: Path, group_rows: int = 262_144) -> bool:
    """Whether there was something to compare: Great Expectations could compute it."""
    theirs = as_great_expectations_has_it(plain(frame), expect, arguments)
    if theirs is None:
        return False
    config = declared(expect, arguments)
    success, found = as_we_have_it(config, written(config, frame, folder, group_rows))
    assert success == theirs[0]
    assert found == ([] if success else theirs[1])
    return True


def awkward() -> pd.DataFrame:
    """Rows of every kind, some of them alike."""
    rng = np.random.default_rng(3)
    pools = [[each for each in pool] for pool in ([*"a", "bb", "B-12", "", "é x", "xb", "2013-01-02", "1", None], ["a", "bb", "", None])]
    values = [
        (
            pools[0][rng.integers(len(pools[0]))],
            pools[1][rng.integers(len(pools[1]))],
            [0, 1, 2, -6, 2**53 + 1, 2**53 + 2, None][rng.integers(7)],
            [0, 1, 2, 3, None][rng.integers(5)],
            [0.0, -0.0, 0.1, 1.0, -3.5, 1e3, 7.25, None][rng.integers(8)],
            [*pd.date_range("2013-01-01", periods=6, tz="UTC"), None][rng.integers(7)],
            [True, False, None][rng.integers(3)],
        )
        for _ in range(60)
    ]
    return frame_of(values)


def test_every_map_expectation_that_it_has_is_compared() -> None:
    from great_expectations.expectations import core

    theirs = {kind.expectation_type for kind in vars(core).values() if getattr(kind, "map_metric", None)}
    assert theirs == {expect for expect, _ in CASES} | NOT_ABOUT_PANDAS | ELSEWHERE


@pytest.mark.parametrize(("expect", "arguments"), CASES, ids=NAMES)
def test_the_same_rows_fail_and_the_verdict_is_the_same(expect: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    assert compare(awkward(), expect, arguments, tmp_path), "Great Expectations did not compute it, so nothing was compared"
    assert compare(awkward().dropna().reset_index(drop=True), expect, arguments, tmp_path)


@pytest.mark.parametrize(("expect", "arguments"), CASES, ids=NAMES)
def test_a_partition_larger_than_a_chunk_is_judged_alike(
    expect: str, arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "CHUNK_ROWS", 14)
    monkeypatch.setattr(evaluation, "CHUNK_ROWS", 14)
    monkeypatch.setattr(evaluation, "FEW_ROWS", 0)
    assert compare(awkward(), expect, arguments, tmp_path, group_rows=7)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("expect", "arguments", "success"),
    [
        ("expect_column_values_to_be_of_type", {"column": "count", "type_": "int64"}, True),
        ("expect_column_values_to_be_of_type", {"column": "count", "type_": "float64"}, False),
        ("expect_column_values_to_be_of_type", {"column": "amount", "type_": "float64"}, True),
        ("expect_column_values_to_be_in_type_list", {"column": "count", "type_list": ["float64", "Int64Dtype"]}, True),
    ],
)
def test_what_a_check_of_types_says_does_not_depend_on_what_is_missing(
    expect: str, arguments: dict[str, Any], success: bool, large: bool, missing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(rows, "CHUNK_ROWS", 14)
        monkeypatch.setattr(evaluation, "CHUNK_ROWS", 14)
    config = without_quarantine(declared(expect, arguments))
    frame = awkward() if missing else awkward().dropna().reset_index(drop=True)
    raw = written(config, frame, tmp_path, 7)
    (check,), _ = evaluate(config, declared_expectations(config, raw.no_rows(config.column_names)), raw)
    assert check.failed is not success


def failing(expect: str, arguments: str, frame: pd.DataFrame, folder: Path) -> list[int]:
    """The positions that fail an expectation with these arguments of a YAML."""
    config = declared(expect, yaml.safe_load(arguments))
    return as_we_have_it(config, written(config, frame, folder))[1]


@pytest.mark.parametrize(
    "day",
    ["2013-01-03", '"2013-01-03"', "2013-01-03 00:00:00", "2013-01-03T00:00:00Z", '"2013-01-02T19:00:00-05:00"', "2013-01-03 01:00:00 +1"],
)
def test_a_date_of_the_yaml_is_its_midnight_in_utc_for_a_column_of_timestamps(day: str, tmp_path: Path) -> None:
    frame = frame_of([("a", "a", 1, 1, 0.0, moment, True) for moment in [*pd.date_range("2013-01-01", periods=5, tz="UTC"), None]])
    assert failing("expect_column_values_to_be_between", f"{{column: at, min_value: {day}}}", frame, tmp_path) == [0, 1]
    assert failing("expect_column_values_to_be_between", f"{{column: at, max_value: {day}, strict_max: true}}", frame, tmp_path) == [
        2,
        3,
        4,
    ]
    assert failing("expect_column_values_to_be_in_set", f"{{column: at, value_set: [{day}]}}", frame, tmp_path) == [0, 1, 3, 4]
    assert failing("expect_column_values_to_not_be_in_set", f"{{column: at, value_set: [{day}]}}", frame, tmp_path) == [2]
    config = without_quarantine(declared("expect_column_max_to_be_between", yaml.safe_load(f"{{column: at, max_value: {day}}}")))
    raw = written(config, frame, tmp_path)
    (check,), _ = evaluate(config, declared_expectations(config, raw.no_rows(config.column_names)), raw)
    assert (check.failed, check.observed) == (True, "2013-01-05 00:00:00+00:00")


@pytest.mark.parametrize("large", [0, 2**53 + 1, 2**62])
def test_integers_of_any_size_are_compared_exactly_where_some_are_missing(large: int, tmp_path: Path) -> None:
    pairs = [(large + 1, large), (large, large), (large, large + 1), (None, large), (large, None), (None, None)]
    frame = frame_of([("a", "a", count, least, 0.0, None, True) for count, least in pairs])
    expect, columns = "expect_column_pair_values_a_to_be_greater_than_b", "{column_A: count, column_B: least}"
    assert failing(expect, columns, frame, tmp_path) == [1, 2, 3, 4]


def test_values_are_held_against_a_json_schema_one_by_one(tmp_path: Path) -> None:
    config = declared("expect_column_values_to_match_json_schema", {"column": "code", "json_schema": {"type": "integer"}})
    frame = awkward().assign(code=["1", '"text"', "3"] * 20)
    assert as_we_have_it(config, written(config, frame, tmp_path)) == (False, list(range(1, 60, 3)))


def test_only_the_columns_that_an_expectation_names_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "FEW_ROWS", 0)
    read: list[tuple[str, ...]] = []
    frame = RawRows.frame
    monkeypatch.setattr(RawRows, "frame", lambda self, columns, **options: read.append(tuple(columns)) or frame(self, columns, **options))
    for expect, arguments, columns in (
        ("expect_column_values_to_be_between", {"column": "amount", "min_value": -9}, {("amount",)}),
        ("expect_column_pair_values_to_be_equal", {"column_A": "code", "column_B": "other"}, {("code", "other")}),
        (
            "expect_column_values_to_be_between",
            {"column": "amount", "min_value": 0, "row_condition": "count > 1", "condition_parser": "pandas"},
            {("count", "amount")},
        ),
        ("expect_table_row_count_to_be_between", {"min_value": 1}, {("ok",)}),  # the narrowest
        ("expect_column_mean_to_be_between", {"column": "least", "min_value": 0}, {("least",)}),
        ("expect_table_column_count_to_equal", {"value": 7}, set()),
    ):
        read.clear()
        config = without_quarantine(declared(expect, arguments))
        raw = written(config, awkward(), tmp_path)
        evaluate(config, declared_expectations(config, raw.no_rows(config.column_names)), raw)
        assert set(read) == columns, expect


def test_an_expectation_about_the_columns_themselves_is_given_all_of_them_and_no_row(tmp_path: Path) -> None:
    in_order = {"column_list": list(COLUMNS)}
    for expect, arguments in (
        ("expect_table_columns_to_match_ordered_list", in_order),
        ("expect_table_column_count_to_equal", {"value": len(COLUMNS)}),
        ("expect_column_to_exist", {"column": "ok"}),
    ):
        config = without_quarantine(declared(expect, arguments))
        raw = written(config, awkward(), tmp_path)
        (check,), _ = evaluate(config, declared_expectations(config, raw.no_rows(config.column_names)), raw)
        assert check.status == "passed", check


@pytest.mark.parametrize(("expect", "arguments"), [case for case in CASES if "unique" in case[0]])
def test_rows_that_only_share_a_hash_are_not_taken_for_equal(
    expect: str, arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "CHUNK_ROWS", 14)
    monkeypatch.setattr(evaluation, "CHUNK_ROWS", 14)
    monkeypatch.setattr(uniqueness, "_hashes", lambda column: np.zeros(len(column), dtype=np.uint64))
    assert compare(awkward(), expect, arguments, tmp_path, group_rows=7)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=some_rows, case=st.sampled_from(CASES), few=st.booleans())
def test_so_it_is_for_any_rows(values: list[tuple[Any, ...]], case: tuple[str, dict[str, Any]], few: bool, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if few:
            patch.setattr(rows, "CHUNK_ROWS", 4)
            patch.setattr(evaluation, "CHUNK_ROWS", 4)
        compare(frame_of(values), *case, tmp_path, group_rows=2)
