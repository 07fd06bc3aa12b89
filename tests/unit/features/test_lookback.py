"""Trailing figures and the latest row: their formulas, their windows, and what is not there."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.data.partitions import current_partition, read_partition
from include.evergreen.features import PointInTimeReader
from include.evergreen.features.build import FeatureCode, compute_features, load_code
from include.evergreen.features.lookback import NO_GROUP, group_numbers, latest_rows, looked_up, trailing_values, valid_rows
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Partition
from tests.unit.flights import NEW_YORK, january, republish

DAY = january(10)
ROWS = pd.DataFrame({"shop": pd.array(["a", "b", "c", None], dtype="string")}, index=[7, 3, 9, 1])
WINDOW = pd.DataFrame(
    {
        "shop": pd.Series(["a", "a", "a", "b", "b", None, "d"], dtype="string"),
        "value": [1.0, 20.0, np.nan, np.nan, np.nan, 5.0, 6.0],
    }
)


@pytest.mark.parametrize(
    ("agg", "threshold", "a", "b", "c"),
    [
        ("count", None, 2, 0, 0),
        ("sum", None, 21, np.nan, np.nan),
        ("mean", None, 10.5, np.nan, np.nan),
        ("rate", 15, 0.5, np.nan, np.nan),
        ("rate", 20, 0.0, np.nan, np.nan),
        ("missing", None, 1 / 3, 1.0, np.nan),
    ],
)
def test_each_figure_is_as_its_formula_says(agg: str, threshold: float | None, a: float, b: float, c: float) -> None:
    """Of a group with values, of one without any, of one that is not there; a row without a key is in none."""
    found = trailing_values(ROWS, WINDOW, keys=["shop"], column="value", agg=agg, threshold=threshold)  # type: ignore[arg-type]
    nothing = 0.0 if agg == "count" else np.nan
    pd.testing.assert_series_equal(found, pd.Series([a, b, c, nothing], index=ROWS.index, dtype="float64"))


def test_with_no_key_all_rows_are_one_group() -> None:
    assert trailing_values(ROWS, WINDOW, keys=[], column="value", agg="sum", threshold=None).tolist() == [32.0] * 4


def test_where_no_day_was_known_even_a_count_is_missing() -> None:
    assert trailing_values(ROWS, WINDOW.head(0), keys=["shop"], column="value", agg="count", threshold=None).isna().all()


@pytest.mark.parametrize("kind", ["Int64", "float64", "boolean"])
def test_figures_are_taken_of_every_kind_of_number(kind: str) -> None:
    window = pd.DataFrame({"shop": ["a", "a", "a"], "value": pd.Series([1, 0, None], dtype=kind)})
    assert trailing_values(ROWS, window, keys=["shop"], column="value", agg="mean", threshold=None).iloc[0] == 0.5


def test_a_count_of_texts_needs_no_numbers() -> None:
    window = pd.DataFrame({"shop": ["a", "a"], "value": pd.Series(["x", None], dtype="string")})
    assert trailing_values(ROWS, window, keys=["shop"], column="value", agg="count", threshold=None).iloc[0] == 1
    assert trailing_values(ROWS, window, keys=["shop"], column="value", agg="missing", threshold=None).iloc[0] == 0.5


def test_no_order_of_rows_changes_a_bit_of_a_sum() -> None:
    """With pandas' own sum it does, which is why this test can fail."""
    values = [random.Random(number).uniform(-1, 1) * 10 ** (number % 17) for number in range(2000)]
    window = pd.DataFrame({"shop": "a", "value": values})
    orders = [window.sample(frac=1, random_state=seed) for seed in range(20)]
    assert len({float(order["value"].to_numpy().sum()) for order in orders}) > 1
    for agg in ("sum", "mean"):
        figures = {trailing_values(ROWS, order, keys=["shop"], column="value", agg=agg, threshold=None).iloc[0] for order in orders}
        assert len(figures) == 1


