"""What is stored is stored alike by SQLite and PostgreSQL, or refused alike, with the column's name."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from include.evergreen.foundation.errors import DataError
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import metadata, observations, snapshots, stage_records
from include.evergreen.state.database.types import Moment, Real, Text, Whole, to_json
from tests.unit.flights import rows_of

pytestmark = pytest.mark.usefixtures("home")
DAY, NOW = "2013-02-09", dt.datetime(2013, 2, 9, tzinfo=dt.UTC)
OBSERVATION = {
    "model": "m", "metric": "drift.share", "partition": DAY, "value": 0.5, "version": 1, "origin": "live", "rows": 10, "recorded_at": NOW,
}  # fmt: skip
SNAPSHOT = {"digest": "d", "model": "m", "as_of": DAY, "window_days": 1, "rows": 0, "frame_path": "p", "recorded_at": NOW}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metric": "x" * 121}, "observations.metric has 121 characters; allowed: 120. Shorten it"),
        ({"metric": "a\0b"}, "observations.metric has a NUL character at position 1"),
        ({"metric": "a\ud800"}, "observations.metric has half a character at position 1"),
        ({"metric": 7}, "observations.metric is text, and int was to be stored in it"),
        ({"value": math.nan}, "observations.value is NaN, which is no number. Leave out what cannot be computed"),
        ({"value": np.float64("nan")}, "observations.value is NaN"),
        ({"rows": 2**31}, r"observations.rows is 2147483648; allowed: whole numbers from -2\^31 to 2\^31 - 1"),
        ({"rows": 2**70}, "observations.rows is 1180591620717411303424"),
        ({"rows": 1.5}, "observations.rows is a whole number, and 1.5 was to be stored in it"),
        ({"recorded_at": NOW.replace(tzinfo=None)}, "The time 2013-02-09 00:00:00 has no time zone"),
    ],
)
def test_what_one_of_them_would_refuse_or_change_is_refused_by_both(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message), writing() as connection:
        connection.execute(observations.insert().values(**{**OBSERVATION, **values}))
    assert rows_of(observations) == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a": {"b": [1.0, math.nan]}}, r"The document has nan at \$\.a\.b\[1\], which is no number in JSON"),
        ({"a": -math.inf}, r"has -inf at \$\.a"),
        ({"a": "x\ud800"}, r"has at \$\.a a text that has half a character at position 1"),
        ({"\udc00": 1}, r"has at \$ a text that has half a character at position 0"),
    ],
)
def test_a_document_that_is_no_json_is_refused_by_both_with_the_place(members: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message), writing() as connection:
        connection.execute(snapshots.insert().values(**SNAPSHOT, members=members))
    assert rows_of(snapshots) == []


def test_numbers_of_numpy_come_back_as_pythons(database: str) -> None:
    with writing() as connection:
        connection.execute(observations.insert().values(**{**OBSERVATION, "value": np.float64(0.1), "rows": np.int64(7)}))
    [row] = rows_of(observations)
    assert (row.value, row.rows) == (0.1, 7)


def test_the_longest_and_the_largest_and_every_script_come_back_as_they_went_in() -> None:
    members = {"ünï\U0001f600": "a\0b", "large": 2**70, "small": 5e-324, "none": None}
    values = {**OBSERVATION, "metric": "ü" * 120, "value": -math.inf, "rows": -(2**31)}
    with writing() as connection:
        connection.execute(observations.insert().values(**values))
        connection.execute(snapshots.insert().values(**SNAPSHOT, members=members))
    assert rows_of(observations)[0]._asdict() | values == rows_of(observations)[0]._asdict()
    assert rows_of(snapshots)[0].members == members


def test_letters_of_another_case_are_other_letters() -> None:
    with writing() as connection:
        for stage in ("score", "Score"):
            values = {"model": "m", "stage": stage, "partition": DAY, "status": "done", "detail": {}, "since": NOW, "recorded_at": NOW}
            connection.execute(stage_records.insert().values(**values))
    with reading() as connection:
        assert len(connection.execute(stage_records.select().where(stage_records.c.stage == "SCORE")).all()) == 0
        assert len(connection.execute(stage_records.select().where(stage_records.c.stage == "score")).all()) == 1


def test_asking_for_what_cannot_be_stored_finds_nothing() -> None:
    with reading() as connection:
        assert connection.execute(observations.select().where(observations.c.metric == "x" * 500)).all() == []


@pytest.mark.sqlite_only
def test_every_column_of_every_table_is_checked() -> None:
    """By its type: none is named here, so that none can be forgotten."""
    unchecked = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if not isinstance(column.type, Text | Whole | Real | Moment | sa.Date | sa.Boolean | sa.JSON)
    }
    assert unchecked == set()
    assert json.loads(to_json({"a": [1, None, "ü"]})) == {"a": [1, None, "ü"]}
