from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.evergreen.config.calendar import Calendar, calendar_of
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.span import Span

WORKDAYS = Calendar(Grain(), "0 6 * * 1-5")
CALENDARS = [
    WORKDAYS, Calendar(Grain("day", "America/New_York"), "30 2 * * 0,6"), Calendar(Grain(), "0 0 1 * *"),
    Calendar(Grain("hour"), "5 8-18 * * *"),
    Calendar(Grain("6 hours", "America/New_York"), "0 6,18 * * 1-5"), Calendar(Grain("0 6,18 * * *", "Europe/London"), "30 6 * * *"),
    Calendar(Grain("month"), "0 6 3 1,2,11 *"), Calendar(Grain("week"), "0 6 * * 1"), Calendar(Grain("hour")),
]  # fmt: skip
moments = st.datetimes(dt.datetime(2019, 1, 1), dt.datetime(2024, 1, 1), timezones=st.just(dt.UTC))
spans = st.one_of(
    st.builds(Span, st.integers(0, 40), st.just("partition")), st.builds(Span, st.integers(0, 12), st.sampled_from(["week", "month"]))
)


@pytest.mark.parametrize(
    ("span", "monday", "back"),
    [("1 partition", "2024-02-12", "2024-02-09"), ("1 day", "2024-02-12", "2024-02-11"), ("5 partitions", "2024-02-12", "2024-02-05")],
)
def test_the_partition_before_mondays_is_fridays_where_no_other_is_made(span: str, monday: str, back: str) -> None:
    assert WORKDAYS.minus(Partition(monday), Span.parse(span)) == back
    assert WORKDAYS.plus(Partition(back), Span.parse(span)) == monday


@pytest.mark.parametrize(
    ("unit", "cron", "makes_all"),
    [
        ("day", "0 6 * * *", True), ("day", "@daily", True), ("day", "0 6 * * 1-5", False), ("day", "0 6 1-31 1,2,3 *", False),
        ("hour", "@hourly", True),
        ("hour", "10 * * * *", True), ("hour", "10 8-18 * * *", False), ("hour", "10 * * * 1-5", False), ("hour", "10 * * 1-6 *", False),
        ("6 hours", "20 */6 * * *", True), ("6 hours", "0 6,18 * * *", False),
        ("6 hours", "0 */6 * * 1-5", False), ("0 6,18 * * *", "0 6,18 * * *", True), ("0 6,18 * * *", "30 6,18 * * *", True),
        ("0 6,18 * * *", "0 6 * * *", False), ("0 6,18 * * *", "0 6,18 * 1-6 *", False), ("0 0 1,16 * *", "0 6 1,16 * *", True),
        ("0 0 1,16 * *", "0 6 1 * *", False), ("week from Sunday", "0 6 * * 0", True),
        ("15min", "*/15 * * * *", True), ("15min", "*/30 * * * *", False), ("week", "0 6 * * 1", True), ("week", "0 6 * 1-11 1", False),
        ("month", "0 6 3 * *", True), ("month", "0 6 31 * *", False), ("month", "0 6 1 1,4,7,10 *", False),
        ("quarter", "0 6 1 1,4,7,10 *", True), ("year", "0 6 2 1 *", True),
    ],
)  # fmt: skip
def test_a_calendar_has_an_expression_where_it_leaves_something_out(unit: str, cron: str, makes_all: bool) -> None:
    assert calendar_of(Grain(unit), cron).cron == (None if makes_all else cron)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CALENDARS), moments, spans)
def test_partitions_are_counted_among_those_that_are_made_and_time_among_all(calendar: Calendar, moment: dt.datetime, span: Span) -> None:
    grain, here = calendar.grain, calendar.grain.at(moment)
    before, after = calendar.minus(here, span), calendar.plus(here, span)
    if span.unit != "partition":
        assert (before, after) == (grain.minus(here, span), grain.plus(here, span))
        return
    assert len(calendar.made(before, grain.shift(here, -1))) == len(calendar.made(grain.shift(here, 1), after)) == span.amount
    if span:
        assert calendar.made(before, before) == [before]
        assert calendar.made(after, after) == [after]
        assert calendar.before(here, span) == calendar.made(before, grain.shift(here, -1))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(CALENDARS), st.sampled_from([Grain(), Grain("hour"), Grain("month"), Grain("0 0 1,16 * *")]), moments, spans)
def test_what_reads_a_partition_is_what_has_it_as_its_newest(calendar: Calendar, rows: Grain, moment: dt.datetime, lag: Span) -> None:
    def newest(partition: Partition) -> Partition:
        return calendar.minus(calendar.grain.at(rows.start(partition)), lag)

    scored = rows.at(moment)
    published = newest(scored)
    readers = calendar.read_by(rows, published, lag)
    assert scored in readers
    assert all(newest(reader) == published for reader in readers)
    outside = [rows.shift(readers[0], -1), rows.shift(readers[-1], 1)]
    assert published not in [newest(other) for other in outside]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CALENDARS), moments, spans.filter(bool))
def test_a_window_ends_with_its_last_and_begins_with_its_first(calendar: Calendar, moment: dt.datetime, span: Span) -> None:
    last = calendar.grain.at(moment)
    first = calendar.first_of(last, span)
    keys = calendar.grain.between(first, last)
    if span.unit == "partition":
        assert len(calendar.made(first, last)) == span.amount
    else:
        assert len(keys) == calendar.grain.partitions_in(span)
    assert bisect_left(keys, first) == 0
    assert bisect_right(keys, last) == len(keys)
