from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from include.evergreen.foundation.errors import DataError
from include.evergreen.monitoring.profiles import (
    CategoryColumn,
    NumericColumn,
    Profile,
    StoredProfile,
    from_bytes,
    profile_batches,
    profile_partition,
    profile_reference,
    to_bytes,
)
from include.evergreen.monitoring.profiles.counting import LOT_ROWS, MOST_HASHES, MOST_NAMES, CategoryCounter, NumericCounter
from include.evergreen.monitoring.profiles.layout import Bins

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

KINDS = {"wind": "numeric", "carrier": "categorical"}


def test_every_row_is_counted_once_whatever_it_holds(reference: Profile) -> None:
    values = [1.0, None, float("nan"), float("inf"), -float("inf"), 1e300, -1e300, 0.0, 1e308, 1e308]
    found = _numbers(profile_partition(reference, "2", pa.table({"wind": values, "carrier": ["AA"] * 10})))
    assert (found.rows[0], found.missing[0], found.infinite[0]) == (10, 2, 2)
    assert (found.counts.sum(), found.distinct[0], found.least[0], found.greatest[0]) == (6, 5, -1e300, 1e308)


def test_a_bin_holds_its_lower_edge_and_sums_tell_the_mean_of_its_values(reference: Profile) -> None:
    values = np.random.default_rng(1).normal(3, 4, 5000)
    found = _numbers(profile_partition(reference, "2", pa.table({"wind": values, "carrier": ["AA"] * 5000})))
    place = np.searchsorted(found.bins.edges, values, side="right")
    assert (found.counts[0] == np.bincount(place, minlength=found.bins.count)).all()
    assert found.sums[0] + found.counts[0] * found.bins.origin == pytest.approx(np.bincount(place, values, found.bins.count))


