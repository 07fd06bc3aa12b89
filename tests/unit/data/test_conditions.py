from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from include.evergreen.data import conditions
from include.evergreen.data.conditions import as_texts, canonical_text

MOMENT = dt.datetime(2013, 2, 9, 8, 30, tzinfo=dt.UTC)
COLUMNS: dict[str, tuple[list[Any], pa.DataType]] = {
    "text": (["b", "a", None, "a", ""], pa.string()),
    "whole numbers": ([5, None, -5, 5], pa.int64()),
    "numbers": ([5.0, 5.5, None, float("nan"), -0.0, 0.0, float("inf")], pa.float64()),
    "booleans": ([True, False, None, True], pa.bool_()),
    "moments": ([MOMENT, None, MOMENT + dt.timedelta(microseconds=1), MOMENT], pa.timestamp("us", "America/New_York")),
    "nothing but missing values": ([None, None], pa.null()),
    "no rows": ([], pa.string()),
}


@pytest.mark.parametrize(("values", "kind"), COLUMNS.values(), ids=COLUMNS)
def test_each_value_is_written_as_it_would_be_alone_however_the_column_is_held(values: list[Any], kind: pa.DataType) -> None:
    plain = pa.array(values, kind)
    texts = [canonical_text(value) for value in plain.to_pylist()]
    assert as_texts(plain).to_pylist() == texts
    assert as_texts(pa.chunked_array([plain, plain[::-1]], kind)).to_pylist() == texts + texts[::-1]
    assert as_texts(plain.slice(1)).to_pylist() == texts[1:]
    assert as_texts(plain.dictionary_encode()).to_pylist() == texts
    assert as_texts(plain).type == pa.string()


def test_a_value_is_written_once_for_all_rows_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    monkeypatch.setattr(conditions, "canonical_text", lambda value: written.append(value) or str(value))
    assert as_texts(pa.array([7, 8] * 1000)).to_pylist() == ["7", "8"] * 1000
    assert sorted(written) == [7, 8]
