from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.evergreen.foundation.digest import canonical_json, document_digest, frame_digest, table_digest
from tests.unit.flights import reversed_rows

NOON = pd.Timestamp("2013-02-09T12:00:00Z")


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "key": pd.array([1, 2, 3], dtype="Int64"),
            "number": [1.5, None, -0.25],
            "text": pd.array(["a", None, ""], dtype="string"),
            "moment": pd.array([NOON, pd.NaT, NOON], dtype="datetime64[us, UTC]"),
            "flag": pd.array([True, None, False], dtype="boolean"),
        }
    )


def test_the_same_content_has_the_same_digest() -> None:
    assert frame_digest(_frame()) == frame_digest(_frame().copy())


@pytest.mark.parametrize(
    "encoding",
    [
        {"compression": "none", "use_dictionary": False},
        {"compression": "zstd", "row_group_size": 1},
        {"compression": "gzip", "data_page_version": "2.0", "version": "1.0"},
        {"store_schema": False},
    ],
)
def test_the_encoding_of_parquet_does_not_count(encoding: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(_frame(), preserve_index=False), buffer, **encoding)
    assert frame_digest(pd.read_parquet(buffer)) == frame_digest(_frame())


def test_where_the_rows_lie_in_memory_does_not_count() -> None:
    doubled = pd.concat([_frame(), _frame()], ignore_index=True)
    assert frame_digest(doubled.iloc[3:]) == frame_digest(_frame())
    assert frame_digest(_frame().set_axis([7, 8, 9])) == frame_digest(_frame())


def test_with_keys_the_order_of_rows_does_not_count() -> None:
    assert frame_digest(reversed_rows(_frame()), ["key"]) == frame_digest(_frame(), ["key"])


def test_without_keys_the_order_of_rows_counts() -> None:
    assert frame_digest(reversed_rows(_frame())) != frame_digest(_frame())


@pytest.mark.parametrize(
    ("column", "row", "value"),
    [
        ("key", 0, 4),
        ("key", 0, None),
        ("number", 0, np.nextafter(1.5, 2)),
        ("number", 0, None),
        ("number", 1, 0.0),
        ("text", 0, "b"),
        ("text", 0, "a "),
        ("text", 1, ""),
        ("text", 2, None),
        ("moment", 0, NOON + dt.timedelta(microseconds=1)),
        ("moment", 1, pd.Timestamp(0, tz="UTC")),
        ("flag", 0, False),
        ("flag", 1, False),
        ("flag", 2, None),
    ],
)
def test_one_changed_cell_of_any_type_changes_it(column: str, row: int, value: object) -> None:
    changed = _frame()
    changed.loc[row, column] = value
    assert changed.dtypes.equals(_frame().dtypes)
    assert frame_digest(changed, ["key"]) != frame_digest(_frame(), ["key"])


def test_text_cannot_move_between_cells_unseen() -> None:
    def digest(*cells: str | None) -> str:
        return frame_digest(pd.DataFrame({"text": pd.array(cells, dtype="string")}))

    assert len({digest("ab", ""), digest("a", "b"), digest("", "ab"), digest("ab", None), digest("a|b", "")}) == 5


def test_values_cannot_move_between_columns_unseen() -> None:
    assert frame_digest(pd.DataFrame({"a": [1.0], "b": [2.0]})) != frame_digest(pd.DataFrame({"a": [2.0], "b": [1.0]}))


def test_names_order_and_types_of_columns_count() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [1, 2]})
    others = [
        frame.rename(columns={"b": "c"}),
        frame[["b", "a"]],
        frame.astype({"b": "float64"}),
        frame.astype({"b": "int32"}),
        frame.astype({"b": "string"}),
        frame[["a"]],
        frame.iloc[:1],
    ]
    assert len({frame_digest(each) for each in [frame, *others]}) == len(others) + 1


def test_the_zone_and_the_unit_of_a_moment_count() -> None:
    moments = pd.DataFrame({"moment": pd.array([NOON], dtype="datetime64[us, UTC]")})
    naive = moments.assign(moment=moments["moment"].dt.tz_localize(None))
    seconds = moments.astype({"moment": "datetime64[s, UTC]"})
    assert len({frame_digest(each) for each in (moments, naive, seconds)}) == 3


def test_an_empty_frame_has_a_digest_that_knows_its_columns() -> None:
    empty = _frame().iloc[:0]
    assert frame_digest(empty) == frame_digest(_frame().iloc[3:])
    assert frame_digest(empty) != frame_digest(empty.drop(columns="flag"))
    assert frame_digest(empty) != frame_digest(pd.DataFrame())


def test_a_column_without_any_value_has_a_digest() -> None:
    one, two = pd.DataFrame({"a": [None]}), pd.DataFrame({"a": [None, None]})
    assert frame_digest(one) != frame_digest(two)


def test_a_document_has_one_digest_whatever_the_order_of_its_keys() -> None:
    assert document_digest({"a": 1, "b": [1, 2]}) == document_digest({"b": [1, 2], "a": 1})
    assert document_digest({"a": [1, 2]}) != document_digest({"a": [2, 1]})
    assert canonical_json({"day": dt.date(2013, 2, 9), "ü": None}) == '{"day":"2013-02-09","\\u00fc":null}'


def _lists(rows: list[list[str]]) -> pa.Table:
    return pa.table({"names": pa.array(rows, pa.list_(pa.string()))})


def test_lists_have_one_digest_however_they_are_cut_and_none_moves_between_rows_unseen() -> None:
    whole = _lists([["a", "b"], [], ["c"]])
    assert table_digest(pa.concat_tables([whole.slice(0, 1), whole.slice(1)])) == table_digest(whole)
    file = io.BytesIO()
    pq.write_table(whole, file)
    assert table_digest(pq.read_table(file)) == table_digest(whole)
    others = [_lists([["a"], ["b"], ["c"]]), _lists([["a", "b"], ["c"], []]), _lists([["ab"], [], ["c"]]), _lists([["b", "a"], [], ["c"]])]
    assert len({table_digest(table) for table in (whole, *others)}) == 5
    assert table_digest(pa.table({"n": pa.array([[1.0], [2.0]])})) != table_digest(pa.table({"n": pa.array([[1.0, 2.0], []])}))


def test_what_would_be_hashed_by_its_address_is_refused() -> None:
    with pytest.raises(TypeError, match="no digest is defined of columns of the type decimal128"):
        table_digest(pa.table({"price": pa.array([Decimal("1.10")])}))
