from __future__ import annotations

import datetime as dt
import decimal
import math
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.evergreen.config.datasets import Column
from include.evergreen.data.sources.conversion import ALLOWED, convert
from include.evergreen.data.sources.conversion.cells import one_by_one
from include.evergreen.data.sources.conversion.rules import arrow_type
from include.evergreen.foundation.errors import DataError

TYPES = ("integer", "number", "string", "timestamp", "boolean")
NEW_YORK = "America/New_York"
MOMENT = dt.datetime(2013, 2, 9, 8, tzinfo=dt.UTC)

digits = st.text("0123456789", max_size=22)
spelt = st.one_of(
    st.text("+-.0123456789eExX_ \t", max_size=8),
    st.builds("".join, st.tuples(st.sampled_from(["", "+", "-"]), digits, st.sampled_from(["", "."]), digits)),
    st.integers(-(2**65), 2**65).map(str),
    st.floats().map(repr),
    st.sampled_from(["true", "FALSE", "tRuE", "1", "0", "yes", "nan", "inf", "Infinity", "NA", "", " ", "٣", "\u017f", "1e999", "1e-999"]),
    st.text(max_size=5),
)
moments = st.datetimes(timezones=st.just(dt.UTC)).map(lambda moment: moment.isoformat().replace("+00:00", "Z"))
stamps = st.one_of(
    moments,
    st.datetimes().map(str),
    st.dates().map(str),
    st.builds(
        "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}{}".format,
        st.integers(0, 10001), st.integers(0, 13), st.integers(0, 32), st.sampled_from("T t_"),
        st.integers(0, 25), st.integers(0, 61), st.integers(0, 61),
        st.sampled_from(["", ".", ".5", ".123456", ".1234560", ".1234567", ".123456789", ".0000000000"]),
        st.sampled_from(["", "Z", "z", "+02", "-0330", "+14:00", "+24:00", "-23:59", "+1", " +01:00", "UTC", "+00:60"]),
    ),
    st.sampled_from(["2013-02-09 08", "2013-02-09T08Z", "2013-02-09 08:30+01", "20130209T080000Z", "2013-02-09Z", "2013-03-10 02:30:00",
                     "2013-11-03 01:30:00", "2050-07-01 12:00:00", "2036-12-31 23:59:59.5", "1850-01-01", "2300-01-01T00:00:00.1234560Z"]),
)  # fmt: skip


@given(st.sampled_from(["integer", "number", "boolean", "string"]), st.lists(st.none() | spelt, max_size=4))
@example("integer", ["0x1F"])
@example("number", ["inf"])
@example("number", ["nan"])
@example("number", ["1e999"])
@example("integer", [" 7", "+5", "007"])
@example("boolean", ["\u017f", "True"])
@example("string", ["a\0b"])
def test_whole_columns_of_text_are_taken_exactly_as_cell_by_cell(kind: str, cells: list[str | None]) -> None:
    _assert_same_both_ways(_column(kind), cells)


@given(
    st.none() | st.sampled_from([NEW_YORK, "Europe/Berlin", "Asia/Kolkata", "UTC", "Pacific/Apia"]),
    st.lists(st.none() | stamps, max_size=4),
)
@example(None, ["0001-01-01T00:00:00+14:00"])
@example(None, ["9999-12-31T23:59:59-01:00"])
@example(None, ["2300-01-01T00:00:00.1234560Z"])
@example(NEW_YORK, ["2050-07-01 12:00:00"])
@example(NEW_YORK, ["2013-02-09 08:00:00Z", "2013-02-09 08:00:00"])
def test_whole_columns_of_moments_are_taken_exactly_as_cell_by_cell(zone: str | None, cells: list[str | None]) -> None:
    _assert_same_both_ways(_column("timestamp", zone), cells)


