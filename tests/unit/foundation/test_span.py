from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Grain
from include.evergreen.foundation.numbering import UNITS
from include.evergreen.foundation.span import MONTHS, SPAN_UNITS, Span

ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Pacific/Apia", "Africa/Cairo"]
CRONS = ["0 6,18 * * *", "0 0 1,16 * *", "30 5 * * 1-5", "0 0 * * 0,3", "0 0 1 2,5,8,11 *", "15 7,12 L * *", "0 4 29 * *", "0 0 1 * 1"]
grains = st.one_of(
    st.builds(Grain, st.sampled_from(UNITS), st.sampled_from(ZONES)).map(
        lambda grain: grain if grain.is_of_days else Grain(grain.unit)  # a clock may be put forward over the hours of others
    ),
    st.builds(Grain, st.sampled_from(CRONS), st.sampled_from(ZONES)),
    st.builds(Grain, st.sampled_from(["3 hours", "6 hours", "12 hours"]), st.just("America/New_York")),
)
spans = st.builds(Span, st.integers(0, 400), st.sampled_from(SPAN_UNITS))
moments = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC))


@given(spans)
def test_a_span_is_read_as_it_is_written(span: Span) -> None:
    assert Span.parse(str(span)) == span


@pytest.mark.parametrize(
    "text", ["60", 60, None, "sixty days", "60d", "1.5 days", "-1 days", "60  days", "60 days ", "1 fortnight", "007 days", "٦ days"]
)
def test_what_is_no_span_is_refused_with_how_to_write_one(text: object) -> None:
    with pytest.raises(ConfigError, match="is no number with a unit; write it such as 60 days or 60 partitions; units: minute, hour, day"):
        Span.parse(text)


@given(grains, st.integers(0, 5000))
def test_partitions_are_counted_in_the_span_that_they_are(grain: Grain, count: int) -> None:
    span = grain.span_of(count)
    assert grain.partitions_in(span) == count
    assert grain.is_whole(span)
    assert grain.partitions_in(Span(count, "partition")) == count


@given(grains, spans)
def test_a_span_that_is_not_whole_is_less_than_what_is_counted_and_more_than_one_partition_less(grain: Grain, span: Span) -> None:
    count = grain.partitions_in(span)
    minutes, one = span.minutes, grain.span_of(1).minutes
    if minutes is not None and one is not None and not {span.unit, grain.unit} & MONTHS.keys():
        assert (count - 1) * one < minutes <= count * one or minutes == count == 0


@given(grains, spans, moments)
def test_a_whole_span_is_as_long_in_the_calendar_of_its_zone_wherever_it_begins(grain: Grain, span: Span, moment: dt.datetime) -> None:
    if not grain.is_whole(span) or span.unit == "partition" or not span:
        return
    first = grain.at(moment)
    last = grain.plus(first, span)
    assert grain.minus(last, span) == first
    begins, ends = (grain.start(key).astimezone(ZoneInfo(grain.timezone)) for key in (first, last))
    if span.unit in ("month", "quarter", "year"):
        months = {"month": 1, "quarter": 3, "year": 12}[span.unit] * span.amount
        assert (ends.year * 12 + ends.month) - (begins.year * 12 + begins.month) == months
    elif grain.is_of_days:  # the clock says the same: a day of New York has 23 to 25 hours
        days = (ends.date() - begins.date()).days
        assert days == span.amount * {"day": 1, "week": 7}[span.unit]
    else:
        assert ends - begins == dt.timedelta(minutes=span.minutes or 0)


@pytest.mark.parametrize(
    ("unit", "span", "whole", "count"),
    [
        ("hour", "60 days", True, 1440), ("hour", "90 minutes", False, 2), ("30min", "90 minutes", True, 3), ("hour",
         "1 month", False, 744),
        ("day", "2 weeks", True, 14), ("day", "24 hours", False, 1), ("day", "2 months", False, 62),
        ("week", "14 days", True, 2), ("week", "8 days", False, 2), ("month", "1 year", True, 12), ("month", "60 days", False, 2),
        ("quarter", "6 months", True, 2), ("quarter", "4 months", False, 2), ("year", "12 months", True, 1), ("year", "366 days", False, 1),
        ("6 hours", "1 day", True, 4), ("6 hours", "12 hours", True, 2), ("6 hours", "3 hours", False, 1),
        ("week from Sunday", "14 days", True, 2), ("week from Sunday", "1 month", False, 5),
        ("0 6,18 * * *", "1 week", True, 14), ("0 6,18 * * *", "12 hours", True, 1), ("0 6,18 * * *", "13 hours", False, 2),
        ("0 6,14 * * *", "16 hours", False, 2), ("0 6,18 * * *", "1 year", False, 731),
        ("0 6 * * 1-5", "1 week", True, 5), ("0 6 * * 1-5", "1 day", False, 1), ("0 6 * * 1-5", "60 days", False, 43),
        ("0 0 1,16 * *", "2 months", True, 4), ("0 0 1,16 * *", "1 year", True, 24), ("0 0 1,16 * *", "60 days", False, 4),
        ("0 0 1 2,5,8,11 *", "1 quarter", True, 1), ("0 0 1 2,5,8,11 *", "1 month", False, 1), ("0 0 30 * *", "1 month", False, 1),
        ("0 0 L * *", "1 month", False, 1), ("0 0 1,16 * *", "4 partitions", True, 4),
        ("day", "4 partitions", True, 4), ("day", "0 hours", True, 0),
    ],
)  # fmt: skip
def test_a_whole_number_of_partitions_is_the_same_wherever_it_begins(unit: str, span: str, whole: bool, count: int) -> None:
    grain = Grain(unit)  # type: ignore[arg-type]
    assert (grain.is_whole(Span.parse(span)), grain.partitions_in(Span.parse(span))) == (whole, count)
