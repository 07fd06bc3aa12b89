"""Partitions by their keys: what an earlier release recorded as dates is found by its keys, and can be taken back."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.evergreen.data.partitions import current_partitions, known_partitions
from include.evergreen.state.database import migrate, reading, writing
from include.evergreen.state.database.tables import metadata, promotions
from tests.unit.flights import rows_of
from tests.unit.state.database.earlier_release import DATABASES, leave_database, take_back

BEFORE = "0013"
MOMENT = dt.datetime(2013, 1, 9, tzinfo=dt.UTC)
DAYS = [dt.date(2013, 1, 31), dt.date(2012, 12, 31), dt.date(2013, 1, 9)]


@pytest.fixture(params=DATABASES)
def filled(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_database(BEFORE, _fill, request, tmp_path, monkeypatch)


def test_what_was_recorded_by_dates_is_found_by_keys(filled: None) -> None:
    migrate()
    assert [each.partition for each in current_partitions("weather")] == ["2012-12-31", "2013-01-09", "2013-01-31"]
    found = known_partitions("weather", as_of=MOMENT + dt.timedelta(days=1), first="2013-01-01", last="2013-01-31")  # type: ignore[arg-type]
    assert [each.partition for each in found] == ["2013-01-09", "2013-01-31"]
    assert [row.as_of for row in rows_of(promotions)] == ["2013-01-09"]  # type: ignore[attr-defined]


def test_the_schema_of_before_comes_back_with_its_dates(filled: None) -> None:
    migrate()
    take_back(BEFORE)
    table = sa.table("partition_versions", sa.column("partition", sa.Date))
    with reading() as connection:
        assert connection.execute(sa.select(table.c.partition).order_by(table.c.partition)).scalars().all() == sorted(DAYS)


def test_partitions_that_an_older_release_does_not_know_keep_the_schema(filled: None) -> None:
    migrate()
    with writing() as connection:
        table = metadata.tables["partition_versions"]
        connection.execute(table.update().where(table.c.partition == "2013-01-31").values(partition="2013-01-31T0500Z"))
    with pytest.raises(RuntimeError, match="partition_versions has partitions shorter than a day.*nothing was changed"):
        take_back(BEFORE)
    assert "2013-01-31T0500Z" in {each.partition for each in current_partitions("weather")}


def _fill(connection: sa.Connection) -> None:
    as_dates = {"partition": sa.Date(), "as_of": sa.Date()}

    def insert(name: str, **values: object) -> None:
        columns = [sa.column(column, as_dates.get(column, metadata.tables[name].c[column].type)) for column in values]
        connection.execute(sa.insert(sa.table(name, *columns)).values(**values))

    for day in DAYS:
        insert(
            "partition_versions", dataset="weather", partition=day, version=1, digest="d", path="p", rows=1, quarantine_digest="",
            quarantine_path="", quarantined=0, source_rows=1, knowledge_time=MOMENT, origin="live", recorded_at=MOMENT,
        )  # fmt: skip
    insert(
        "promotions", model="m", version=1, as_of=DAYS[2], previous_version=0, kind="promotion", request="", actor="a", reason="r",
        promoted_at=MOMENT,
    )  # fmt: skip
