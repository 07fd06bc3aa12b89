from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from include.evergreen.data.validation import stop_message
from include.evergreen.data.validation.checks import join_reasons, split_reasons
from include.evergreen.foundation.errors import ConfigError
from tests.unit.data.validation.judged import DATASET, Judged, dataset, judged

pytestmark = pytest.mark.usefixtures("home")
BETWEEN = {"expect": "expect_column_values_to_be_between", "arguments": {"column": "amount", "min_value": 0, "max_value": 99}}
ROWS = 100


def test_sound_rows_pass_and_keep_their_order() -> None:
    raw = _raw()
    found = _validate(raw, BETWEEN)
    assert found.validation.verdict == "passed"
    assert (
        found.validation.reason == "all 5 checks passed"
    )  # no undeclared column, two columns that must be there, the keys, and the one declared
    pd.testing.assert_frame_equal(found.accepted, raw)
    assert len(found.quarantined) == 0


def test_every_failing_row_is_quarantined_and_not_only_the_examples_that_are_shown() -> None:
    raw = _raw()
    raw.loc[:24, "amount"] = -1.0
    found = _validate(raw, {**BETWEEN, "on_fail": "quarantine"}, max_share=0.25)
    assert (found.validation.verdict, len(found.accepted), len(found.quarantined)) == ("quarantined", 75, 25)
    assert found.validation.checks[-1].failed_rows == 25
    assert len(found.validation.checks[-1].examples) == 3
    pd.testing.assert_frame_equal(found.quarantined, raw.loc[:24])


def test_a_row_that_fails_twice_is_quarantined_once_with_both_reasons() -> None:
    raw = _raw()
    raw.loc[3, ["shop", "amount"]] = [None, -1.0]
    found = _validate(raw, {**BETWEEN, "on_fail": "quarantine"})
    assert found.validation.reasons() == ["expect_column_values_to_not_be_null(shop); expect_column_values_to_be_between(amount)"]
    assert len(found.accepted) == ROWS - 1


def test_a_missing_value_is_quarantined_unless_the_column_may_miss_some() -> None:
    raw = _raw()
    raw.loc[3, "hour"] = None
    raw.loc[4, "amount"] = None
    assert _validate(raw, BETWEEN).quarantined["shop"].tolist() == ["shop 3"]


def test_both_rows_of_a_duplicated_key_are_quarantined() -> None:
    raw = _raw()
    raw.loc[3, ["shop", "hour"]] = raw.loc[7, ["shop", "hour"]]
    found = _validate(raw)
    assert found.quarantined["amount"].tolist() == [3.0, 7.0]
    assert sorted(set(found.validation.reasons())) == ["expect_compound_columns_to_be_unique(shop, hour)"]


def test_both_rows_of_a_duplicated_single_key_are_quarantined() -> None:
    raw = _raw()
    raw.loc[3, "shop"] = "shop 7"
    assert _validate(raw, keys=["shop"]).quarantined["amount"].tolist() == [3.0, 7.0]


def test_quarantine_finds_rows_by_any_kind_of_row_expectation() -> None:
    raw = _raw()
    raw.loc[5, "shop"] = "elsewhere"
    in_set = {"column": "shop", "value_set": [f"shop {number}" for number in range(ROWS)]}
    greater = {"column_A": "hour", "column_B": "amount", "or_equal": True}
    for expect, arguments in (
        ("expect_column_values_to_be_in_set", in_set),
        ("expect_column_values_to_match_regex", {"column": "shop", "regex": "^shop "}),
        ("expect_column_value_lengths_to_be_between", {"column": "shop", "max_value": 7}),
    ):
        found = _validate(raw, {"expect": expect, "arguments": arguments, "on_fail": "quarantine"})
        assert found.quarantined["amount"].tolist() == [5.0], expect
    raw.loc[6, "amount"] = 1000.0
    pair = {"expect": "expect_column_pair_values_a_to_be_greater_than_b", "arguments": greater, "on_fail": "quarantine"}
    assert _validate(raw, pair).quarantined["hour"].tolist() == [6]


def test_one_stopping_expectation_stops_the_partition_and_says_by_what() -> None:
    raw = _raw()
    raw.loc[3, "amount"] = 1048.0
    found = _validate(raw, BETWEEN)
    assert found.validation.verdict == "stopped"
    assert "amount, min_value=0, max_value=99): 1 row, such as 1048.0" in found.validation.reason
    error = stop_message(dataset(), "2013-02-09", found.validation)
    assert error.startswith("sales 2013-02-09 is stopped: ")
    assert "What was published before stays as it is." in error


def test_more_quarantined_rows_than_allowed_stop_the_partition() -> None:
    raw = _raw()
    raw.loc[:5, "amount"] = -1.0
    found = _validate(raw, {**BETWEEN, "on_fail": "quarantine"}, max_share=0.05)
    assert found.validation.verdict == "stopped"
    assert found.validation.reason.startswith("6 of 100 rows fail, which is more than quarantine.max_share (5%) allows: ")


