from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial import distance

from include.evergreen.monitoring.profiles import profile_partition, profile_reference
from include.evergreen.monitoring.verdicts import ColumnVerdict, Limits, Verdict, judge

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

DAYS = 30
LIMITS = Limits(0.1, 0.05)
Column = np.ndarray | list
Change = Callable[[pd.DataFrame], pd.DataFrame]


def frame(seed: int, rows: int, days: int) -> pd.DataFrame:
    """Independent rows, but for ``pressure`` and ``sky``, of which each day has one value."""
    random = np.random.default_rng(seed)
    day = np.arange(rows) % days
    return pd.DataFrame(
        {
            "day": day,
            "wind": random.normal(10, 4, rows),
            "miles": np.exp(random.normal(6, 0.7, rows)),
            "hour": random.integers(5, 23, rows).astype(float),
            "late": random.random(rows) < 0.3,
            "gusts": np.where(random.random(rows) < 0.05, np.nan, random.normal(20, 5, rows)),
            "seats": 180.0,
            "empty": np.nan,
            "tiny": 1e9 + random.normal(0, 1e-5, rows) * 1e3,
            "pressure": random.normal(1000, 10, days)[day],
            "sky": random.choice(["clear", "rain"], days)[day],
            "carrier": random.choice(["UA", "AA", "B6", None], rows, p=[0.5, 0.3, 0.15, 0.05]),
            "tailnum": [f"N{number}" for number in random.integers(0, 3000, rows)],
        }
    )


NAMES = list(frame(0, 1, 1).columns[1:])
KINDS = {name: "categorical" if name in {"sky", "carrier", "tailnum"} else "numeric" for name in NAMES}


def verdict(change: Change = lambda rows: rows, *, rows: int = 10_000, days: int = 7, seed: int = 2, limits: Limits = LIMITS) -> Verdict:
    """Of a window of ``days`` days, changed, against a month like it."""
    before = frame(1, 9_000, DAYS)
    reference = profile_reference(_table(before), [f"{day:03}" for day in before.day], KINDS)  # type: ignore[arg-type]
    now = change(frame(seed, rows, days))
    profiles = [profile_partition(reference, f"{500 + day}", _table(now[now.day == day])) for day in range(days)]
    return judge(reference, profiles[0].merge(*profiles[1:]), limits)