@pytest.mark.usefixtures("flights")
def test_a_rate_over_seven_days_is_that_of_exactly_these_days(air_time: ModelConfig) -> None:
    rows = _reader(air_time).rows()
    found = _reader(air_time).trailing(rows, "outcomes", span="7 days", group_by="carrier", column="arr_delay", agg="rate", threshold=15)
    expected = pd.concat([_stored("outcomes", january(day)) for day in range(3, 10)]).dropna(subset=["arr_delay"])
    shares = {carrier: (mine["arr_delay"] > 15).sum() / len(mine) for carrier, mine in expected.groupby("carrier")}
    assert found.tolist() == rows["carrier"].map(shares).tolist()
    assert found.nunique() > 5


@pytest.mark.usefixtures("flights")
def test_a_day_whose_truth_is_late_adds_nothing_to_a_figure(air_time: ModelConfig) -> None:
    """8 January's outcomes were corrected on the 11th: on the 10th the figure is that of what was first known."""
    before = _count(air_time)
    late = NEW_YORK.start(january(11))
    republish("outcomes", january(8), lambda frame: frame.head(1), knowledge_time=late)
    assert _count(air_time).equals(before)
    later = PointInTimeReader(air_time, january(11), PartitionCache(january(11), model=air_time))
    counts = later.trailing(later.rows(), "outcomes", span="3 days", group_by=(), column="flight", agg="count")
    assert counts.iloc[0] == 1 + sum(len(_stored("outcomes", january(day))) for day in (9, 10))


@pytest.mark.usefixtures("flights")
@pytest.mark.parametrize(("agg", "threshold"), [("rate", None), ("mean", 15.0)])
def test_a_rate_says_above_what_and_nothing_else_does(air_time: ModelConfig, agg: str, threshold: float | None) -> None:
    reader = _reader(air_time)
    with pytest.raises(ConfigError, match=f"air_time: trailing.. takes threshold= with agg='rate', and with nothing else; got agg='{agg}'"):
        reader.trailing(reader.rows(), "outcomes", span="1 day", group_by="origin", column="arr_delay", agg=agg, threshold=threshold)  # type: ignore[arg-type]


@pytest.mark.usefixtures("flights")
@pytest.mark.parametrize(
    ("written", "older"), [("by='origin', column='wind_speed', take='mean'", "take=, by="), ("group_by='origin', above=1", "above=")]
)
def test_features_of_an_older_release_say_that_their_model_must_be_trained_anew(air_time: ModelConfig, written: str, older: str) -> None:
    text = f"def features(read):\n    return read.trailing(read.rows(), 'weather', span='1 day', {written}).to_frame()\n"
    reader = _reader(air_time)
    function = load_code(FeatureCode(text, "a kept features.py"))
    with pytest.raises(ConfigError) as refused:
        compute_features(air_time, reader, function, "a kept features.py", personal=True)
    assert str(refused.value) == (
        f"air_time: its features call trailing() with {older}: they were written for an older Evergreen. "
        "Write agg=, group_by= and threshold= in features.py in place of take=, by= and above=, and train the model anew."
    )


@pytest.mark.usefixtures("flights")
def test_the_latest_row_is_that_before_midnight_unless_a_row_has_a_moment_of_its_own(air_time: ModelConfig) -> None:
    reader = _reader(air_time)
    rows = pd.DataFrame({"origin": ["EWR", "JFK", "nowhere"], "left": [_hour(9, 5), _hour(9, 0) - dt.timedelta(hours=30), _hour(9, 5)]})
    observed = _stored("weather", january(9)).set_index(["origin", "time_hour"])["temp"]
    latest = reader.latest(rows, "weather", span="2 days", by="origin", time="time_hour", columns=["temp", "time_hour"])
    last_hour = NEW_YORK.start(DAY) - dt.timedelta(hours=1)  # the day's file ends with its day, and so before the moment of scoring
    assert latest["time_hour"].tolist()[:2] == [last_hour] * 2
    assert latest["temp"].tolist()[:2] == [observed["EWR", last_hour], observed["JFK", last_hour]]
    assert _stored("weather", january(9))["time_hour"].max() == last_hour
    assert latest.iloc[2].isna().all()
    own = reader.latest(rows, "weather", span="2 days", by="origin", time="time_hour", columns=["temp", "time_hour"], at="left")
    assert own["temp"].iloc[0] == observed["EWR", _hour(9, 5)]
    assert pd.isna(own["temp"].iloc[1])  # two days go back no further