@given(st.sampled_from(TYPES), st.lists(st.none() | st.integers() | st.floats() | st.booleans() | spelt | st.datetimes(), max_size=4))
@example("string", [None, math.nan])
@example("timestamp", [math.nan])
@example("boolean", [math.nan])
def test_whole_columns_of_pythons_values_are_taken_exactly_as_cell_by_cell(kind: str, cells: list[object]) -> None:
    _assert_same_both_ways(_column(kind), cells)


@pytest.mark.parametrize(
    ("kind", "given", "taken"),
    [
        ("integer", ["+5", " 7\t", "-0", "007", "9223372036854775807"], [5, 7, 0, 7, 2**63 - 1]),
        ("integer", [1.0, -3.0, None, float("nan")], [1, -3, None, None]),
        ("integer", [decimal.Decimal("12.00"), 2**63 - 1], [12, 2**63 - 1]),
        ("number", ["+1.5", ".5", "2.", "-2e3", "1e-999"], [1.5, 0.5, 2.0, -2000.0, 0.0]),
        ("number", [1, 2.5, decimal.Decimal("0.1"), float("nan"), "7"], [1.0, 2.5, 0.1, None, 7.0]),
        ("boolean", ["TRUE", "false", "1", "0", True, 0, 1.0], [True, False, True, False, True, False, True]),
        ("string", ["", " a ", "NaN", "x" * 10**6], ["", " a ", "NaN", "x" * 10**6]),
        ("string", [uuid.UUID(int=7), "a"], ["00000000-0000-0000-0000-000000000007", "a"]),
        ("timestamp", ["2013-02-09T08:00:00Z", "2013-02-09 10:00+02", "2013-02-09T08:00:00.0000000Z"], [MOMENT] * 3),
        ("timestamp", [MOMENT, "2013-02-09 03:00:00-0500", MOMENT.astimezone(dt.timezone(dt.timedelta(hours=5)))], [MOMENT] * 3),
    ],
)  # fmt: skip
def test_what_is_meant_without_doubt_is_taken(kind: str, given: list[object], taken: list[object]) -> None:
    assert _taken(_column(kind), given) == taken


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        ("integer", "3.5", "it has a fraction"),
        ("integer", "3.0", "it has a fraction"),
        ("integer", "1e3", "it is no whole number"),
        ("integer", "0x1F", "it is no whole number"),
        ("integer", "1_000", "it is no whole number"),
        ("integer", "9223372036854775808", "it is past 64 bits"),
        ("integer", "9" * 5000, "it is past 64 bits"),
        ("integer", 2**63, "it is past 64 bits"),
        ("integer", 2.5, "it has a fraction"),
        ("integer", 1e17, "past what a float holds exactly"),
        ("integer", decimal.Decimal("1.5"), "it has a fraction"),
        ("integer", decimal.Decimal("1e40"), "it is past 64 bits"),
        ("number", "NaN", "add it to the source's missing_values"),
        ("number", "-Infinity", "add it to the source's missing_values"),
        ("number", "1e999", "it is past what a 64-bit float holds"),
        ("number", "1,5", "it is no number"),
        ("number", "1 048", "it is no number"),
        ("number", float("inf"), "it is infinite"),
        ("number", decimal.Decimal("Infinity"), "it is infinite"),
        ("number", decimal.Decimal("1e400"), "it is past what a 64-bit float holds"),
        ("number", 2**53 + 1, "it does not fit a 64-bit float exactly"),
        ("boolean", "yes", "it is neither true nor false"),
        ("boolean", 2, "it is neither 0 nor 1"),
        ("string", "a\0b", "it has a NUL character"),
        ("string", "\ud800", "half of a surrogate pair"),
        ("string", b"\xff", "it is not UTF-8"),
        ("string", 7, "of the type int64"),
        ("timestamp", "2013-02-30T00:00:00Z", "there is no such moment"),
        ("timestamp", "2013-02-09T24:00:00Z", "there is no such moment"),
        ("timestamp", "2013-02-09T08:00:00", "it names no zone"),
        ("timestamp", "2013-02-09", "it names no zone"),
        ("timestamp", dt.datetime(2013, 2, 9), "it names no zone"),
        ("timestamp", dt.date(2013, 2, 9), "it names no zone"),
        ("timestamp", "09.02.2013", "it is not written as ISO 8601"),
        ("timestamp", "10000-01-01T00:00:00Z", "it is not written as ISO 8601"),
        ("timestamp", "0001-01-01T00:00:00+14:00", "its year is not among 1 to 9999"),
        ("timestamp", "2013-02-09T08:00:00.0000001Z", "it is finer than a microsecond"),
        ("timestamp", "2013-02-09T08:00:00+25:00", "its offset from UTC is not within a day"),
    ],
)  # fmt: skip
def test_what_would_lose_something_is_refused_with_place_value_reason_and_what_is_allowed(kind: str, value: object, why: str) -> None:
    with pytest.raises(DataError) as refused:
        convert([None, value, value], _column(kind), _where)
    words = str(refused.value)
    assert why in words
    assert ALLOWED[kind] in words
    if "of the type int64" not in why:
        assert words.startswith("a.csv, line 3: c is ")
        assert "(2 such cells among the 3 rows that were read together)" in words
        assert repr(str(value)[:80]) in words


