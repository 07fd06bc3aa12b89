"""What no column shows alone: how columns go together."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from include.evergreen.monitoring.profiles import Profile, profile_partition, profile_reference
from include.evergreen.monitoring.verdicts import Limits, judge, judge_together

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

LIMIT = 0.55
Rows = dict[str, np.ndarray]


def rows(seed: int, days: int, of_day: int, *, together: float = 0.0, likeness: float = 0.0) -> tuple[Rows, np.ndarray]:
    """Numbers and a category; ``wind`` and ``delay`` correlate as ``together`` says, ``pressure`` has one value a day."""
    random, day = np.random.default_rng(seed), np.repeat(np.arange(days), of_day)

    def normal() -> np.ndarray:
        own, shared = random.normal(size=len(day)), random.normal(size=days)[day]
        return np.sqrt(1 - likeness) * own + np.sqrt(likeness) * shared

    wind, delay = normal(), normal()
    return {
        "wind": wind,
        "delay": together * wind + np.sqrt(1 - together**2) * delay,
        "distance": np.exp(normal()),
        "carrier": np.array(list("abcd"))[(normal() + 2).clip(0, 3).astype(int)],
        "pressure": random.normal(size=days)[day],
        "seats": np.full(len(day), 180.0),
        "gusts": np.where(random.random(len(day)) < 0.1, np.nan, normal()),
    }, day


def profile(drawn: tuple[Rows, np.ndarray], reference: Profile | None = None) -> Profile:
    columns, day = drawn
    table = pa.table(columns)
    if reference is None:
        kinds = {name: "categorical" if name == "carrier" else "numeric" for name in columns}
        return profile_reference(table, [f"{each:03}" for each in day], kinds)  # type: ignore[arg-type]
    days = [profile_partition(reference, f"window {each}", table.filter(pa.array(day == each))) for each in range(day.max() + 1)]
    return days[0].merge(*days[1:])


@pytest.fixture(scope="module")
def reference() -> Profile:
    return profile(rows(1, 40, 100))


@pytest.mark.parametrize("days", [1, 7])
def test_a_change_of_correlation_is_found_that_no_column_shows(reference: Profile, days: int) -> None:
    window = profile(rows(2, days, 400, together=0.9), reference)
    assert judge(reference, window, Limits(0.1, 0.05)).drifted == []
    found = judge_together(reference, window, LIMIT)
    assert found.state == "drifted"
    assert found.auc is not None and found.auc > 0.6
    assert found.p_value is not None and found.p_value < 0.05
    assert found.telling[0] == "delay with wind"


@pytest.mark.parametrize("likeness", [0.0, 0.2])
@pytest.mark.parametrize("days", [1, 7])
def test_windows_like_the_reference_are_not_told_from_it(days: int, likeness: float) -> None:
    """Whether rows of a day are independent or alike: of twenty, one by chance."""
    told = []
    for seed in range(20):
        before = profile(rows(100 + seed, 30, 60, likeness=likeness))
        told.append(judge_together(before, profile(rows(200 + seed, days, 60, likeness=likeness), before), LIMIT).state)
    assert told.count("drifted") <= 2
    assert "not enough rows" not in told


def test_it_is_the_same_every_time(reference: Profile) -> None:
    window = profile(rows(2, 3, 100, together=0.6), reference)
    assert judge_together(reference, window, LIMIT) == judge_together(reference, window, LIMIT)


def test_an_effect_that_does_not_matter_is_not_asked_whether_it_is_chance(reference: Profile) -> None:
    found = judge_together(reference, profile(rows(2, 3, 100), reference), 0.9)
    assert (found.state, found.p_value, found.telling) == ("alike", None, ())


@pytest.mark.parametrize(
    ("days", "of_day", "message"),
    [
        (19, 100, "the reference has rows of 19 days, and 20 are needed"),
        (30, 5, "the reference has 5 rows of a day, so as many"),
    ],
)
def test_a_reference_of_few_days_or_of_few_rows_a_day_says_nothing(days: int, of_day: int, message: str) -> None:
    before = profile(rows(1, days, of_day))
    found = judge_together(before, profile(rows(2, 2, 400, together=0.9), before), LIMIT)
    assert (found.state, found.auc, found.p_value) == ("not enough rows", None, None)
    assert found.message.startswith(message)


@pytest.mark.parametrize("of_day", [1, 14])
def test_a_window_of_few_rows_says_nothing(reference: Profile, of_day: int) -> None:
    assert judge_together(reference, profile(rows(2, 2, of_day), reference), LIMIT).state == "not enough rows"


def test_days_without_rows_are_left_out(reference: Profile) -> None:
    window = profile(rows(2, 2, 400, together=0.9), reference)
    empty = profile_partition(reference, "without rows", pa.table({"wind": pa.array([], pa.float64())}))
    assert judge_together(reference, window.merge(empty), LIMIT) == judge_together(reference, window, LIMIT)


def test_columns_of_which_a_day_has_one_value_name_the_day_and_say_nothing() -> None:
    drawn, day = rows(1, 30, 100)
    before = profile(({name: drawn[name] for name in ("pressure", "seats")}, day))
    later, day = rows(2, 1, 100)
    found = judge_together(before, profile(({name: later[name] for name in ("pressure", "seats")}, day), before), LIMIT)
    assert (found.state, found.message) == ("not enough rows", "no column differs within a day")


@pytest.mark.parametrize("name", ["wind", "carrier", "gusts"])
def test_a_column_that_lost_all_values_stops_nothing(reference: Profile, name: str) -> None:
    drawn, day = rows(2, 2, 400)
    lost = np.full(len(day), None) if name == "carrier" else np.full(len(day), np.nan)
    assert judge_together(reference, profile(({**drawn, name: lost}, day), reference), LIMIT).auc is not None


def test_more_columns_than_can_be_paired_are_judged_in_bounded_time() -> None:
    random = np.random.default_rng(1)

    def wide(days: int) -> tuple[Rows, np.ndarray]:
        day = np.repeat(np.arange(days), 40)
        return {f"{number}": random.normal(size=len(day)) for number in range(150)}, day

    before = profile(wide(20))
    found = judge_together(before, profile(wide(2), before), LIMIT)
    assert found.auc is not None
