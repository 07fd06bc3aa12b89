from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from include.evergreen.config.models import Retrain
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.monitoring.triggers.quiet import Quiet, quiet_after


def day(number: int) -> Partition:
    return DAILY.plus_days("2013-01-01", number - 1)


def test_a_model_that_never_fired_is_not_quiet() -> None:
    assert quiet_after(Retrain(max_per_week=1, cooldown_days=2), [], DAILY) is None


@pytest.mark.parametrize(("rejected", "days"), [(0, 2), (1, 4), (2, 8), (3, 16), (4, 16), (7, 16)])
def test_each_rejection_in_a_row_doubles_the_cool_down_up_to_eight_times(rejected: int, days: int) -> None:
    quiet = quiet_after(Retrain(cooldown_days=2), [day(9), day(3)], DAILY, rejected=rejected)
    assert quiet is not None and quiet.until == day(9 + days)
    assert ("rejected" in quiet.because) is (rejected > 0)


def test_the_longest_cool_down_is_declared() -> None:
    quiet = quiet_after(Retrain(cooldown_days=2, max_cooldown_days=5), [day(9)], DAILY, rejected=2)
    assert quiet == Quiet(
        day(14), "the model cools down until 2013-01-14, since it fired as of 2013-01-09 and its last 2 candidates were rejected"
    )


def test_in_any_seven_days_it_fires_as_often_as_max_per_week_and_no_more() -> None:
    retrain = Retrain(cooldown_days=1, max_per_week=2)
    fired: list[Partition] = []
    for number in range(1, 40):
        quiet = quiet_after(retrain, fired, DAILY)
        if quiet is None or day(number) > quiet.until:
            fired.insert(0, day(number))
    assert [int(date[-2:]) for date in reversed(fired)][:4] == [1, 3, 8, 10]
    assert all(sum(first <= date < DAILY.plus_days(first, 7) for date in fired) <= 2 for first in map(day, range(1, 40)))
    quiet = quiet_after(retrain, [day(3), day(1)], DAILY)
    assert quiet == Quiet(day(7), "max_per_week allows 2 until 2013-01-07, since it fired as of 2013-01-01, 2013-01-03")


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"cooldown_days": 7, "max_cooldown_days": 6}, "6 is less than cooldown_days .7."),
    ],
)
def test_a_limit_that_could_never_hold_anything_back_is_refused(declared: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Retrain.model_validate(declared)