LOST = 2**53 + 1  # the first whole number that a 64-bit float does not hold
WRITTEN = {
    "text": str,
    "text with a fraction": lambda number: f"{number}.0",
    "decimal": decimal.Decimal,
    "decimal with a fraction": lambda number: decimal.Decimal(f"{number}.0000000000"),
    "integer": int,
    "arrow's text": lambda number: pa.scalar(str(number)),
    "arrow's decimal": lambda number: pa.scalar(decimal.Decimal(f"{number}.00")),
    "arrow's integer": lambda number: pa.scalar(number, pa.int64()),
    "arrow's unsigned integer": lambda number: pa.scalar(number, pa.uint64()),
}


@pytest.mark.parametrize("form", WRITTEN.values(), ids=WRITTEN.keys())
def test_a_number_that_is_written_out_and_that_a_float_would_round_is_refused_however_it_comes(form: Any) -> None:
    exact, lost = form(LOST + 1), form(LOST)
    together = lambda *cells: pa.array(list(cells), cells[0].type) if isinstance(cells[0], pa.Scalar) else list(cells)  # noqa: E731
    assert _taken(_column("number"), together(exact, exact)) == [float(LOST + 1)] * 2
    with pytest.raises(DataError, match=rf"a.csv, line 3: c is '{LOST}[.0]*', .*it does not fit a 64-bit float exactly"):
        convert(together(exact, lost), _column("number"), _where)


@pytest.mark.parametrize("cell", ["9007199254740993.5", "-9007199254740993", decimal.Decimal("-9007199254740993.5"), 2**63 - 1, 10**400])
def test_past_what_a_float_holds_exactly_a_fraction_a_sign_and_a_size_change_nothing(cell: object) -> None:
    with pytest.raises(DataError, match="it does not fit a 64-bit float exactly"):
        convert([cell], _column("number"), _where)


@pytest.mark.parametrize(
    "cell", ["1e300", "6.02214076e23", "-1.2345678901234567e+19", 6.02214076e23, 2**60, str(2**60), decimal.Decimal(2**60)]
)
def test_floats_and_what_is_written_as_one_or_held_by_one_are_numbers_of_any_size(cell: Any) -> None:
    assert _taken(_column("number"), [cell, cell]) == [float(cell)] * 2


