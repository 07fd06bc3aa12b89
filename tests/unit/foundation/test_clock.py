from __future__ import annotations

import datetime as dt

import pytest

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError


def test_a_partition_key_is_a_real_date() -> None:
    assert clock.parse_partition("2013-02-09") == dt.date(2013, 2, 9)
    assert clock.parse_partition("2012-02-29") == dt.date(2012, 2, 29)


@pytest.mark.parametrize(
    "key",
    [
        "2013-02-30", "0000-01-01", "2013-1-1", "13-02-09", "20130209", "2013/02/09", " 2013-02-09", "2013-02-09\n",
        "2013-02-09T00:00:00", "junk; drop table", "../../etc", "", "٢٠١٣-02-09", None, 20130209, dt.date(2013, 2, 9),
    ],
)  # fmt: skip
def test_anything_else_is_refused(key: object) -> None:
    with pytest.raises(ConfigError, match="is not a date. Write it as YYYY-MM-DD"):
        clock.parse_partition(key)


def test_the_refusal_names_what_was_asked_for_and_what_was_given() -> None:
    with pytest.raises(ConfigError, match="^as_of 'yesterday' is not a date"):
        clock.parse_partition("yesterday", subject="as_of")


def test_a_very_long_key_does_not_fill_the_log() -> None:
    with pytest.raises(ConfigError) as refused:
        clock.parse_partition("x" * 10_000)
    assert len(str(refused.value)) < 300


def test_a_run_stands_at_the_first_moment_of_its_day_in_utc() -> None:
    assert clock.moment(dt.date(2013, 2, 9)).isoformat() == "2013-02-09T00:00:00+00:00"


def test_the_wall_clock_knows_its_zone() -> None:
    assert clock.now().utcoffset() == dt.timedelta(0)


def test_days_include_both_ends() -> None:
    first, last = dt.date(2013, 2, 27), dt.date(2013, 3, 1)
    assert clock.days(first, last) == [first, dt.date(2013, 2, 28), last]
    assert clock.days(first, first) == [first]
    assert clock.days(last, first) == []