@pytest.mark.parametrize("rows", [1, LOT_ROWS - 1, LOT_ROWS, LOT_ROWS + 1, 5 * LOT_ROWS + 7])
@pytest.mark.parametrize("odd", [(), (np.nan,), (np.inf, -np.inf), (np.nan, np.inf, -np.inf, -0.0, 1e150)])
def test_what_is_counted_lot_by_lot_is_what_is_counted_at_once(rows: int, odd: tuple[float, ...]) -> None:
    values = np.random.default_rng(rows).normal(3, 4, rows).round(2)
    values[: rows // 3] = np.resize(odd, rows // 3) if odd else 0.0
    values, bins = np.random.default_rng(1).permutation(values), Bins.of(np.linspace(-5, 5, 400))
    found, finite = NumericCounter(bins).add(pa.array(values)).column(), values[np.isfinite(values)]
    place = np.searchsorted(bins.edges, finite, side="right")
    assert (found.counts[0] == np.bincount(place, minlength=bins.count)).all()
    assert found.sums[0] == pytest.approx(np.bincount(place, finite - bins.origin, bins.count))
    assert found.squares[0] == pytest.approx(((finite - bins.origin) ** 2).sum())
    assert (found.missing[0], found.infinite[0]) == (np.isnan(values).sum(), np.isinf(values).sum())
    assert (found.least[0], found.greatest[0]) == (finite.min(), finite.max())
    assert found.distinct[0] == len(np.unique(finite))


@pytest.mark.parametrize("different", [1, 2, 1_000, MOST_HASHES, 60_000, 200_000])
@pytest.mark.parametrize("of", [lambda numbers: numbers, lambda numbers: 1e6 + numbers / 7, lambda numbers: numbers * 2.0**40])
def test_the_number_of_different_values_is_counted_and_of_very_many_estimated(
    different: int, of: Callable[[np.ndarray], np.ndarray]
) -> None:
    values = of(np.arange(200_000.0) % different)
    found = NumericCounter(Bins.of(values[:1_000])).add(pa.array(values)).column()
    assert found.distinct[0] == pytest.approx(different, rel=0 if different <= MOST_HASHES else 0.02, abs=0)


@pytest.mark.parametrize("size", [1, 7, 1_000, 3_000])
def test_what_is_counted_batch_by_batch_is_what_is_counted_at_once(reference: Profile, size: int) -> None:
    rows = _rows(5, 2_500)
    whole = profile_partition(reference, "2", rows)
    found = profile_batches(reference, "2", (rows.slice(place, size) for place in range(0, len(rows), size)), len(rows))
    assert (found.sample.codes == whole.sample.codes).all()
    assert (found.sample.sizes == whole.sample.sizes).all()
    assert _categories(found).unseen == _categories(whole).unseen
    for name, column in whole.columns.items():
        for array in ("counts", "distinct", "missing", "infinite", "least", "greatest", "sums", "squares"):
            if hasattr(column, array):
                assert getattr(found.columns[name], array) == pytest.approx(getattr(column, array), rel=1e-12), (name, array)


def test_batches_with_other_rows_than_were_recorded_are_refused(reference: Profile) -> None:
    with pytest.raises(DataError, match="2 has 400 rows, and 401 were recorded"):
        profile_batches(reference, "2", [_rows(5, 400)], 401)


def test_of_very_many_unseen_categories_the_frequent_ones_are_named(reference: Profile) -> None:
    counter = CategoryCounter(_categories(reference).cells)
    for number in range(8):
        once = [f"{number} {row}" for row in range(MOST_NAMES)]
        counter.add(pa.array([*once, *["often"] * 50, *["more often"] * 60]))
    found = counter.column()
    assert list(found.unseen[0].items())[:2] == [("more often", 480), ("often", 400)]
    assert found.distinct[0] == pytest.approx(8 * MOST_NAMES + 2, rel=0.02)


def test_categories_are_counted_by_cell_and_new_ones_by_name(reference: Profile) -> None:
    carriers = ["AA"] * 3 + ["UA"] * 2 + [None] + ["new"] * 2 + ["newer"]
    found = _categories(profile_partition(reference, "2", pa.table({"wind": [1.0] * 9, "carrier": carriers})))
    assert dict(zip(found.cells.names, found.counts[0].tolist(), strict=True)) == {
        "UA": 2, "AA": 3, "(other)": 0, "(unseen)": 3, "(missing)": 1,
    }  # fmt: skip
    assert (found.unseen[0], found.distinct[0]) == ({"new": 2, "newer": 1}, 4)


def test_a_category_of_one_partition_alone_is_what_a_new_partition_brings_by_nature() -> None:
    """So a feature of which each day has names of its own does not drift by having some today."""
    carriers = ["AA"] * 40 + ["of day 1"] * 10 + ["AA"] * 40 + ["of day 2"] * 10
    reference = profile_reference(pa.table({"carrier": carriers}), ["1"] * 50 + ["2"] * 50, {"carrier": "categorical"})
    assert _categories(reference).counts.tolist() == [[40, 0, 10, 0], [40, 0, 10, 0]]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_window_is_the_same_whatever_was_merged_first(reference: Profile, order: tuple[int, ...]) -> None:
    days = [profile_partition(reference, f"{number}", _rows(number, 400)) for number in range(3)]
    merged = days[order[0]].merge(days[order[1]]).merge(days[order[2]])
    assert merged.partitions == ("0", "1", "2")
    _same(merged, days[0].merge(days[1], days[2]))
    assert merged.rows == 1200


def test_a_partition_is_in_a_window_once(reference: Profile) -> None:
    with pytest.raises(ValueError, match="in two profiles"):
        reference.merge(reference)


def test_what_is_stored_is_read_as_it_was_and_is_small() -> None:
    kinds = {f"feature {number}": "categorical" if number % 5 == 0 else "numeric" for number in range(50)}
    random = np.random.default_rng(1)
    table = pa.table(
        {name: random.normal(size=5000) if kind == "numeric" else random.choice(["a", "b", "c"], 5000) for name, kind in kinds.items()}
    )
    reference = profile_reference(table, [str(number % 7) for number in range(5000)], kinds)  # type: ignore[arg-type]
    day = profile_partition(reference, "8", table)
    stored = to_bytes(StoredProfile(day, "rows"), reference)
    assert len(stored) < 50_000
    assert stored == to_bytes(StoredProfile(day, "rows"), reference)
    _same(from_bytes(stored, "it", reference, "rows").profile, day)
    _same(from_bytes(to_bytes(StoredProfile(reference, "")), "it").profile, reference)


DAMAGES = [
    lambda content: content[:200],
    lambda content: b"",
    lambda content: b"PK" + content[9:],
    lambda content: content.replace(b"\n", b""),
]


@pytest.mark.parametrize("damage", [*DAMAGES, *(lambda content, at=at: _flipped(content, at) for at in range(40, 2000, 97))])
def test_a_damaged_profile_is_refused_by_name(reference: Profile, damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(DataError, match=r"^The profile of 2013-02-08 is damaged: .* Monitor its partition again"):
        from_bytes(damage(to_bytes(StoredProfile(reference, ""))), "The profile of 2013-02-08")


def test_a_partition_keeps_few_rows_each_value_as_the_bin_that_it_is_in(reference: Profile) -> None:
    table = pa.table({"wind": [9.0, None, float("inf"), 9.0], "carrier": ["UA", "new", None, "UA"]})
    found = profile_partition(reference, "2", table)
    wind, carrier = _numbers(found).bins, _categories(found).cells
    place = int(np.searchsorted(wind.edges, 9.0, side="right"))
    expected = [(place, 0), (255, carrier.count - 2), (wind.count - 1, carrier.count - 1), (place, 0)]
    assert sorted(map(tuple, found.sample.codes.tolist())) == sorted(expected)
    many = profile_partition(reference, "3", _rows(1, 1000))
    assert (many.sample.sizes.tolist(), many.sample.codes.shape) == ([200], (200, 2))
    both = many.merge(found)
    assert both.sample.sizes.tolist() == [4, 200]
    assert both.sample.first(3).sizes.tolist() == [3, 3]
    np.testing.assert_array_equal(both.sample.first(3).codes[:3], found.sample.codes[:3])


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_a_profile_of_a_later_release_is_refused_by_its_format(reference: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = to_bytes(StoredProfile(reference, ""))
    monkeypatch.setattr("include.evergreen.monitoring.profiles.stored.VERSION", 0)
    with pytest.raises(DataError, match="has the format 2, and this release reads 0"):
        from_bytes(stored, "It")


def test_a_profile_of_other_rows_is_refused_before_it_is_read_on_bins_that_are_not_its_own(reference: Profile) -> None:
    stored = to_bytes(StoredProfile(profile_partition(reference, "2", _rows(1, 100)), "one"), reference)
    other = profile_reference(pa.table({"wind": [1.0, 2.0]}), ["0", "1"], {"wind": "numeric"})
    with pytest.raises(DataError, match="It was made of other rows, or counted on another reference"):
        from_bytes(stored, "It", other, "two")


@pytest.mark.parametrize(
    ("values", "known"),
    [
        (pa.array([True, False, None]), [0, 1]),
        (pa.array([1, 2, None], pa.int8()), [1, 2]),
        (pa.array(["1.5", "2"]), [1.5, 2]),
        (pa.array([0, 1, None], pa.timestamp("us")), [0, 1]),
        (pa.array([3, 4, None], pa.date32()), [3, 4]),
        (pa.array(["one", "2"]), []),
        (pa.array([None, None]), []),
        (pa.array([{"a": 1}]), []),
    ],
)
def test_what_can_be_read_as_numbers_is_and_the_rest_counts_as_missing(reference: Profile, values: pa.Array, known: list[float]) -> None:
    column = _numbers(profile_partition(reference, "2", pa.table({"wind": values})))
    assert (column.rows[0], column.counts.sum()) == (len(values), len(known))
    if known:
        assert (column.least[0], column.greatest[0]) == (min(known), max(known))


def test_a_partition_has_as_many_values_as_differ_in_it(reference: Profile) -> None:
    found = profile_partition(reference, "2", pa.table({"wind": [3.0] * 900, "carrier": ["AA"] * 900}))
    assert (_numbers(found).distinct[0], _categories(found).distinct[0]) == (1, 1)


@pytest.fixture
def reference() -> Profile:
    return profile_reference(_rows(7, 1000), ["0"] * 500 + ["1"] * 500, KINDS)  # type: ignore[arg-type]


def _rows(seed: int, count: int) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table({"wind": random.normal(10, 4, count), "carrier": random.choice(["UA", "AA"], count, p=[0.7, 0.3])})


def _numbers(profile: Profile) -> NumericColumn:
    column = profile.columns["wind"]
    assert isinstance(column, NumericColumn)
    return column


def _categories(profile: Profile) -> CategoryColumn:
    column = profile.columns["carrier"]
    assert isinstance(column, CategoryColumn)
    return column


def _same(one: Profile, other: Profile) -> None:
    assert one.partitions == other.partitions
    np.testing.assert_array_equal(one.sample.codes, other.sample.codes)
    np.testing.assert_array_equal(one.sample.sizes, other.sample.sizes)
    for name, column in one.columns.items():
        for part, values in vars(column).items():
            expected = getattr(other.columns[name], part)
            if isinstance(values, np.ndarray):
                np.testing.assert_array_equal(values, expected)
            elif part == "bins":
                assert values.origin == expected.origin
                np.testing.assert_array_equal(values.edges, expected.edges)
            else:
                assert values == expected