@pytest.mark.parametrize("form", [str, dt.datetime.fromisoformat, lambda text: np.datetime64(text, "us")])
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2013-02-09 08:00:00", "2013-02-09T13:00:00+00:00"),
        ("2013-07-09 08:00:00", "2013-07-09T12:00:00+00:00"),
        ("2050-07-09 08:00:00", "2050-07-09T12:00:00+00:00"),
        ("2013-03-10 02:30:00", "leave that moment out"),
        ("2013-11-03 01:30:00", "show that moment twice"),
        ("2050-11-06 01:30:00", "show that moment twice"),
    ],
)  # fmt: skip
def test_moments_without_zone_are_those_of_the_declared_zone_unless_its_clocks_show_them_twice_or_never(
    form: Any, text: str, meant: str
) -> None:
    value = form(text)
    values = pa.array([value], pa.timestamp("us")) if isinstance(value, np.datetime64) else [value]
    if meant.startswith("20"):
        assert _taken(_column("timestamp", NEW_YORK), values) == [dt.datetime.fromisoformat(meant)]
        return
    with pytest.raises(DataError, match=f"c is '{text}', which is not a valid timestamp: the clocks of {NEW_YORK} {meant}"):
        convert(values, _column("timestamp", NEW_YORK), _where)


@pytest.mark.parametrize(
    ("kind", "array", "taken"),
    [
        ("integer", pa.array([1, None], pa.int8()), [1, None]),
        ("integer", pa.array([2**63 - 1], pa.uint64()), [2**63 - 1]),
        ("integer", pa.array([3.0, None, float("nan")], pa.float32()), [3, None, None]),
        ("integer", pa.array([decimal.Decimal("7.00")], pa.decimal128(9, 2)), [7]),
        ("integer", pa.array(["12"]).dictionary_encode(), [12]),
        ("number", pa.array([2**53, -(2**53)], pa.int64()), [2.0**53, -(2.0**53)]),
        ("number", pa.array([0.5, float("nan"), None], pa.float32()), [0.5, None, None]),
        ("number", pa.array([2**31], pa.uint32()), [2.0**31]),
        ("number", pa.array([decimal.Decimal("0.1")], pa.decimal256(40, 1)), [0.1]),
        ("string", pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        ("string", pa.array(["a"], pa.large_string()), ["a"]),
        ("string", pa.array(["a"], pa.string_view()), ["a"]),
        ("string", pa.array(["é".encode()], pa.binary()), ["é"]),
        ("boolean", pa.array([1, 0, None], pa.int8()), [True, False, None]),
        ("timestamp", pa.array([MOMENT], pa.timestamp("ns", "America/New_York")), [MOMENT]),
        ("timestamp", pa.array([MOMENT], pa.timestamp("s", "UTC")), [MOMENT]),
        ("timestamp", pa.array([None, None]), [None, None]),
        ("number", pa.chunked_array([[1.0], [2.0]]), [1.0, 2.0]),
        ("integer", pa.array([1, 2, 3], pa.int32())[1:], [2, 3]),
        ("string", pa.array(["a\0", "b", "c"])[1:], ["b", "c"]),
    ],
)
def test_other_types_of_arrow_are_taken_where_nothing_is_lost(kind: str, array: pa.Array, taken: list[object]) -> None:
    assert _taken(_column(kind), array) == taken


@pytest.mark.parametrize(
    ("kind", "array", "words"),
    [
        ("integer", pa.array([0, 2**63], pa.uint64()), "line 3: c is '9223372036854775808', .*past 64 bits"),
        ("integer", pa.array([None, 1.5]), "line 3: c is '1.5', .*has a fraction"),
        ("integer", pa.array([1.0, float("-inf")]), "line 3: c is '-inf'"),
        ("number", pa.array([0, 2**53 + 1]), "line 3: c is '9007199254740993', .*does not fit a 64-bit float exactly"),
        ("number", pa.array([0, 2**53 + 1], pa.uint64()), "line 3: c is '9007199254740993'"),
        ("number", pa.array([1.0, float("inf")], pa.float32()), "line 3: c is 'inf', .*infinite"),
        ("boolean", pa.array([1, 2]), "line 3: c is '2', .*neither 0 nor 1"),
        ("string", pa.array(["a", b"\xff"], pa.binary()), "line 3: c is .*not UTF-8"),
        ("string", pa.array([1, 2]), "line 2: c is of the type int64, which cannot be read as string"),
        ("integer", pa.array([[1]]), "c is of the type list<.*cannot be read as integer"),
        ("integer", pa.array([True]), "c is of the type bool"),
        ("timestamp", pa.array([1, 2]), "c is of the type int64"),
        ("timestamp", pa.array([0, 1001], pa.int64()).cast(pa.timestamp("ns", "UTC")), "line 3: c is '1001 ns since 1970', .*finer"),
        ("timestamp", pa.array([0, 2**62], pa.int64()).cast(pa.timestamp("s", "UTC")), "line 3: c is '4611686018427387904 s since 1970'"),
        ("timestamp", pa.array([-(2**62)], pa.int64()).cast(pa.timestamp("us", "UTC")), "line 2: .*year is not among 1 to 9999"),
        ("timestamp", pa.array([dt.datetime(2013, 2, 9)]), "line 2: c is '2013-02-09 00:00:00', .*names no zone"),
        ("timestamp", pa.array([dt.date(2013, 2, 9)]), "line 2: .*names no zone"),
    ],
)  # fmt: skip
def test_other_types_of_arrow_are_refused_where_something_is_lost(kind: str, array: pa.Array, words: str) -> None:
    with pytest.raises(DataError, match=words):
        convert(array, _column(kind), _where)


@pytest.mark.parametrize("value", ["Jane Doe", 12.5, pa.scalar(12.5)])
def test_a_personal_value_is_not_shown(value: object) -> None:
    column = _column("integer").model_copy(update={"personal": True})
    values = pa.array([value.as_py()]) if isinstance(value, pa.Scalar) else [value]
    with pytest.raises(
        DataError, match="a.csv, line 2: c is a value that is not shown, as the column is personal, which is not a"
    ) as refused:
        convert(values, column, _where)
    assert "Jane" not in str(refused.value)
    assert "12.5" not in str(refused.value)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(DataError, match=f"c is '{'x' * 80}' and 999920 characters more, which"):
        convert(["x" * 10**6], _column("integer"), _where)


def test_cells_that_mean_no_value_do_so_with_blanks_around_them_too() -> None:
    assert convert([" NA ", "", "7 "], _column("integer"), _where, missing=("", "NA")).to_pylist() == [None, None, 7]
    assert convert([" NA ", "\t", "+7"], _column("integer"), _where, missing=("", "NA")).to_pylist() == [None, None, 7]
    assert convert([" NA "], _column("string"), _where, missing=("", "NA")).to_pylist() == [" NA "]


def _assert_same_both_ways(column: Column, cells: Sequence[object]) -> None:
    """What `convert` does to all cells at once is what it does when Arrow takes none of them."""
    outcomes: list[object] = []
    for way in (convert, one_by_one):
        try:
            outcomes.append(way(cells, column, _where, missing=("", "NA")))
        except DataError as error:
            outcomes.append(str(error))
    if isinstance(outcomes[0], pa.Array) and isinstance(outcomes[1], pa.Array):
        assert outcomes[0].type == outcomes[1].type
        assert list(map(repr, outcomes[0].cast(_raw(column)).to_pylist())) == list(map(repr, outcomes[1].cast(_raw(column)).to_pylist()))
        return
    assert [isinstance(outcome, str) for outcome in outcomes] == [True, True], outcomes


def _raw(column: Column) -> pa.DataType:
    return pa.int64() if column.type == "timestamp" else arrow_type(column)


def _taken(column: Column, values: Any) -> list[object]:
    array = convert(values, column, _where)
    assert array.type == arrow_type(column)
    return array.to_pylist()


def _column(kind: str, zone: str | None = None) -> Column:
    return Column.model_validate({"name": "c", "type": kind, "description": "a column", "timezone": zone})


def _where(row: int) -> str:
    return f"a.csv, line {row + 2}"
