"""Our own state on PostgreSQL, as production has it: what only a server can do. The other tests of this folder run on both."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.evergreen.config.calendar import DAYS
from include.evergreen.config.labels import LabelSource
from include.evergreen.config.moments import WHEN_IT_BEGINS
from include.evergreen.data.partitions import current_partition
from include.evergreen.data.partitions.store import known_partitions
from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.span import NO_SPAN, Span
from include.evergreen.scoring import readiness
from include.evergreen.state import ledger
from include.evergreen.state.database import engine, migrate, reading, writing
from include.evergreen.state.database.tables import ledger as entries
from include.evergreen.state.database.tables import metadata, observations, partition_versions, prediction_sets
from include.evergreen.state.database.upsert import upsert
from include.evergreen.state.stage_status import record_stage
from tests.servers import PostgreSQL
from tests.unit.copies import migrated_database
from tests.unit.flights import close_database, rows_of
from tests.unit.state.database.test_engine import HOLDING
from tests.unit.warm import start_code

KEY = {"model": "m", "metric": "drift.share", "partition": "2013-02-09"}
VALUES = {"value": 0.5, "version": 1, "origin": "live", "rows": 10, "recorded_at": dt.datetime(2013, 2, 9, tzinfo=dt.UTC)}
DAY = "2013-02-09"


@pytest.fixture
def empty(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgreSQL]:
    """A database without tables is ours."""
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", postgresql.new_database("evergreen"))
    yield postgresql
    close_database()


@pytest.fixture
def ours(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgreSQL]:
    """A migrated database is ours."""
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", migrated_database(postgresql, "evergreen"))
    yield postgresql
    close_database()


def test_the_migrations_make_the_tables_that_the_code_declares(ours: PostgreSQL) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrating_again_and_by_several_at_once_does_no_harm(empty: PostgreSQL) -> None:
    processes = [start_code("from include.evergreen.state.database import migrate\nmigrate()") for _ in range(3)]
    assert [(process.wait(300), process.communicate()[1][-2000:]) for process in processes] == [(0, "")] * 3
    migrate()
    assert rows_of(observations) == []


def test_a_database_without_tables_is_named_without_its_password(empty: PostgreSQL) -> None:
    with pytest.raises(ConfigError, match=r"postgresql\+psycopg2://evergreen:\*\*\*@.* has no tables yet. Run `make setup`"):
        rows_of(observations)


def test_two_runs_that_publish_one_partition_at_once_make_whole_versions_in_a_row(ours: PostgreSQL) -> None:
    processes = [start_code(_publishing(own=letter)) for letter in "ab"]
    assert [(process.wait(300), process.communicate()[1][-2000:]) for process in processes] == [(0, "")] * 2
    versions = sorted(rows_of(partition_versions), key=lambda row: row.version)
    assert [row.version for row in versions] == list(range(1, len(versions) + 1))
    assert all(row.path == f"{row.digest}.parquet" for row in versions)
    assert all(first.digest != second.digest for first, second in itertools.pairwise(versions))
    newest = current_partition("sales", DAY)
    assert newest is not None and newest.version == len(versions)


def test_runs_that_publish_the_same_content_at_once_make_one_version(ours: PostgreSQL) -> None:
    processes = [start_code(_publishing(own="a", times=1)) for _ in range(3)]
    assert [process.wait(300) for process in processes] == [0, 0, 0]
    assert [row.version for row in rows_of(partition_versions)] == [1]


def test_a_read_as_of_a_moment_gets_the_version_that_was_known(ours: PostgreSQL) -> None:
    for own, known in (("a", 10), ("b", 20)):
        code = _publishing(own=own, times=1, known=f"2013-02-{known}T00:00:00+00:00")
        assert start_code(code).wait(300) == 0
    found = [known_partitions("sales", as_of=dt.datetime(2013, 2, day, tzinfo=dt.UTC), first=DAY, last=DAY) for day in (9, 10, 15, 20)]
    assert [[version.digest for version in versions] for versions in found] == [[], ["a0"], ["a0"], ["b0"]]


def test_what_a_stage_has_not_read_is_told_as_on_sqlite(ours: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "champion_for", lambda *_: "a champion")
    inputs = readiness.Inputs(DAILY, WHEN_IT_BEGINS, (("sales", DAYS, NO_SPAN, None), ("weather", DAYS, NO_SPAN, None)))
    monkeypatch.setattr(readiness, "inputs_of", lambda _: inputs)
    assert start_code(_publishing(own="a", times=1, known="2013-02-09T00:00:00+00:00")).wait(300) == 0
    assert readiness.scoring("m", DAY, moment=DAILY.start(DAY)).missing == ("weather/2013-02-09",)
    assert readiness.monitoring("m", DAY, LabelSource("sales")).missing == ("predictions of m/2013-02-09",)
    assert start_code(_publishing(own="a", times=1, known="2013-02-09T00:00:00+00:00").replace("sales", "weather")).wait(300) == 0
    assert readiness.scoring("m", DAY, moment=DAILY.start(DAY)).is_started_by("weather/2013-02-09")
    assert not readiness.scoring("m", DAY, moment=DAILY.start(DAY)).is_started_by("sales/2013-02-09")
    with writing() as connection:
        made = {"version": 1, "challenger_version": 0, "rows": 1, "digest": "d", "path": "p", "input_digest": "i", "origin": "live"}
        connection.execute(prediction_sets.insert().values(model="m", partition=DAY, recorded_at=VALUES["recorded_at"], **made))
    record_stage("m", "score", DAY, "done", {"read": {"sales/2013-02-09": "a0", "weather/2013-02-09": "before"}})
    assert [each.name for each in readiness.scoring("m", DAY, moment=DAILY.start(DAY)).news] == ["weather/2013-02-09"]
    within = [["sales", "2013-02-06", DAY]]  # of which the newest known partition is read
    record_stage("m", "score", DAY, "done", {"read": {"sales/2013-02-08": "before"}, "within": within})
    assert [each.name for each in readiness.scoring("m", DAY, moment=DAILY.start(DAY)).news] == ["sales/2013-02-09"]
    assert readiness.Inputs(DAILY, WHEN_IT_BEGINS, (("sales", DAYS, NO_SPAN, Span(3, "day")),)).keys(DAILY.shift(DAY, 2)) == [
        ("sales", DAY)
    ]
    record_stage("m", "monitor", DAY, "done", {"read": {"predictions": "d", "truth": None}})
    assert [each.name for each in readiness.monitoring("m", DAY, LabelSource("sales")).news] == ["sales/2013-02-09"]


def test_three_processes_append_to_the_ledger_and_the_chain_is_whole(ours: PostgreSQL) -> None:
    code = (
        "from include.evergreen.state import ledger\n"
        "from include.evergreen.state.database import writing\n"
        "for number in range(20):\n"
        "    with writing() as connection:\n"
        "        ledger.append(connection, kind='damage', model='m', body={'number': number, 'text': 'Zürich \"1\"'})\n"
    )
    processes = [start_code(code) for _ in range(3)]
    assert [process.wait(300) for process in processes] == [0, 0, 0]
    assert ledger.verify() == []
    assert sorted(row.sequence for row in rows_of(entries)) == list(range(1, 61))
    with writing() as connection:
        connection.execute(sa.text("UPDATE ledger SET kind = 'forged' WHERE sequence = 30"))
    assert len(ledger.verify()) == 1


def test_a_server_that_restarts_is_worth_a_retry_and_then_serves_again(ours: PostgreSQL) -> None:
    assert rows_of(observations) == []
    ours.stop()
    try:
        with pytest.raises(TransientError, match=r"The database postgresql\+psycopg2://evergreen:\*\*\*@.* did not answer"):
            rows_of(observations)
    finally:
        ours.start()
    assert rows_of(observations) == []


def test_a_lock_that_lasts_too_long_is_worth_a_retry_and_named_with_who_holds_it(ours: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "weather.ingest")
    monkeypatch.setenv("AIRFLOW_CTX_TASK_ID", "publish")
    holder = start_code(HOLDING)
    assert holder.stdout is not None and holder.stdout.readline() == "holding\n"
    close_database()
    monkeypatch.setenv("EVERGREEN_LOCK_TIMEOUT_SECONDS", "0.1")
    named = (
        r"is locked by another writer, .* 0\.1 s \(EVERGREEN_LOCK_TIMEOUT_SECONDS\)\. It is held by session (\d+) "
        rf"\(evergreen weather\.ingest/publish .*:{holder.pid}\) of evergreen from 127\.0\.0\.1, since 20\d\d-.*, idle in transaction\. "
        r"If that is stuck, end it: SELECT pg_terminate_backend\(\1\);"
    )
    with pytest.raises(TransientError, match=named), writing():
        pass
    assert rows_of(observations) == [], "reading waits for no writer"
    holder.kill()
    holder.wait()


def test_a_session_that_sleeps_in_a_transaction_is_ended_by_the_server(ours: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_IDLE_TRANSACTION_SECONDS", "0.2")
    close_database()
    ended = r"ended a transaction of this process, which did nothing in it for 0\.2 s|server closed the connection"
    with pytest.raises(TransientError, match=ended), writing() as sleeper:
        upsert(sleeper, observations, KEY, VALUES)
        time.sleep(0.6)
        upsert(sleeper, observations, KEY, VALUES)
    monkeypatch.delenv("EVERGREEN_IDLE_TRANSACTION_SECONDS")  # on a busy machine reading takes longer too
    close_database()
    assert rows_of(observations) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda url: re.sub(r"/evergreen$", "/nowhere", url), 'database "nowhere" does not exist'),
        (lambda url: url.replace("evergreen:", "nobody:"), "authentication failed"),
        (lambda url: re.sub(r":[^:@]+@", ":wrong@", url), "authentication failed"),
    ],
    ids=["database", "user", "password"],
)
def test_what_no_retry_mends_is_not_retried(ours: PostgreSQL, monkeypatch, wrong, said: str) -> None:
    url = engine.Settings.from_environment().database_url
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", wrong(url))
    with pytest.raises(
        ConfigError, match=rf"The database postgresql\S+ cannot be used: (?s:.*){said}(?s:.*)Look at EVERGREEN_DATABASE_URL"
    ):
        rows_of(observations)


def test_a_user_who_may_not_write_is_told_so_and_not_retried(ours: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    ours.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD 'reader'")
    ours.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", "evergreen")
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", f"postgresql+psycopg2://reader:reader@127.0.0.1:{ours.port}/evergreen")
    assert rows_of(observations) == []
    with (
        pytest.raises(ConfigError, match="cannot be used: permission denied for table observations"),
        writing() as connection,
    ):
        upsert(connection, observations, KEY, VALUES)
    close_database()


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(ours: PostgreSQL) -> None:
    assert rows_of(observations) == []
    ours.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'evergreen'")
    assert rows_of(observations) == []


def test_a_server_that_dies_in_a_transaction_leaves_nothing_of_it(ours: PostgreSQL, _own_home: Path) -> None:
    try:
        with pytest.raises(TransientError), writing() as connection:
            upsert(connection, observations, KEY, VALUES)
            ours.stop()
            upsert(connection, observations, {**KEY, "metric": "other"}, VALUES)
    finally:
        ours.start()
    engine._engine.cache_clear()
    assert rows_of(observations) == []


def _publishing(*, own: str, times: int = 20, known: str = "2013-02-10T00:00:00+00:00") -> str:
    """Code that publishes ``times`` contents of its own, each after the other."""
    return (
        "import datetime as dt\n"
        "from include.evergreen.data.partitions import publish_partition\n"
        f"for number in range({times}):\n"
        f"    digest = f'{own}{{number}}'\n"
        "    content = dict(digest=digest, path=f'{digest}.parquet', rows=number, quarantine_digest='q', quarantine_path='q',\n"
        "        quarantined=0, source_rows=number, raw_digest='r', raw_path='r', knowledge_column=None)\n"
        "    publish_partition(dataset='sales', partition='2013-02-09', content=content, origin='live',\n"
        f"        known_at=lambda superseded: dt.datetime.fromisoformat('{known}'))\n"
    )
