"""What a dataset.yaml says of a partition beyond its expectations: volume, freshness, references, correlation, columns."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.evergreen.data.partitions import publish_partition
from include.evergreen.data.partitions.files import arrow_schema
from include.evergreen.data.validation import CheckResult, RawRows, Validation, validate
from include.evergreen.data.validation.correlations import Moments
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.state import storage
from tests.unit.data.validation.judged import DATASET, DAY, dataset, delivered, judged

pytestmark = pytest.mark.usefixtures("home")
_numbers = itertools.count()


def ago(days: int) -> Partition:
    return DAILY.shift(DAY, -days)


def publish(name: str, day: Partition, rows: pd.DataFrame, *, quarantined: int = 0) -> None:
    """A partition as ingestion would leave it."""
    digest = f"{next(_numbers):064x}"
    path = f"datasets/{name}/{day}/{digest[-16:]}.parquet"
    storage.write_frame(path, rows)
    content = {
        "digest": digest,
        "path": path,
        "rows": len(rows),
        "quarantine_digest": "",
        "quarantine_path": "",
        "quarantined": quarantined,
        "source_rows": len(rows) + quarantined,
    }
    publish_partition(dataset=name, partition=day, content=content, known_at=lambda _: DAILY.start(day), origin="live")


def sales(rows: int = 10) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "shop": pd.array([f"shop {number % 4}" for number in range(rows)], dtype="string"),
            "hour": pd.array(range(rows), dtype="Int64"),
            "amount": [float(number) for number in range(rows)],
        }
    )


def check_of(validation: Validation, name: str) -> CheckResult:
    (found,) = [each for each in validation.checks if each.expectation == name]
    return found


# --- volume ---------------------------------------------------------------------------------------------------------

VOLUME = {"window": "5 partitions", "min_history": "3 partitions", "at_least": 0.5, "at_most": 2.0}


@pytest.mark.parametrize(("rows", "status"), [(9, "failed"), (10, "passed"), (20, "passed"), (40, "passed"), (41, "failed"), (0, "failed")])
def test_the_volume_is_held_against_the_median_of_the_partitions_before(rows: int, status: str) -> None:
    for days, count in enumerate([20, 400, 19, 21, 3], start=1):
        publish("sales", ago(days), sales(count))
    found = judged(dataset(volume=VOLUME), sales(rows)).validation
    assert check_of(found, "volume").status == status
    assert check_of(found, "volume").observed.startswith(f"{rows} rows; the median of the 5 partitions before is 20")
    assert found.verdict == ("passed" if status == "passed" else "warned")


def test_what_came_later_or_long_before_or_belongs_to_another_dataset_does_not_count() -> None:
    for days in (1, 2, 3, 4, 5):
        publish("sales", ago(days), sales(20))
        publish("returns", ago(days), sales(900))
        publish("sales", ago(-days), sales(900))
    for days in (6, 7, 8, 9, 10, 11):
        publish("sales", ago(days), sales(900))
    publish("sales", DAY, sales(900))
    assert "median of the 5 partitions before is 20" in check_of(judged(dataset(volume=VOLUME), sales()).validation, "volume").observed


def test_the_current_version_counts_with_all_that_was_delivered_the_quarantined_included() -> None:
    for days in (1, 2, 3):
        publish("sales", ago(days), sales(900))
        publish("sales", ago(days), sales(15), quarantined=5)
    assert "median of the 3 partitions before is 20" in check_of(judged(dataset(volume=VOLUME), sales()).validation, "volume").observed


def test_with_too_few_partitions_before_the_volume_is_not_evaluated_and_nothing_fails() -> None:
    publish("sales", ago(1), sales(900))
    found = judged(dataset(volume={**VOLUME, "on_fail": "error"}), sales()).validation
    volume = check_of(found, "volume")
    assert (volume.status, volume.observed) == (
        "not_evaluated",
        "1 earlier partitions are there to compare with, and min_history is 3 partitions",
    )
    assert (found.verdict, found.reason) == ("passed", "4 checks passed, 1 not evaluated")


def test_a_volume_may_stop_the_partition() -> None:
    for days in (1, 2, 3):
        publish("sales", ago(days), sales(900))
    found = judged(dataset(volume={**VOLUME, "on_fail": "error"}), sales(3)).validation
    assert found.verdict == "stopped"
    assert "3 rows; the median of the 3 partitions before is 900, 0.00 times it" in found.reason


# --- freshness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "status"), [(29, "passed"), (30, "passed"), (30.5, "failed"), (300, "failed")])
def test_a_live_delivery_must_arrive_by_its_deadline(hours: float, status: str) -> None:
    arrived = DAILY.start(DAY) + dt.timedelta(hours=hours)
    found = judged(dataset(freshness={"hours_after_partition": 30}), sales(), delivered(arrived=arrived)).validation
    assert check_of(found, "freshness").status == status
    assert "with a deadline of 2013-02-10 06:00 UTC" in check_of(found, "freshness").observed
    if hours == 30.5:
        assert check_of(found, "freshness").observed.endswith("0.5 hours late")


def test_a_backfill_has_no_deadline() -> None:
    arrived = DAILY.start(DAY) + dt.timedelta(days=3000)
    found = judged(dataset(freshness={"hours_after_partition": 30}), sales(), delivered(live=False, arrived=arrived)).validation
    assert (check_of(found, "freshness").status, found.verdict) == ("not_evaluated", "passed")


# --- undeclared columns ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "verdict"), [("warn", "warned"), ("error", "stopped")])
def test_a_column_that_is_not_declared_is_told_by_its_name(action: str, verdict: str) -> None:
    found = judged(dataset(undeclared_columns=action), sales(), delivered(undeclared=("colour", "size"))).validation
    assert (found.verdict, found.reason) == (verdict, "undeclared_columns(): found colour, size")


def test_a_column_without_a_name_is_told_in_words() -> None:
    found = judged(dataset(undeclared_columns="warn"), sales(), delivered(undeclared=("colour", ""))).validation
    assert found.reason == "undeclared_columns(): found colour, a column without a name (does the header end in a delimiter?)"


def test_columns_that_are_not_declared_may_be_ignored() -> None:
    found = judged(dataset(undeclared_columns="ignore"), sales(), delivered(undeclared=("colour",))).validation
    assert found.verdict == "passed"
    assert "undeclared_columns" not in [each.expectation for each in found.checks]


# --- references -----------------------------------------------------------------------------------------------------

REFERENCE: dict[str, Any] = {"columns": ["shop"], "dataset": "shops"}


def test_a_row_that_names_what_the_other_dataset_has_not_is_quarantined_with_the_reason() -> None:
    publish("shops", DAY, pd.DataFrame({"shop": ["shop 0", "shop 1", "shop 2"]}))
    found = judged(dataset(references=[REFERENCE], max_share=0.5), sales())
    assert found.quarantined["hour"].tolist() == [3, 7]
    assert set(found.validation.reasons()) == {"reference(shop -> shops)"}
    check = check_of(found.validation, "reference")
    assert (check.failed_rows, check.examples) == (2, ("shop 3", "shop 3"))


@pytest.mark.parametrize(("on_fail", "verdict"), [("warn", "warned"), ("error", "stopped")])
def test_a_reference_may_stop_or_warn_and_then_quarantines_nothing(on_fail: str, verdict: str) -> None:
    publish("shops", DAY, pd.DataFrame({"shop": ["shop 0", "shop 1", "shop 2"]}))
    found = judged(dataset(references=[{**REFERENCE, "on_fail": on_fail}]), sales()).validation
    assert (found.verdict, len(found.failing), check_of(found, "reference").failed_rows) == (verdict, 0, 2)


def test_several_columns_must_be_found_together_and_under_their_names_there() -> None:
    publish("openings", DAY, pd.DataFrame({"place": ["shop 0", "shop 1", "shop 2", "shop 3"], "at": [0, 5, 2, 3]}))
    reference = {"columns": ["shop", "hour"], "dataset": "openings", "to": ["place", "at"]}
    found = judged(dataset(references=[reference], max_share=1), sales(6))
    assert found.quarantined["hour"].tolist() == [1, 4]  # shop 1 at 1, shop 0 at 4: each is there, not together
    assert check_of(found.validation, "reference").examples == ("shop 1, 1", "shop 0, 4")


def test_a_row_with_a_missing_value_is_not_asked() -> None:
    publish("prices", DAY, pd.DataFrame({"amount": [0.0, 1.0]}))
    raw = sales(4)
    raw.loc[2:, "amount"] = np.nan
    assert judged(dataset(references=[{"columns": ["amount"], "dataset": "prices"}]), raw).validation.verdict == "passed"
    publish("prices", DAY, pd.DataFrame({"shop": ["shop 0", "shop 1"], "amount": [0.0, 1.0]}))
    both = {"columns": ["shop", "amount"], "dataset": "prices"}
    assert judged(dataset(references=[both]), raw).validation.verdict == "passed"


def test_it_looks_into_the_days_that_it_names() -> None:
    for days in (2, 3):
        publish("shops", ago(days), pd.DataFrame({"shop": [f"shop {days}"]}))
    for days in (0, 1, 4):
        publish("shops", ago(days), pd.DataFrame({"shop": ["shop 0"]}))
    found = judged(dataset(references=[{**REFERENCE, "lag": "2 days", "window": "2 days"}], max_share=1), sales(4))
    assert found.quarantined["shop"].tolist() == ["shop 0", "shop 1"]
    assert check_of(found.validation, "reference").observed == "looked into 2 of 2 partitions, 2 values"


def test_without_the_other_datasets_partition_a_reference_is_not_evaluated_and_says_what_is_missing() -> None:
    publish("shops", ago(1), pd.DataFrame({"shop": ["shop 0"]}))
    found = judged(dataset(references=[{**REFERENCE, "on_fail": "error"}]), sales()).validation
    reference = check_of(found, "reference")
    assert (reference.status, found.verdict) == ("not_evaluated", "passed")
    assert reference.observed == f"shops has no partition {DAY}; ingest it first, then this one again"


def test_an_empty_partition_there_is_one_that_has_nothing() -> None:
    publish("shops", DAY, pd.DataFrame({"shop": pd.array([], dtype="string")}))
    assert len(judged(dataset(references=[REFERENCE], max_share=1), sales()).validation.failing) == 10


def test_a_reference_to_a_column_that_is_not_there_or_of_another_type_is_the_authors_fault() -> None:
    publish("shops", DAY, pd.DataFrame({"shop": ["shop 0"], "opened": ["noon"]}))
    with pytest.raises(ConfigError, match="sales: a reference asks shops for hour, which it has not; name its columns with `to`"):
        judged(dataset(references=[{"columns": ["hour"], "dataset": "shops"}]), sales())
    with pytest.raises(ConfigError, match="sales: hour cannot refer to opened of shops, which has other types: string instead of int64"):
        judged(dataset(references=[{"columns": ["hour"], "dataset": "shops", "to": ["opened"]}]), sales())


# --- correlation ----------------------------------------------------------------------------------------------------

CORRELATION: dict[str, Any] = {"columns": ["hour", "amount"], "first": "2013-01-01", "last": "2013-01-31", "max_difference": 0.3}


def test_columns_that_no_longer_go_together_are_told() -> None:
    for day in (1, 2, 3):
        publish("sales", f"2013-01-{day:02}", sales(20))
    config = dataset(correlations=[CORRELATION])
    assert check_of(judged(config, sales()).validation, "correlation").status == "passed"
    reversed_amounts = sales().assign(amount=lambda rows: -rows["amount"])
    found = judged(config, reversed_amounts).validation
    assert (check_of(found, "correlation").status, found.verdict) == ("failed", "warned")
    assert check_of(found, "correlation").observed == "-1.000; in the reference period (3 partitions) 1.000"


def test_rows_that_are_quarantined_have_no_part_in_it() -> None:
    publish("sales", "2013-01-01", sales(20))
    raw = sales(30)
    raw.loc[0, "amount"] = 1e9
    between = {"expect": "expect_column_values_to_be_between", "arguments": {"column": "amount", "max_value": 99}, "on_fail": "quarantine"}
    config = dataset(between, correlations=[CORRELATION])
    assert judged(config, raw).validation.verdict == "quarantined"
    assert check_of(judged(config, raw).validation, "correlation").status == "passed"
    assert check_of(judged(dataset(correlations=[CORRELATION]), raw).validation, "correlation").status == "failed"


def test_without_a_reference_period_or_within_it_a_correlation_is_not_evaluated() -> None:
    config = dataset(correlations=[{**CORRELATION, "on_fail": "error"}])
    found = judged(config, sales()).validation
    assert check_of(found, "correlation").observed == "no partition from 2013-01-01 to 2013-01-31 is ingested"
    publish("sales", "2013-01-01", sales(20))
    within = judged(config, sales(), delivered("2013-01-05")).validation
    assert check_of(within, "correlation").observed == "the partition belongs to the reference period"
    constant = judged(config, sales().assign(amount=3.0)).validation
    assert "have no correlation here" in check_of(constant, "correlation").observed
    assert {found.verdict, within.verdict, constant.verdict} == {"passed"}


def test_moments_that_are_summed_by_parts_give_numpys_correlation_far_from_zero_too() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(1e9, 1, 4000)
    y = x + rng.normal(0, 1, 4000)
    x[::7], y[::11] = np.nan, np.inf
    kept = np.isfinite(x) & np.isfinite(y)
    whole = Moments()
    for part in np.array_split(np.arange(4000), 13):
        whole = whole + Moments.of(x[part], y[part])
    assert whole.rows == kept.sum()
    assert whole.correlation == pytest.approx(np.corrcoef(x[kept], y[kept])[0, 1], abs=1e-9)


@pytest.mark.parametrize("columns", [["shop", "amount"], ["hour", "shop"]])
def test_a_correlation_of_texts_is_refused_when_the_yaml_is_read(columns: list[str]) -> None:
    with pytest.raises(ValueError, match="shop is a string"):
        dataset(correlations=[{**CORRELATION, "columns": columns}])


def test_a_delivery_without_a_single_row_is_judged_too(tmp_path: Path) -> None:
    publish("shops", DAY, pd.DataFrame({"shop": ["shop 0"]}))
    for day in range(1, 10):
        publish("sales", ago(day), sales(20))
    unique = {"expect": "expect_column_values_to_be_unique", "arguments": {"column": "shop"}, "on_fail": "quarantine"}
    columns = {"expect": "expect_table_column_count_to_equal", "arguments": {"value": 3}}
    config = dataset(unique, columns, references=[REFERENCE], correlations=[CORRELATION], volume=VOLUME)
    file = tmp_path / "none.parquet"
    pq.ParquetWriter(file, arrow_schema(config)).close()  # without a row group, as ingestion leaves it
    found = validate(config, RawRows(file), delivered())
    assert {each.expectation: each.status for each in found.checks if each.status != "passed"} == {
        "volume": "failed",
        "correlation": "not_evaluated",
    }
    assert found.log_lines()[0] == "warned: 0 of 0 rows accepted, 0 quarantined; 1 of 9 checks failed"


# --- what is usual, and what is personal ----------------------------------------------------------------------------


def test_the_log_says_in_a_few_lines_what_failed_and_how_the_rows_compare_with_the_partitions_before() -> None:
    for days in range(1, 41):
        publish("sales", ago(days), sales(20 if days <= 30 else 900), quarantined=0)
    raw = sales(25)
    raw.loc[3, "amount"] = -1.0
    between = {"expect": "expect_column_values_to_be_between", "arguments": {"column": "amount", "min_value": 0}, "on_fail": "quarantine"}
    assert judged(dataset(between, references=[REFERENCE]), raw).validation.log_lines() == [
        "quarantined: 24 of 25 rows accepted (96.00%), 1 quarantined; 1 of 6 checks failed",
        "the median of the 30 partitions before: 20 rows delivered (+25%), 0 quarantined",
        "failed (4.00%), on_fail quarantine: expect_column_values_to_be_between(column=amount, min_value=0): 1 row, such as -1.0",
        "reference(columns=['shop'], dataset=shops): not evaluated: shops has no partition 2013-02-09; "
        "ingest it first, then this one again",
    ]


def test_the_first_partition_is_compared_with_nothing() -> None:
    assert judged(dataset(), sales()).validation.log_lines() == [
        "passed: 10 of 10 rows accepted (100.00%), 0 quarantined; 0 of 4 checks failed"
    ]


def test_the_same_rows_beside_the_same_partitions_give_the_same_result() -> None:
    publish("shops", DAY, pd.DataFrame({"shop": ["shop 0"]}))
    for day in range(1, 10):
        publish("sales", f"2013-01-{day:02}", sales(20))
    config = dataset(references=[REFERENCE], correlations=[CORRELATION], volume=VOLUME, max_share=1)
    first, second = (
        judged(config, sales(), delivered(live=False, arrived=timestamp)).validation for timestamp in (DAILY.start(DAY), clock.now())
    )
    assert (first.summary(), first.reasons()) == (second.summary(), second.reasons())


def test_no_value_of_a_personal_column_is_in_what_is_stored_logged_or_raised() -> None:
    columns = [{**column, "personal": column["name"] == "shop"} for column in DATASET["columns"]]
    raw = sales(8).assign(shop=[f"Jane Doe {number}" for number in range(8)])
    raw.loc[5, "shop"] = raw.loc[4, "shop"]
    raw.loc[5, "hour"] = 4
    publish("shops", DAY, pd.DataFrame({"shop": ["shop 0"], "hour": [1]}))
    expectations = [
        {"expect": "expect_column_values_to_match_regex", "arguments": {"column": "shop", "regex": "^x"}, "on_fail": "quarantine"},
        {"expect": "expect_column_most_common_value_to_be_in_set", "arguments": {"column": "shop", "value_set": ["x"]}, "on_fail": "warn"},
        {"expect": "expect_column_distinct_values_to_be_in_set", "arguments": {"column": "shop", "value_set": ["x"]}, "on_fail": "warn"},
        {"expect": "expect_column_values_to_be_unique", "arguments": {"column": "shop"}, "on_fail": "warn"},
    ]
    references = [{"columns": ["shop"], "dataset": "shops"}, {"columns": ["shop", "hour"], "dataset": "shops"}]
    found = judged(dataset(*expectations, columns=columns, references=references, max_share=1), raw).validation
    assert sum(each.failed for each in found.checks) == 7  # the keys, the four above, and the two references
    told = f"{found.summary()} {found.log_lines()} {found.reason} {found.reasons()} {found.checks}"
    assert "Jane" not in told
    assert "(personal: not shown)" in told
    broken = {"expect": "expect_column_mean_to_be_between", "arguments": {"column": "shop", "min_value": 1}}
    with pytest.raises(ConfigError) as raised:
        judged(dataset(broken, columns=columns), raw)
    assert "Jane" not in str(raised.value)
    assert raised.value.__cause__ is None, "the task's log would show what Great Expectations quoted"
