from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import DAILY, EARLIEST, LATEST, Grain, Partition, parse_any
from include.evergreen.foundation.numbering import UNITS
from include.evergreen.foundation.span import Span

NEW_YORK = Grain("day", "America/New_York")
ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Pacific/Kiritimati",
]
EXAMPLES = {
    "15min": ("2013-02-09T0515Z", "2013-02-09T0530Z"), "30min": ("2013-02-09T0530Z", "2013-02-09T0600Z"),
    "hour": ("2013-02-09T2300Z", "2013-02-10T0000Z"), "day": ("2013-02-28", "2013-03-01"), "week": ("2012-12-31", "2013-01-07"),
    **{f"{hours} hours": (f"2013-02-09T{24 - hours}00Z", "2013-02-10T0000Z") for hours in (2, 3, 4, 6, 8, 12)},
    "week from Tuesday": ("2012-12-25", "2013-01-01"), "week from Wednesday": ("2012-12-26", "2013-01-02"),
    "week from Thursday": ("2012-12-27", "2013-01-03"), "week from Friday": ("2012-12-28", "2013-01-04"),
    "week from Saturday": ("2012-12-29", "2013-01-05"), "week from Sunday": ("2012-12-30", "2013-01-06"),
    "month": ("2012-12-01", "2013-01-01"), "quarter": ("2012-10-01", "2013-01-01"), "year": ("2012-01-01", "2013-01-01"),
}  # fmt: skip
grains = st.builds(Grain, st.sampled_from(UNITS), st.sampled_from(ZONES)).map(lambda g: g if g.is_of_days else Grain(g.unit))
moments = st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2150, 1, 1), timezones=st.sampled_from([dt.UTC, ZoneInfo("Asia/Tokyo")]))


@pytest.mark.parametrize("unit", UNITS)
def test_a_key_names_the_beginning_of_its_partition(unit: str) -> None:
    key, following = EXAMPLES[unit]
    grain = Grain(unit)
    assert grain.parse(key) == key
    assert grain.shift(key, 1) == following
    assert grain.shift(following, -1) == key
    assert grain.end(key) == grain.start(following)


@given(grains, moments)
def test_every_moment_is_in_the_partition_that_it_is_said_to_be_in(grain: Grain, moment: dt.datetime) -> None:
    partition = grain.at(moment)
    assert grain.start(partition) <= moment < grain.end(partition)
    assert grain.parse(partition) == partition
    assert grain.numbered(grain.number(partition)) == partition


@given(grains, moments, st.integers(1, 60))
def test_the_order_of_keys_is_the_order_of_time(grain: Grain, moment: dt.datetime, count: int) -> None:
    keys = grain.between(first := grain.at(moment), grain.shift(first, count))
    assert len(keys) == count + 1
    assert keys == sorted(keys)
    starts = [grain.start(key) for key in keys]
    assert starts == sorted(set(starts))
    assert all(EARLIEST < key < LATEST for key in keys)
    assert all(grain.end(key) == start for key, start in zip(keys, starts[1:], strict=False))


def test_a_range_has_both_ends_and_none_when_it_ends_before_it_begins() -> None:
    assert DAILY.between("2013-02-27", "2013-03-01") == ["2013-02-27", "2013-02-28", "2013-03-01"]
    assert DAILY.between("2013-02-27", "2013-02-27") == ["2013-02-27"]
    assert DAILY.between("2013-03-01", "2013-02-27") == []


def test_a_day_of_new_york_is_23_hours_long_when_clocks_are_set_forward_and_25_when_they_are_set_back() -> None:
    lengths = {day: NEW_YORK.end(day) - NEW_YORK.start(day) for day in ("2013-03-09", "2013-03-10", "2013-11-03")}
    assert [length / dt.timedelta(hours=1) for length in lengths.values()] == [24, 23, 25]
    assert NEW_YORK.start("2013-01-20") == dt.datetime(2013, 1, 20, 5, tzinfo=dt.UTC)


def test_the_hour_that_happens_twice_has_two_keys() -> None:
    hour, zone = Grain("hour"), ZoneInfo("America/New_York")
    twice = [dt.datetime(2013, 11, 3, 1, 30, tzinfo=zone, fold=fold) for fold in (0, 1)]
    assert [hour.at(moment) for moment in twice] == ["2013-11-03T0500Z", "2013-11-03T0600Z"]


def test_days_are_added_in_the_time_zone_of_the_grain() -> None:
    assert NEW_YORK.plus("2013-03-09", Span(2, "day")) == "2013-03-11"
    assert Grain("hour").plus("2013-02-28T2300Z", Span(1, "day")) == "2013-03-01T2300Z"
    assert Grain("month").minus("2013-03-01", Span(1, "month")) == "2013-02-01"
    assert Grain("week").minus("2013-01-07", Span(7, "day")) == "2012-12-31"


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("hour", ("2013-02-09T0000Z", "2013-02-10T2300Z")), ("8 hours", ("2013-02-09T0000Z", "2013-02-10T1600Z")),
        ("0 6,18 * * *", ("2013-02-09T0600Z", "2013-02-10T1800Z")), ("0 6 * * 1", ("2013-02-04T0600Z", "2013-02-04T0600Z")),
        ("0 0 1,16 * *", ("2013-02-01", "2013-02-01")), ("week from Sunday", ("2013-02-03", "2013-02-10")),
        ("day", ("2013-02-09", "2013-02-10")), ("week", ("2013-02-04", "2013-02-04")),
        ("month", ("2013-02-01", "2013-02-01")),
    ],
)  # fmt: skip
def test_a_range_of_dates_stands_for_the_partitions_of_these_days(unit: str, expected: tuple[str, str]) -> None:
    assert Grain(unit).of_dates(dt.date(2013, 2, 9), dt.date(2013, 2, 10)) == expected


