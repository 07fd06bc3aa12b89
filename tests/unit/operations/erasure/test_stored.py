from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.evergreen.data import conditions
from include.evergreen.data.conditions import canonical_text
from include.evergreen.operations.erasure.stored import Key, rows_of_people

NAMES = ["carrier", "flight", "late", "known"]


@pytest.fixture
def frame() -> pd.DataFrame:
    random = np.random.default_rng(3)
    moments = pd.date_range("2013-02-08", periods=3, freq="6h", tz="UTC")
    columns = {
        "carrier": pd.Series(random.choice(["AA", "B6"], 500), dtype=object).mask(random.random(500) < 0.1, None),
        "flight": random.choice([1.0, 2.5, np.nan], 500),
        "late": random.choice([True, False], 500),
        "known": random.choice(moments, 500),
    }
    return pd.DataFrame(columns, index=range(1000, 1500))


def test_the_rows_of_some_keys_are_those_whose_values_are_all_of_one_of_them(frame: pd.DataFrame) -> None:
    rows = [tuple(None if pd.isna(cell) else canonical_text(cell) for cell in row) for row in frame.itertuples(index=False, name=None)]
    for keys in (frozenset(rows[:5]), frozenset[Key](), frozenset({("AA", "1", "true", None), (*rows[7][:3], rows[8][3])})):
        found = rows_of_people(frame, NAMES, keys)
        assert found.tolist() == [row in keys for row in rows]
        assert found.dtype == bool
        assert found.index.equals(frame.index)


def test_a_value_is_compared_once_for_all_rows_that_have_it(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training frame has a row for each of hundreds of thousands of flights, and a dozen of carriers."""
    written: list[Any] = []
    monkeypatch.setattr(conditions, "canonical_text", lambda value: written.append(value) or canonical_text(value))
    rows_of_people(frame, NAMES, frozenset({("AA", "1", "true", dt.datetime(2013, 2, 8, tzinfo=dt.UTC).isoformat())}))
    assert len(written) <= sum(frame[name].nunique(dropna=False) for name in NAMES)