def test_as_many_quarantined_rows_as_allowed_do_not() -> None:
    raw = _raw()
    raw.loc[:4, "amount"] = -1.0
    assert _validate(raw, {**BETWEEN, "on_fail": "quarantine"}, max_share=0.05).validation.verdict == "quarantined"


def test_a_warning_keeps_its_rows_and_is_told() -> None:
    raw = _raw()
    raw.loc[3, "amount"] = -1.0
    found = _validate(raw, {**BETWEEN, "on_fail": "warn"})
    assert (found.validation.verdict, len(found.accepted)) == ("warned", ROWS)
    assert "1 row, such as -1.0" in found.validation.reason


def test_an_expectation_about_the_whole_partition_stops_or_warns() -> None:
    mean = {"expect": "expect_column_mean_to_be_between", "arguments": {"column": "amount", "min_value": 90}}
    assert _validate(_raw(), mean).validation.reason.endswith("found 49.5")
    assert _validate(_raw(), {**mean, "on_fail": "warn"}).validation.verdict == "warned"


@pytest.mark.parametrize("least_rows", [1, 1000])
def test_it_cannot_quarantine_and_that_is_told_before_it_ever_fails(least_rows: int) -> None:
    arguments = {"min_value": least_rows}
    declared = {"expect": "expect_table_row_count_to_be_between", "arguments": arguments, "on_fail": "quarantine"}
    with pytest.raises(ConfigError, match="judges the partition as a whole, .* allowed for it: error, warn"):
        _validate(_raw(), declared)


def test_an_expectation_that_great_expectations_does_not_know_is_named() -> None:
    with pytest.raises(ConfigError, match="sales: Great Expectations knows no expectation 'expect_the_best'"):
        _validate(_raw(), {"expect": "expect_the_best"})


def test_an_argument_that_the_expectation_does_not_take_is_named() -> None:
    declared = {**BETWEEN, "arguments": {"column": "amount", "least": 0, "max_value": 9}}
    with pytest.raises(ConfigError, match="sales: expect_column_values_to_be_between does not take .*\n?.*least"):
        _validate(_raw(), declared)


@pytest.mark.parametrize("on_fail", ["error", "warn", "quarantine"])
@pytest.mark.parametrize("column", ["amonut", "shop"])
def test_an_expectation_that_cannot_be_computed_is_the_authors_fault(column: str, on_fail: str) -> None:
    declared = {**BETWEEN, "arguments": {"column": column, "min_value": 0}, "on_fail": on_fail}
    with pytest.raises(ConfigError, match=f"sales: expect_column_values_to_be_between with .*{column}.* cannot be"):
        _validate(_raw(), declared)


def test_the_summary_is_json_whatever_the_yaml_held() -> None:
    dates = {"column": "shop", "value_set": ["2013-02-09"]}
    found = _validate(_raw(), {"expect": "expect_column_values_to_be_in_set", "arguments": dates, "on_fail": "warn"})
    summary = json.loads(json.dumps(found.validation.summary()))
    assert (summary["verdict"], summary["rows"], summary["quarantined"]) == ("warned", ROWS, 0)
    assert summary["checks"][-1]["arguments"]["value_set"] == ["2013-02-09"]


def test_a_partition_without_rows_passes_unless_an_expectation_counts_them() -> None:
    empty = _raw().iloc[:0]
    assert _validate(empty, BETWEEN).validation.verdict == "passed"
    least = {"expect": "expect_table_row_count_to_be_between", "arguments": {"min_value": 1}}
    assert _validate(empty, least).validation.verdict == "stopped"


def test_what_the_source_gave_is_not_changed() -> None:
    raw = _raw()
    raw.loc[3, "amount"] = -1.0
    before = raw.copy()
    _validate(raw, {**BETWEEN, "on_fail": "quarantine"})
    pd.testing.assert_frame_equal(raw, before)


def _raw() -> pd.DataFrame:
    numbers = range(ROWS)
    return pd.DataFrame(
        {
            "shop": pd.array([f"shop {number}" for number in numbers], dtype="string"),
            "hour": pd.array(numbers, dtype="Int64"),
            "amount": [float(number) for number in numbers],
        }
    )


def _validate(raw: pd.DataFrame, *expectations: dict[str, Any], **changes: Any) -> Judged:
    return judged(dataset(*expectations, **changes), raw)


def test_a_key_column_cannot_be_nullable_as_rows_without_a_key_pass_as_unique_and_break_joins() -> None:
    columns = [{**column, "nullable": True} if column["name"] == "hour" else column for column in DATASET["columns"]]
    with pytest.raises(ValidationError, match="hour is nullable, and a row without its key can be found and joined by nothing"):
        dataset(columns=columns)


def test_a_reason_that_holds_the_mark_between_reasons_stays_one() -> None:
    reasons = ["expect_column_values_to_be_in_set(value_set=['a; b', 'c'])", "expect_column_values_to_not_be_null(column=temp)", ";", "; "]
    assert split_reasons(join_reasons(reasons)) == reasons
    assert join_reasons(reasons[1:3]) == "expect_column_values_to_not_be_null(column=temp); ;"
