import datetime as dt

import pytest

from evergreen_airflow.mappers import DayShiftMapper


@pytest.mark.parametrize(("days", "expected"), [(0, "2013-02-28"), (1, "2013-03-01"), (31, "2013-03-31")])
def test_a_day_concerns_the_day_that_many_days_later(days, expected):
    assert DayShiftMapper(days).to_downstream("2013-02-28") == expected


def test_a_key_that_is_no_day_makes_no_run():
    assert DayShiftMapper(1).to_downstream("junk; drop table") == []


def test_the_run_is_dated_by_its_own_day():
    assert DayShiftMapper(1).to_partition_date("2013-03-01") == dt.datetime(2013, 3, 1, tzinfo=dt.UTC)


def test_it_survives_serialisation():
    assert DayShiftMapper.deserialize(DayShiftMapper(3).serialize()).days == 3
