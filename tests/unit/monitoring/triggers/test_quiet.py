from __future__ import annotations

import pytest

from include.evergreen.config.calendar import DAYS
from include.evergreen.config.monitoring import Retrain
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring.triggers.quiet import Quiet, quiet_after


def day(number: int) -> Partition:
    return DAILY.shift("2013-01-01", number - 1)


def test_a_model_that_never_fired_is_not_quiet() -> None:
    assert quiet_after(Retrain(max_per_week=1, cooldown=Span(2, "day")), [], DAYS) is None


@pytest.mark.parametrize(("rejected", "days"), [(0, 2), (1, 4), (2, 8), (3, 16), (4, 16), (7, 16)])
def test_each_rejection_in_a_row_doubles_the_cool_down_up_to_eight_times(rejected: int, days: int) -> None:
    quiet = quiet_after(Retrain(cooldown=Span(2, "day")), [day(9), day(3)], DAYS, rejected=rejected)
    assert quiet is not None and quiet.until == day(9 + days)
    assert ("rejected" in quiet.because) is (rejected > 0)


def test_the_longest_cool_down_is_declared() -> None:
    quiet = quiet_after(Retrain(cooldown=Span(2, "day"), max_cooldown=Span(5, "day")), [day(9)], DAYS, rejected=2)
    assert quiet == Quiet(
        day(14), "the model cools down until 2013-01-14, since it fired as of 2013-01-09 and its last 2 candidates were rejected"
    )


def test_in_any_seven_days_it_fires_as_often_as_max_per_week_and_no_more() -> None:
    retrain = Retrain(cooldown=Span(1, "day"), max_per_week=2)
    fired: list[Partition] = []
    for number in range(1, 40):
        quiet = quiet_after(retrain, fired, DAYS)
        if quiet is None or day(number) > quiet.until:
            fired.insert(0, day(number))
    assert [int(date[-2:]) for date in reversed(fired)][:4] == [1, 3, 8, 10]
    assert all(sum(first <= date < DAILY.shift(first, 7) for date in fired) <= 2 for first in map(day, range(1, 40)))
    quiet = quiet_after(retrain, [day(3), day(1)], DAYS)
    assert quiet == Quiet(day(7), "max_per_week allows 2 until 2013-01-07, since it fired as of 2013-01-01, 2013-01-03")