def test_of_several_at_one_moment_the_greatest_counts_in_any_order() -> None:
    window = pd.DataFrame({"shop": ["a"] * 4, "time": [_hour(9, 1)] * 3 + [_hour(9, 0)], "value": [2.0, 3.0, np.nan, 9.0]})
    for seed in range(10):
        found = _latest(window.sample(frac=1, random_state=seed))
        assert found["value"].iloc[0] == 3.0


def test_the_moment_itself_is_in_time_and_a_microsecond_later_is_not() -> None:
    for late, value in ((0, 1.0), (1, None)):
        window = pd.DataFrame({"shop": ["a"], "time": [_hour(9, 1) + dt.timedelta(microseconds=late)], "value": [1.0]})
        found = _latest(window, moments=_hour(9, 1))["value"].iloc[0]
        assert found == value if value else np.isnan(found)


def test_columns_may_have_any_name() -> None:
    rows = pd.DataFrame({"group": ["a", "b"], "row": [5, 6]})
    window = pd.DataFrame({"group": ["a", "a"], "moment": [_hour(9, 1), _hour(9, 2)], "row": [7, 8]})
    names = ["group", "moment", "row"]
    found = latest_rows(rows, window, keys=["group"], time="moment", columns=names, moments=_hour(9, 3), tolerance=None)
    assert found.loc[0].tolist() == ["a", _hour(9, 2), 8]
    assert found.loc[1].isna().all()


def test_what_is_older_than_the_tolerance_is_missing() -> None:
    window = pd.DataFrame({"shop": ["a"], "time": [_hour(9, 1)], "value": [1.0]})
    assert _latest(window, moments=_hour(9, 3), tolerance=dt.timedelta(hours=2))["value"].iloc[0] == 1.0
    assert np.isnan(_latest(window, moments=_hour(9, 3), tolerance=dt.timedelta(hours=1, minutes=59))["value"].iloc[0])


def test_rows_without_a_key_or_a_moment_have_no_latest_row_and_keep_their_index() -> None:
    window = pd.DataFrame({"shop": ["a", None], "time": [_hour(9, 1), _hour(9, 1)], "value": [1.0, 2.0]})
    moments = pd.Series([_hour(9, 2), _hour(9, 2), _hour(9, 2), _hour(9, 2)], index=ROWS.index)
    found = _latest(window, moments=moments)
    assert found.index.equals(ROWS.index)
    assert found["value"].notna().tolist() == [True, False, False, False]
    assert _latest(window, moments=moments.where(moments.index != 7))["value"].isna().all()
    assert _latest(window.head(0), moments=moments)["value"].isna().all()


def _latest(window: pd.DataFrame, *, moments: pd.Series | dt.datetime | None = None, tolerance: dt.timedelta | None = None) -> pd.DataFrame:
    return latest_rows(
        ROWS,
        window,
        keys=["shop"],
        time="time",
        columns=["value"],
        moments=_hour(9, 23) if moments is None else moments,
        tolerance=tolerance,
    )


def _hour(day: int, hour: int) -> dt.datetime:
    return NEW_YORK.start(january(day)) + dt.timedelta(hours=hour)


def _count(model: ModelConfig) -> pd.Series:
    reader = _reader(model)
    return reader.trailing(reader.rows(), "outcomes", span="7 days", group_by="carrier", column="arr_delay", agg="count")


def _reader(model: ModelConfig) -> PointInTimeReader:
    return PointInTimeReader(model, DAY, PartitionCache(DAY, model=model))


def _stored(dataset: str, day: Partition) -> pd.DataFrame:
    version = current_partition(dataset, day)
    assert version is not None
    return read_partition(version)


