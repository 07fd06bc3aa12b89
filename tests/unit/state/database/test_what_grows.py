"""A database that an earlier release filled gets, on migration, what this one counts and marks as it goes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.evergreen.state import ledger
from include.evergreen.state.database import migrate, reading
from include.evergreen.state.database.tables import dataset_totals, partition_versions, promotions, snapshot_spans, snapshots
from tests.unit.flights import rows_of
from tests.unit.state.database.earlier_release import DATABASES, leave_database, take_back

BEFORE = "0003"
MOMENT = dt.datetime(2013, 2, 9, tzinfo=dt.UTC)


@pytest.fixture(params=DATABASES)
def filled(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema before this one, and in it: a dataset with corrections, a snapshot, promotions and a rollback of two models."""
    leave_database(BEFORE, _fill, request, tmp_path, monkeypatch)


def test_versions_know_when_they_were_superseded_and_datasets_their_totals(filled: None) -> None:
    migrate()
    superseded = {(int(row.partition[-2:]), row.version): row.superseded_at for row in rows_of(partition_versions)}  # type: ignore[attr-defined]
    assert superseded == {(1, 1): MOMENT + dt.timedelta(days=2), (1, 2): None, (2, 1): None}
    assert [tuple(row) for row in rows_of(dataset_totals)] == [("weather", 2, "2013-01-02", 20 + 100, 2)]


def test_snapshots_know_the_span_that_they_name(filled: None) -> None:
    migrate()
    expected = [("s", "outcomes", "2013-01-03", "2013-01-03"), ("s", "weather", "2013-01-01", "2013-01-02")]
    assert [tuple(row) for row in rows_of(snapshot_spans)] == expected


def test_promotions_know_what_ended_their_place_in_the_line(filled: None) -> None:
    migrate()
    ended = {row.id: row.ended_by for row in rows_of(promotions)}
    assert ended == {1: 4, 2: None, 3: 5, 4: 5, 5: 0, 6: None}


def test_rows_of_before_are_bound_to_the_ledger_as_they_stand(filled: None) -> None:
    migrate()
    with reading() as connection:
        assert list(ledger.compare(connection)) == []
    assert None not in [row.entry for table in (snapshots, promotions) for row in rows_of(table)]  # type: ignore[attr-defined]


def test_it_can_be_taken_back(filled: None) -> None:
    migrate()
    take_back(BEFORE)
    with reading() as connection:
        assert "dataset_totals" not in sa.inspect(connection).get_table_names()
        assert connection.execute(sa.text("SELECT count(*) FROM promotions")).scalar() == 6
    migrate()
    assert len(rows_of(snapshot_spans)) == 2


def _fill(connection: sa.Connection) -> None:
    then = sa.MetaData()
    then.reflect(connection)
    moment = MOMENT.replace(tzinfo=None)
    version = {"dataset": "weather", "digest": "d", "path": "p", "quarantine_digest": "q", "quarantine_path": "q", "source_rows": 10,
               "knowledge_time": moment, "origin": "live"}  # fmt: skip
    for day, number, rows, quarantined, later in ((1, 1, 10, 1, 0), (1, 2, 20, 0, 2), (2, 1, 100, 2, 1)):
        own = {"partition": dt.date(2013, 1, day), "version": number, "rows": rows, "quarantined": quarantined}
        recorded = moment + dt.timedelta(days=later)
        connection.execute(then.tables["partition_versions"].insert().values(**version, **own, recorded_at=recorded))
    members = {name: {"version": 1, "digest": "d"} for name in ("weather/2013-01-02/v1", "weather/2013-01-01/v1", "outcomes/2013-01-03/v1")}
    taken = {"digest": "s", "model": "m", "as_of": dt.date(2013, 1, 4), "window_days": 3, "rows": 1, "frame_path": "f"}
    connection.execute(then.tables["snapshots"].insert().values(**taken, members=members, recorded_at=moment))
    promoted = {"as_of": dt.date(2013, 1, 4), "previous_version": 0, "actor": "a", "reason": "r", "promoted_at": moment}
    told = [("m", 1, "promotion"), ("m", 2, "promotion"), ("m", 3, "promotion"), ("m", 1, "promotion"), ("m", 2, "rollback")]
    for model, number, kind in [*told, ("n", 1, "promotion")]:
        connection.execute(then.tables["promotions"].insert().values(model=model, version=number, kind=kind, **promoted))
