"""Grains whose partitions are no plain units: weeks from any day, several hours, and what lies between the times of a cron expression."""

from __future__ import annotations

import datetime as dt
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from include.evergreen.config.schedule import PartitionSchedule, clock_problem
from include.evergreen.foundation.grain import Grain
from include.evergreen.foundation.numbering import UNITS, numbering_of

ZONES = ["America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu"]
DAYS = [
    "* * *",
    "1,16 * *",
    "* * 1-5",
    "* * 0,6",
    "1 * 1",
    "L * *",
    "* * 5#3",
    "* * L5",
    "29 2 *",
    "*/10 1-11 *",
    "1,L */3 *",
    "* 2 5#1,2#3",
]


def field(most: int, step: int) -> st.SearchStrategy[str]:
    numbers = st.lists(st.sampled_from(range(0, most, step)), min_size=1, max_size=4, unique=True)
    return numbers.map(lambda chosen: ",".join(map(str, sorted(chosen))))


crons = st.builds("{} {} {}".format, field(60, 15), st.one_of(field(24, 1), st.sampled_from(["*", "*/4"])), st.sampled_from(DAYS))
grains = st.builds(Grain, st.one_of(crons, st.sampled_from(UNITS)), st.sampled_from([*ZONES, "UTC"]))
years = st.integers(1990, 2036)


@cache
def changes(zone: str, year: int) -> list[dt.datetime]:
    """The days of a year in which its clock is put forward or set back; its first, where it never is."""
    days = [dt.datetime(year, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number) for number in range(366)]
    offsets = [day.astimezone(ZoneInfo(zone)).utcoffset() for day in days]
    return [day for day, (one, other) in zip(days, pairwise(offsets), strict=False) if one != other] or days[:1]


@settings(max_examples=40, deadline=None)
@given(crons, years)
def test_partitions_begin_when_croniter_says_that_the_expression_comes_round(cron: str, year: int) -> None:
    numbering, times = numbering_of(cron), croniter(cron, dt.datetime(year, 1, 1) - dt.timedelta(seconds=1))
    expected = [times.get_next(dt.datetime) for _ in range(30)]
    first = numbering.number(expected[0])
    assert [numbering.begins(first + number) for number in range(30)] == expected
    assert [numbering.number(time) for time in expected] == list(range(first, first + 30))
    assert [numbering.number(time - dt.timedelta(minutes=1)) for time in expected] == list(range(first - 1, first + 29))


@settings(max_examples=150, deadline=None)
@given(grains, years, st.data())
def test_partitions_follow_each_other_over_clock_changes_and_each_has_a_key(grain: Grain, year: int, data: st.DataObject) -> None:
    if grain.unit not in UNITS:  # such as check lets pass
        assume(not clock_problem(PartitionSchedule.model_construct(cron=grain.unit, run_offset=0, start=dt.date(year, 1, 1)), grain))
    moment = data.draw(st.sampled_from(changes(grain.timezone, year))) + data.draw(st.timedeltas(dt.timedelta(0), dt.timedelta(1)))
    middle = grain.at(moment)
    assert grain.start(middle) <= moment < grain.end(middle)
    keys = grain.between(grain.shift(middle, -6), grain.shift(middle, 6))
    assert keys == sorted(set(keys))
    assert [grain.number(key) for key in keys] == list(range(grain.number(keys[0]), grain.number(keys[0]) + 13))
    for key, following in pairwise(keys):
        assert grain.parse(key) == key
        assert grain.start(key) < grain.end(key) == grain.start(following)
        assert grain.at(grain.start(key)) == grain.at(grain.end(key) - dt.timedelta.resolution) == key


@pytest.mark.parametrize(
    ("zone", "unit", "hours"),
    [
        ("America/New_York", "6 hours", {"2013-03-10T0000": 5, "2013-03-10T0600": 6, "2013-11-03T0000": 7}),
        ("America/New_York", "2 hours", {"2013-03-10T0200": 1, "2013-11-03T0000": 3}),
        ("Europe/London", "8 hours", {"2013-03-31T0000": 7, "2013-10-27T0000": 9, "2013-10-27T0800": 8}),
        ("Australia/Lord_Howe", "3 hours", {"2013-10-06T0000": 2.5, "2013-04-07T0000": 3.5}),
        ("Europe/London", "0 6,18 * * *", {"2013-03-30T1800": 11, "2013-10-26T1800": 13, "2013-10-27T0600": 12}),
        ("Asia/Kathmandu", "0 6 * * *", {"1985-12-31T0600": 23.75}),
    ],
)
def test_a_partition_by_the_clock_of_a_zone_is_shorter_or_longer_when_the_clock_changes(
    zone: str, unit: str, hours: dict[str, float]
) -> None:
    grain = Grain(unit, zone)
    assert {key: (grain.end(grain.parse(key)) - grain.start(grain.parse(key))) / dt.timedelta(hours=1) for key in hours} == hours


def test_a_partition_begins_when_the_clock_first_shows_its_time() -> None:
    grain, zone = Grain("30 1 * * *", "America/New_York"), ZoneInfo("America/New_York")
    again = [dt.datetime(2013, 11, 3, 1, minute, tzinfo=zone, fold=1) for minute in (0, 29, 30, 59)]
    assert [grain.at(moment) for moment in again] == ["2013-11-03T0130"] * 4
    assert grain.at(dt.datetime(2013, 11, 3, 1, 29, tzinfo=zone)) == "2013-11-02T0130"


def test_a_time_that_the_clock_is_put_forward_over_is_the_moment_at_which_it_is() -> None:
    assert Grain("30 2 * * *", "America/New_York").start("2013-03-10T0230") == dt.datetime(2013, 3, 10, 7, tzinfo=dt.UTC)
    assert Grain("15 2 * * *", "Australia/Lord_Howe").start("2013-10-06T0215") == dt.datetime(2013, 10, 5, 15, 30, tzinfo=dt.UTC)


def test_the_weeks_of_a_shop_begin_on_sunday() -> None:
    week = Grain("week from Sunday", "America/New_York")
    assert week.at(dt.datetime(2013, 2, 9, 12, tzinfo=dt.UTC)) == "2013-02-03"
    assert week.start("2013-02-03") == dt.datetime(2013, 2, 3, 5, tzinfo=dt.UTC)
    assert week.noun == "week"