@pytest.mark.parametrize(("edition", "expected"), [(2, "the correction"), (1, "the greater value")])
def test_of_several_rows_of_one_time_the_one_that_was_known_last_counts(
    air_time: ModelConfig, flights: Path, edition: int, expected: str
) -> None:
    """A version that was trained before keeps the order of before: by value."""
    moment = _hour(8, 12)
    for day, temp in ((8, 70.0), (9, 30.0)):  # what came with the next day's partition corrects what came with the day's own

        def changed(rows: pd.DataFrame, temp: float = temp) -> pd.DataFrame:
            one = rows["origin"].eq("EWR") & ~rows["origin"].duplicated()
            return rows.assign(time_hour=rows["time_hour"].where(~one, moment), temp=rows["temp"].where(~one, temp))

        republish("weather", january(day), changed)
    reader = PointInTimeReader(air_time, january(20), PartitionCache(january(20), model=air_time), edition)
    rows = pd.DataFrame({"origin": pd.array(["EWR"], dtype="string"), "left": [moment]})
    found = reader.latest(rows, "weather", span="15 days", by="origin", time="time_hour", columns=["temp"], at="left")["temp"].tolist()
    assert found == [30.0 if expected == "the correction" else 70.0]


# --- looking up -------------------------------------------------------------------------------------------------------


def test_a_row_is_looked_up_by_its_keys_alone() -> None:
    table = pd.DataFrame(
        {"shop": pd.array(["c", "a", None], dtype="string"), "size": pd.array([3, None, 9], dtype="Int64")}, index=[5, 5, 6]
    )
    found = looked_up(ROWS, table, keys=["shop"], columns=["size"])
    expected = pd.DataFrame({"size": pd.array([None, None, 3, None], dtype="Int64")}, index=ROWS.index)
    assert found is not None
    pd.testing.assert_frame_equal(found, expected)
    empty = looked_up(ROWS, table.head(0), keys=["shop"], columns=["size"])
    assert empty is not None and empty["size"].isna().all() and empty.index.equals(ROWS.index)
    assert looked_up(ROWS, pd.concat([table, table]), keys=["shop"], columns=["size"]) is None


def test_of_rows_that_hold_for_a_time_the_one_is_found_that_held() -> None:
    table = pd.DataFrame(
        {
            "shop": pd.array(["a", "a", "a", "b"], dtype="string"),
            "tier": pd.array(["old", "new", "newest", "only"], dtype="string"),
            "since": pd.to_datetime(["2024-01-01", "2024-01-05", "2024-01-20", "2024-01-03"], utc=True),
            "until": pd.to_datetime(["2024-01-05", "2024-01-10", None, "2024-01-04"], utc=True),
        }
    )
    of_a = ["2023-12-31", "2024-01-01", "2024-01-04T23:59", "2024-01-05", "2024-01-10", "2024-01-19", "2030-01-01"]
    others = [("b", "2024-01-04"), ("c", "2024-01-04"), ("a", None), (None, "2024-01-04")]
    asked = [*(("a", at) for at in of_a), *others]
    rows = pd.DataFrame(
        {
            "shop": pd.array([shop for shop, _ in asked], dtype="string"),
            "at": pd.to_datetime([at for _, at in asked], utc=True, format="ISO8601"),
        },
        index=range(10, 10 + len(asked)),
    )
    arguments = {"keys": ["shop"], "valid_from": "since", "columns": ["tier"], "moments": rows["at"]}
    closed = [None, "old", "old", "new", None, None, "newest", None, None, None, None]
    open_ended = [None, "old", "old", "new", "new", "new", "newest", "only", None, None, None]
    for valid_to, tiers in (("until", closed), (None, open_ended)):
        for shuffled in (table, table.iloc[::-1]):
            found = valid_rows(rows, shuffled, valid_to=valid_to, **arguments)  # type: ignore[arg-type]
            assert found["tier"].astype(object).where(found["tier"].notna(), None).tolist() == tiers
            assert found.index.equals(rows.index)
    assert valid_rows(rows, table.head(0), valid_to="until", **arguments)["tier"].isna().all()  # type: ignore[arg-type]


def test_of_several_keys_equal_ones_are_one_group_in_all_frames_and_a_missing_one_is_none() -> None:
    rows = pd.DataFrame({"carrier": ["AA", "UA", "UA", None], "flight": pd.array([1, 2, None, 1], dtype="Int64")})
    window = pd.DataFrame({"carrier": ["UA", "AA", "UA", "AA"], "flight": pd.array([2, 2, 1, 1], dtype="Int64")})
    wanted, given = group_numbers([rows, window], ["carrier", "flight"])
    assert list(wanted) == [given[3], given[0], NO_GROUP, NO_GROUP]
    assert len(set(given)) == 4 and given.min() >= 0