def _table(rows: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(rows[[name for name in NAMES if name in rows]], preserve_index=False)


@pytest.mark.parametrize("days", [1, 7])
def test_a_window_like_the_reference_has_no_drift(days: int) -> None:
    found = verdict(days=days)
    assert found.drifted == []
    assert {name for name, column in found.columns.items() if column.state == "no values"} == {"empty"}


CHANGES: dict[str, tuple[str, Change]] = {
    "a quarter of a deviation": ("wind", lambda rows: rows.assign(wind=rows.wind + 1)),
    "another scale": ("wind", lambda rows: rows.assign(wind=10 + 2 * (rows.wind - 10))),
    "miles told in kilometres": ("miles", lambda rows: rows.assign(miles=rows.miles * 1.609)),
    "constant at its middle": ("wind", lambda rows: rows.assign(wind=10.0)),
    "a constant that is another": ("seats", lambda rows: rows.assign(seats=[180.0, 190.0] * (len(rows) // 2))),
    "a share that doubled": ("late", lambda rows: rows.assign(late=np.random.default_rng(3).random(len(rows)) < 0.6)),
    "fifty deviations, each of them tiny": ("tiny", lambda rows: rows.assign(tiny=rows.tiny + 50 * 1e-2)),
    "missing doubled": ("gusts", lambda rows: rows.assign(gusts=rows.gusts.where(np.random.default_rng(3).random(len(rows)) > 0.05))),
    "half missing": ("wind", lambda rows: rows.assign(wind=rows.wind.where(rows.index % 2 == 0))),
    "all missing": ("wind", lambda rows: rows.assign(wind=np.nan)),
    "infinite": ("wind", lambda rows: rows.assign(wind=np.inf)),
    "gone from the rows": ("wind", lambda rows: rows.drop(columns="wind")),
    "all missing, of one value a day": ("pressure", lambda rows: rows.assign(pressure=np.nan)),
    "text in place of numbers": ("wind", lambda rows: rows.assign(wind="strong")),
    "values where there were none": ("empty", lambda rows: rows.assign(empty=1.0)),
    "a lost category": ("carrier", lambda rows: rows.assign(carrier=rows.carrier.replace("B6", "UA"))),
    "a new category": ("carrier", lambda rows: rows.assign(carrier=rows.carrier.where(rows.index % 20 > 0, "DL"))),
    "a category that lost its values": ("carrier", lambda rows: rows.assign(carrier=None)),
    "names that are all new": ("tailnum", lambda rows: rows.assign(tailnum=rows.tailnum + "X")),
    "a day's value far from every other's": ("pressure", lambda rows: rows.assign(pressure=900.0)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_real_change_is_found_and_named(name: str) -> None:
    column, change = CHANGES[name]
    assert [each.column for each in verdict(change).drifted] == [column]


@pytest.mark.parametrize(
    "name", ["a quarter of a deviation", "another scale", "all missing", "a lost category", "miles told in kilometres"]
)
def test_it_is_found_in_a_single_day_too(name: str) -> None:
    column, change = CHANGES[name]
    assert [each.column for each in verdict(change, days=1).drifted] == [column]


@pytest.mark.parametrize("absurd", [1e6, -1e6, 1e300])
@pytest.mark.parametrize(("rows", "count"), [(1_000, 10), (10_000, 1)])
def test_absurd_values_neither_alarm_nor_hide(rows: int, count: int, absurd: float) -> None:
    def outliers(given: pd.DataFrame) -> pd.DataFrame:
        return given.assign(wind=given.wind.where(given.index >= count, absurd))

    assert verdict(outliers, rows=rows).drifted == []
    moved = verdict(lambda given: outliers(given.assign(wind=given.wind + 2)), rows=rows).columns["wind"]
    assert (moved.state, moved.effect) == ("drifted", pytest.approx(0.5, abs=0.1))


def test_one_value_a_day_is_not_as_many_as_there_are_rows() -> None:
    """A day a deviation from the mean is a day like others, however many rows have its value."""
    found = verdict(lambda rows: rows.assign(pressure=1010.0, sky="rain"), days=1)
    assert found.drifted == []
    pressure = found.columns["pressure"]
    assert pressure.likeness == pytest.approx(1)
    assert (pressure.effect or 0) > LIMITS.numeric, "it is the p-value that holds the alarm back"
    assert found.columns["wind"].likeness < 0.05


def test_a_difference_that_is_sure_and_does_not_matter_is_none() -> None:
    found = verdict(lambda rows: rows.assign(wind=rows.wind + 1), limits=Limits(2.0, 0.1)).columns["wind"]
    assert found.state == "alike"
    assert found.p_value is not None and found.p_value < 1e-10


@pytest.mark.parametrize("rows", [0, 1, 29])
def test_too_few_rows_are_said_to_be_too_few(rows: int) -> None:
    found = verdict(rows=rows, days=1)
    assert {column.state for column in found.columns.values()} == {"not enough rows"}
    assert found.share(NAMES) is None
    assert all(column.effect is None for column in found.columns.values())


def test_the_share_is_of_what_something_is_said_on() -> None:
    found = verdict(lambda rows: rows.assign(wind=rows.wind + 4, miles=rows.miles * 2))
    assert found.share(NAMES) == 2 / (len(NAMES) - 1)
    assert found.share(["empty"]) is None
    assert found.share(["wind", "empty"]) == 1


def test_what_moved_farthest_beyond_what_matters_comes_first() -> None:
    found = verdict(lambda rows: rows.assign(wind=rows.wind + 2, hour=rows.hour + 20, carrier="UA"))
    assert [column.column for column in found.drifted] == ["hour", "carrier", "wind"]


def test_columns_are_ranked_by_importance_times_effect_where_importances_are_known() -> None:
    columns = {
        name: ColumnVerdict(name, state, effect, 0.1, 0.01)  # type: ignore[arg-type]
        for name, state, effect in [("much", "drifted", 2.0), ("little", "drifted", 0.5), ("calm", "alike", 9.0), ("less", "drifted", 0.2)]
    }
    plain, ranked = Verdict(900, columns), Verdict(900, columns, importances={"much": 0.1, "little": 1.0, "calm": 1.0})
    assert ([each.column for each in plain.drifted], plain.ranking) == (["much", "little", "less"], "effect")
    assert ([each.column for each in ranked.drifted], ranked.ranking) == (["little", "much", "less"], "importance times effect")
    assert [each.column for each in ranked.ranked] == ["little", "much", "less", "calm"]


def test_new_and_vanished_categories_are_named() -> None:
    found = verdict(CHANGES["a new category"][1]).columns["carrier"]
    assert (list(found.new), found.vanished) == (["DL"], [])
    found = verdict(CHANGES["a lost category"][1]).columns["carrier"]
    assert (found.new, found.vanished) == ({}, ["B6"])


def test_the_measures_are_those_of_the_books() -> None:
    """Held to scipy's, on values that lie in the middle, where nothing is trimmed, and on the cells of the categories."""
    before, now = frame(1, 9_000, DAYS), frame(2, 10_000, 7).assign(wind=lambda rows: rows.wind + 2, carrier="UA")
    found = verdict(lambda _: now)
    wind = found.columns["wind"].measures
    assert wind["wasserstein"] * before.wind.std() == pytest.approx(stats.wasserstein_distance(before.wind, now.wind), rel=0.1)
    assert wind["kolmogorov_smirnov"] == pytest.approx(stats.ks_2samp(before.wind, now.wind).statistic, abs=0.01)
    shares = before.carrier.fillna("").value_counts(normalize=True)
    assert found.columns["carrier"].measures["jensen_shannon"] == pytest.approx(distance.jensenshannon(shares, shares.index == "UA"))
    assert found.columns["carrier"].measures["total_variation"] == pytest.approx(1 - shares["UA"])


@pytest.mark.parametrize("scale", [1e-12, 1e-5, 1.0, 1e12])
def test_a_unit_of_measurement_changes_no_effect(scale: float) -> None:
    before = frame(1, 3000, DAYS)
    values = {"before": before.wind * scale, "now": (frame(2, 3000, DAYS).wind + 4) * scale}
    reference = profile_reference(pa.table({"wind": values["before"]}), [str(day) for day in before.day], {"wind": "numeric"})
    found = judge(reference, profile_partition(reference, "now", pa.table({"wind": values["now"]})), LIMITS).columns["wind"]
    assert found.effect == pytest.approx(1.07, abs=0.05)


@pytest.mark.parametrize(
    ("before", "now", "state"),
    [
        (pa.array([True, False] * 500), pa.array([True, False] * 500), "alike"),
        (pa.array([True, False] * 500), pa.array([True, True, True, False] * 250), "drifted"),
        (pa.array(range(1000), pa.timestamp("s")), pa.array(range(1000), pa.timestamp("s")), "alike"),
        (pa.array(range(1000), pa.timestamp("s")), pa.array(range(500, 1500), pa.timestamp("s")), "drifted"),
        (pa.array(range(1000), pa.date32()), pa.array(range(500, 1500), pa.date32()), "drifted"),
        (pa.array([1.0, 2.0] * 500), pa.array(["one", "two"] * 500), "drifted"),
        (pa.array([1.0, 2.0] * 500), pa.array(["1", "2"] * 500), "alike"),
        (pa.array([3.0] * 1000), pa.array([3.0] * 1000), "alike"),
        (pa.array([3.0] * 1000), pa.array([4.0] * 1000), "drifted"),
        (pa.nulls(1000), pa.array([1.0] * 1000), "drifted"),
        (pa.array([1.0, 2.0] * 500), pa.nulls(1000), "drifted"),
        (pa.nulls(1000), pa.nulls(1000), "no values"),
    ],
)
def test_each_kind_of_values_has_a_defined_answer(before: pa.Array, now: pa.Array, state: str) -> None:
    """Booleans, times, constants, values of another type, and none: a number that cannot be read is lost."""
    days = np.random.default_rng(1).integers(0, 50, 1000).astype(str).tolist()
    reference = profile_reference(pa.table({"it": before}), days, {"it": "numeric"})
    found = judge(reference, profile_partition(reference, "now", pa.table({"it": now})), LIMITS)
    assert found.columns["it"].state == state
    assert (found.share(["it"]) is None) == (state == "no values")