def test_a_partition_key_is_a_real_date() -> None:
    assert DAILY.parse("2013-02-09") == "2013-02-09"
    assert DAILY.parse("2012-02-29") == "2012-02-29"


@pytest.mark.parametrize(
    "key",
    [
        "2013-02-30", "0000-01-01", "2013-1-1", "13-02-09", "20130209", "2013/02/09", " 2013-02-09", "2013-02-09\n",
        "2013-02-09T00:00:00", "junk; drop table", "../../etc", "", "٢٠١٣-02-09", None, 20130209, dt.date(2013, 2, 9),
    ],
)  # fmt: skip
def test_anything_else_is_refused(key: object) -> None:
    with pytest.raises(ConfigError, match="is not a date. Write it as YYYY-MM-DD, such as 2013-02-09"):
        DAILY.parse(key)


@pytest.mark.parametrize("key", ["2013-02-09T0600Z", "2013-02-09", "2013-02-09T06:00"])
def test_of_times_of_a_zone_anything_but_a_time_of_it_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="is not a time of America/New_York. Write it as YYYY-MM-DDTHHMM, such as 2013-02-09T0600"):
        Grain("6 hours", "America/New_York").parse(key)


@pytest.mark.parametrize("key", ["2013-02-09", "2013-02-09T05:00Z", "2013-02-09T0500", "2013-02-09T2400Z", "2013-02-30T0500Z"])
def test_of_hours_anything_but_a_time_in_utc_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="is not a time in UTC. Write it as YYYY-MM-DDTHHMMZ, such as 2013-02-09T1200Z"):
        Grain("hour").parse(key)


def test_a_key_within_a_partition_is_refused_and_names_the_partition() -> None:
    with pytest.raises(ConfigError, match="as_of 2013-02-09 is not the beginning of a week. Write 2013-02-04, which it is in"):
        Grain("week").parse("2013-02-09", subject="as_of")
    with pytest.raises(ConfigError, match="2013-02-09T0530Z is not the beginning of an hour"):
        Grain("hour").parse("2013-02-09T0530Z")
    with pytest.raises(ConfigError, match="2013-02-09T0800Z is not the beginning of a 6-hour period. Write 2013-02-09T0600Z"):
        Grain("6 hours").parse("2013-02-09T0800Z")
    with pytest.raises(ConfigError, match="2013-02-09 is not the beginning of a period. Write 2013-02-01, which it is in"):
        Grain("0 0 1,16 * *").parse("2013-02-09")


@pytest.mark.parametrize(
    ("unit", "timezone", "keys"),
    [
        ("day", "UTC", ["2013-02-09"]),
        ("0 0 1,16 * *", "UTC", ["2013-02-16"]),
        ("15min", "UTC", ["2013-02-09T0515Z"]),
        ("10 6,18 * * *", "UTC", ["2013-02-09T0610Z"]),
        ("6 hours", "America/New_York", ["2013-02-09T0600"]),
    ],
)
def test_a_key_is_read_where_nothing_says_of_which_grain_it_is(unit: str, timezone: str, keys: list[str]) -> None:
    assert [Grain(unit, timezone).parse(key) for key in keys] == [parse_any(key) for key in keys] == keys


@pytest.mark.parametrize("key", ["yesterday", "1899-12-31", "2013-02-09T05:00", "2013-02-09T2500", "", None])
def test_what_is_a_key_of_no_grain_is_refused(key: object) -> None:
    with pytest.raises(ConfigError, match="^as_of .* is (not a date|out of range)"):
        parse_any(key, subject="as_of")


@pytest.mark.parametrize("key", ["1899-12-31", "2200-01-01"])
def test_a_year_that_windows_could_leave_the_calendar_from_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="is out of range"):
        DAILY.parse(key)


def test_the_refusal_names_what_was_asked_for_and_what_was_given() -> None:
    with pytest.raises(ConfigError, match="^as_of 'yesterday' is not a date"):
        DAILY.parse("yesterday", subject="as_of")


def test_a_very_long_key_does_not_fill_the_log() -> None:
    with pytest.raises(ConfigError) as refused:
        DAILY.parse("x" * 10_000)
    assert len(str(refused.value)) < 300


def test_a_recorded_key_of_another_grain_is_not_read_as_if_it_were_of_this_one() -> None:
    with pytest.raises(ConfigError, match="'2013-02-09' is not an hour.* recorded under another grain"):
        Grain("hour").start(Partition("2013-02-09"))


def test_a_run_stands_at_the_first_moment_of_its_day() -> None:
    assert DAILY.start("2013-02-09").isoformat() == "2013-02-09T00:00:00+00:00"
