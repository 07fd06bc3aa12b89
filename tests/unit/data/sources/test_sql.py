from __future__ import annotations

import datetime as dt
import json
import threading
import traceback
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from include.evergreen.config import DatasetConfig
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import current_partition, read_partition
from include.evergreen.data.sources import Delivery, make_source
from include.evergreen.data.sources import sql as sql_source
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.foundation.grain import DAILY, Partition
from tests.servers import PostgreSQL
from tools.postgresql import PASSWORD

DAY = "2013-02-09"
SALES = """
CREATE TABLE sales (shop text, count bigint, amount numeric(38,10), sold timestamptz, open boolean, day date, note text);
INSERT INTO sales VALUES
  ('north', 3, 1.5, '2013-02-09 08:00:00+00', true, '2013-02-09', 'x'),
  (NULL, -4, NULL, '2013-02-09 10:00:00+02', NULL, '2013-02-09', 'x'),
  ('next day', 1, 1, '2013-02-10 00:00:00+00', false, '2013-02-10', 'x');
"""
COLUMNS = [
    {"name": "shop", "type": "string", "nullable": True, "description": "Which shop"},
    {"name": "count", "type": "integer", "description": "Sales"},
    {"name": "amount", "type": "number", "nullable": True, "description": "Amount"},
    {"name": "sold", "type": "timestamp", "description": "When it was sold"},
    {"name": "open", "type": "boolean", "nullable": True, "description": "Whether it is open"},
]
QUERY = "SELECT shop, count, amount, sold, open FROM sales WHERE day = :partition ORDER BY count DESC"
COUNT = [{"name": "n", "type": "integer", "description": "Count"}]


@pytest.fixture
def warehouse(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> PostgreSQL:
    """The connection `warehouse`, to a database with a table of sales."""
    postgresql.new_database("warehouse")
    postgresql.execute(SALES, "warehouse")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", postgresql.url("warehouse"))
    return postgresql


@pytest.fixture
def lite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sa.Engine:
    """The connection `warehouse`, to an SQLite database."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/warehouse.db"}))
    return sa.create_engine(f"sqlite:///{tmp_path}/warehouse.db")


def test_rows_of_a_partition_come_in_their_types_with_null_as_missing(warehouse: PostgreSQL) -> None:
    delivery = _open()
    assert _rows(delivery) == [
        {"shop": "north", "count": 3, "amount": 1.5, "sold": dt.datetime(2013, 2, 9, 8, tzinfo=dt.UTC), "open": True},
        {"shop": None, "count": -4, "amount": None, "sold": dt.datetime(2013, 2, 9, 8, tzinfo=dt.UTC), "open": None},
    ]
    assert delivery.undeclared == []


def test_start_and_end_are_the_moments_at_which_the_day_begins_and_the_next_one_does(warehouse: PostgreSQL) -> None:
    moments = "SELECT shop, count, amount, sold, open FROM sales WHERE sold >= :start AND sold < :end"
    assert len(_rows(_open(moments))) == 2
    assert _rows(_open("SELECT CAST(CAST(:partition AS date) - CAST(:start AS date) AS bigint) AS n", COUNT)) == [{"n": 0}]


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York", "UTC"])
def test_the_servers_time_zone_changes_no_rows(warehouse: PostgreSQL, zone: str) -> None:
    warehouse.execute(f"ALTER DATABASE warehouse SET TimeZone = '{zone}'", "warehouse")
    warehouse.execute("ALTER TABLE sales ADD COLUMN wall timestamp; UPDATE sales SET wall = sold AT TIME ZONE 'UTC'", "warehouse")
    warehouse.execute("INSERT INTO sales (count, sold, wall) VALUES (5, '2013-02-09 23:30Z', '2013-02-09 23:30')", "warehouse")
    warehouse.execute("INSERT INTO sales (count, sold, wall) VALUES (6, '2013-02-09 00:30Z', '2013-02-09 00:30')", "warehouse")
    for within in ("wall >= :start AND wall < :end", "CAST(sold AS date) = :partition", "date_trunc('day', sold) = :start"):
        assert [row["n"] for row in _rows(_open(f"SELECT count AS n FROM sales WHERE {within} ORDER BY n", COUNT))] == [-4, 3, 5, 6], within


def test_a_partition_is_bound_as_a_value_and_is_never_part_of_the_text(warehouse: PostgreSQL) -> None:
    sent: list[str] = []
    listener = lambda *arguments: sent.append(arguments[2])  # noqa: E731
    sa.event.listen(sa.Engine, "before_cursor_execute", listener)
    try:
        _rows(_open())
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listener)
    query = next(statement for statement in sent if "FROM sales" in statement)
    assert "day = %(partition)s" in query and "2013" not in query


def test_a_partition_key_with_sql_in_it_is_refused_before_any_query(warehouse: PostgreSQL) -> None:
    with pytest.raises(ConfigError, match="is not a date"):
        DAILY.parse("2013-02-09'; DROP TABLE sales; --")
    assert warehouse.execute("SELECT count(*) FROM sales", "warehouse") == [(3,)]


def test_rows_with_sql_in_them_are_text_like_any_other(warehouse: PostgreSQL) -> None:
    text = "x'); DROP TABLE sales; --"
    warehouse.execute(f"UPDATE sales SET shop = '{text.replace(chr(39), chr(39) * 2)}' WHERE count = 3", "warehouse")
    assert _rows(_open())[0]["shop"] == text
    assert warehouse.execute("SELECT count(*) FROM sales", "warehouse") == [(3,)]


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("SELECT * FROM sales WHERE day = '{partition}'", "'{partition}' would be put into the text"),
        ("SELECT * FROM sales WHERE day = '{partition.isoformat()}'", "would be put into the text"),
        ("SELECT * FROM sales WHERE day = '{{ ds }}'", "would be put into the text"),
        ("SELECT * FROM sales WHERE day = '${DAY}'", "would be put into the text"),
        ("SELECT * FROM sales WHERE day = %(partition)s", "would be put into the text"),
        ("SELECT * FROM sales WHERE day = :day", "unknown parameter :day; allowed: :partition, :start, :end"),
        ("SELECT * FROM sales", "names no partition, so that every partition would have the same rows"),
        ("DELETE FROM sales WHERE day = :partition", "must be one SELECT"),
        ("-- SELECT\nDROP TABLE sales /* :partition */", "must be one SELECT"),
    ],
)
def test_queries_that_format_their_parameters_or_do_not_read_are_refused_with_the_yaml(query: str, complaint: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _dataset(query)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "query", ["-- the day's\nSELECT 1 WHERE :partition > '2013-01-01'::date", "with d AS (SELECT :start) SELECT '{}' FROM d"]
)
def test_comments_casts_and_braces_of_other_kinds_are_no_parameters(query: str) -> None:
    assert _dataset(query).source.type == "sql"


def test_text_casts_percent_signs_and_escaped_colons_reach_the_database_as_they_stand(warehouse: PostgreSQL) -> None:
    query = r"SELECT count(*) AS n FROM sales WHERE CAST(:partition AS text) = '2013-02-09' "
    query += r"AND shop LIKE '%or%' AND ' \:x' = ' ' || chr(58) || 'x'"
    assert _rows(_open(query, COUNT)) == [{"n": 1}]


def test_a_query_cannot_write_whatever_it_says(warehouse: PostgreSQL) -> None:
    writing = "WITH gone AS (DELETE FROM sales WHERE day = :partition RETURNING count) SELECT count AS n FROM gone"
    with pytest.raises(ConfigError, match="writes to the database, and a source is only read|is refused: DECLARE CURSOR must not contain"):
        _rows(_open(writing, COUNT))
    with pytest.raises(ConfigError, match="cannot insert multiple commands"):
        _rows(_open("SELECT 1 AS n WHERE :partition IS NOT NULL; DROP TABLE sales", COUNT))
    assert warehouse.execute("SELECT count(*) FROM sales", "warehouse") == [(3,)]


def test_a_wrong_column_of_the_query_is_named_and_worth_no_retry(warehouse: PostgreSQL) -> None:
    with pytest.raises(ConfigError, match=r'sales: the query on connection \'warehouse\' is refused: column "shoop" does not exist'):
        _rows(_open("SELECT shoop FROM sales WHERE day = :partition"))
    with pytest.raises(ConfigError, match='relation "sails" does not exist'):
        _rows(_open("SELECT * FROM sails WHERE day = :partition"))


def test_declared_columns_that_the_query_does_not_give_are_named_beside_those_that_it_gives(warehouse: PostgreSQL) -> None:
    with pytest.raises(ConfigError, match="gives no column 'count', 'open'; it gives: shop, amount, sold"):
        _rows(_open("SELECT shop, amount, sold FROM sales WHERE day = :partition"))
    with pytest.raises(ConfigError, match="more than one column shop"):
        _rows(_open("SELECT shop, shop FROM sales WHERE day = :partition"))


def test_columns_that_are_not_declared_are_told_and_left(warehouse: PostgreSQL) -> None:
    delivery = _open("SELECT * FROM sales WHERE day = :partition")
    assert set(_rows(delivery)[0]) == {"shop", "count", "amount", "sold", "open"}
    assert delivery.undeclared == ["day", "note"]


def test_a_numeric_past_64_bits_is_named_by_row_column_and_value(warehouse: PostgreSQL) -> None:
    huge = "12345678901234567890123456.5"
    warehouse.execute(f"UPDATE sales SET amount = CASE WHEN count = -4 THEN {huge} ELSE 7 END", "warehouse")
    with pytest.raises(DataError, match=rf"on connection warehouse, row 2: n is '{huge}0*', which is not a valid integer"):
        _rows(_open("SELECT amount AS n FROM sales WHERE day = :partition ORDER BY count DESC", _nullable(COUNT)))


def test_a_timestamp_without_zone_needs_a_declared_one(warehouse: PostgreSQL) -> None:
    query = "SELECT timestamp '2013-02-09 08:00' AS at WHERE :partition IS NOT NULL"
    at: dict[str, Any] = {"name": "at", "type": "timestamp", "description": "When"}
    with pytest.raises(DataError, match=r"row 1: at is '2013-02-09 08:00:00', .* names no zone"):
        _rows(_open(query, [at]))
    assert _rows(_open(query, [{**at, "timezone": "America/New_York"}])) == [{"at": dt.datetime(2013, 2, 9, 13, tzinfo=dt.UTC)}]


def test_a_moment_in_the_hour_that_comes_twice_is_refused(warehouse: PostgreSQL) -> None:
    at = {"name": "at", "type": "timestamp", "timezone": "America/New_York", "description": "When"}
    with pytest.raises(DataError, match="row 1: at is '2013-11-03 01:30:00'.* twice"):
        _rows(_open("SELECT timestamp '2013-11-03 01:30' AS at WHERE :partition IS NOT NULL", [at]))


@pytest.mark.parametrize("moment", ["infinity", "20000-01-01 00:00+00", "0044-03-15 00:00+00 BC"])
def test_moments_that_no_calendar_of_ours_has_are_the_datas_fault(warehouse: PostgreSQL, moment: str) -> None:
    at = {"name": "at", "type": "timestamp", "description": "When"}
    with pytest.raises(DataError):
        _rows(_open(f"SELECT timestamptz '{moment}' AS at WHERE :partition IS NOT NULL", [at]))


def test_nan_is_a_missing_number_and_infinity_is_refused(warehouse: PostgreSQL) -> None:
    number = [{"name": "n", "type": "number", "nullable": True, "description": "A number"}]
    assert _rows(_open("SELECT 'NaN'::float8 AS n WHERE :partition IS NOT NULL", number)) == [{"n": None}]
    with pytest.raises(DataError, match="row 1: n is 'inf'"):
        _rows(_open("SELECT 'Infinity'::float8 AS n WHERE :partition IS NOT NULL", number))


def test_a_value_that_the_database_cannot_handle_is_the_datas_fault_and_not_shown_where_personal(warehouse: PostgreSQL) -> None:
    query = "SELECT CAST(note || 'bob@example.org' AS bigint) AS n FROM sales WHERE day = :partition"
    with pytest.raises(DataError, match="bob@example.org"):
        _rows(_open(query, COUNT))
    with pytest.raises(DataError, match="22P02") as refused:
        _rows(_open(query, [{**COUNT[0], "personal": True}]))
    assert "bob" not in str(refused.value)


def test_a_query_without_rows_is_a_partition_without_rows(warehouse: PostgreSQL) -> None:
    assert _rows(_open(partition="2013-03-01")) == []


def test_a_query_that_takes_too_long_is_stopped_by_the_database(warehouse: PostgreSQL) -> None:
    with pytest.raises(TransientError, match="took longer than 1 seconds"):
        _rows(_open("SELECT 1 AS n FROM pg_sleep(60) WHERE :partition IS NOT NULL", COUNT, timeout_seconds=1))
    assert _connections(warehouse, "state = 'active'") == 0, "the query goes on"


def test_no_retry_helps_where_the_password_is_wrong_and_it_is_told_to_nobody(
    warehouse: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.url("warehouse").replace("9@", "not-this@"))
    with pytest.raises(ConfigError, match="password authentication failed") as refused:
        _rows(_open())
    assert "not-this" not in "".join(traceback.format_exception(refused.value))


def test_secrets_are_in_no_place_no_log_and_no_error(warehouse: PostgreSQL, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    delivery = _open()
    _rows(delivery)
    told = [*delivery.places, caplog.text]
    for query in ("SELECT shoop FROM sales WHERE day = :partition", f"SELECT '{PASSWORD}'::int AS n WHERE :partition IS NOT NULL"):
        with pytest.raises((ConfigError, DataError)) as refused:
            _rows(_open(query, COUNT))
        told += traceback.format_exception(refused.value)
    assert not [each for each in told if PASSWORD in each or "pears%26plums" in each]


def test_a_server_that_is_not_there_is_worth_a_retry(warehouse: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.url("warehouse").replace(str(warehouse.port), "1"))
    with pytest.raises(TransientError, match="sales: the query on connection 'warehouse' was not answered: .*refused"):
        _rows(_open())


def test_a_server_that_dies_half_way_is_worth_a_retry_and_leaves_the_published_version(
    warehouse: PostgreSQL, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = _dataset(QUERY, fetch_rows=1000)
    version, _ = ingestion.ingest(dataset, DAY, "live")
    warehouse.execute("INSERT INTO sales SELECT 'big', n, 1, now(), true, '2013-02-09' FROM generate_series(1, 200000) n", "warehouse")
    delivery = make_source(dataset).open(DAY)
    assert next(delivery.batches).num_rows == sql_source.FIRST_ROWS
    warehouse.stop()
    try:
        with pytest.raises(TransientError, match="was not answered"):
            list(delivery.batches)
    finally:
        warehouse.start()

    monkeypatch.setattr(sql_source, "_partitions", _dying_after(3, warehouse))
    with pytest.raises(TransientError):
        ingestion.ingest(dataset, DAY, "live")
    warehouse.start()
    assert current_partition("sales", DAY) == version
    assert len(read_partition(version)) == 2
    assert [path for path in (home / "storage").rglob("*") if path.is_file() and ".unfinished" in str(path)] == []


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_serialization_failures_and_deadlocks_are_worth_a_retry(warehouse: PostgreSQL, state: str) -> None:
    warehouse.execute(
        "CREATE FUNCTION stumble() RETURNS bigint LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '{state}'; END $$",
        "warehouse",
    )
    with pytest.raises(TransientError, match="could not serialize access"):
        _rows(_open("SELECT stumble() AS n WHERE :partition IS NOT NULL", COUNT))


def test_three_hundred_thousand_rows_stream_in_bounded_memory(warehouse: PostgreSQL) -> None:
    text = [{"name": "n", "type": "integer", "description": "n"}, {"name": "t", "type": "string", "description": "t"}]
    query = "SELECT n, repeat('x', 1000) AS t FROM generate_series(1, 300000) n WHERE :partition IS NOT NULL"
    batches = _open(query, text, fetch_rows=5000).batches
    before, peak, rows = psutil.Process().memory_info().rss, 0, next(batches).num_rows
    for batch in batches:
        rows += batch.num_rows
        peak = max(peak, psutil.Process().memory_info().rss)
    assert rows == 300_000
    assert (peak - before) / 1e6 < 100  # the rows are 300 MB


def test_a_reader_that_leaves_half_way_leaves_no_connection_open(warehouse: PostgreSQL) -> None:
    batches = _open("SELECT n FROM generate_series(1, 100000) n WHERE :partition IS NOT NULL", COUNT_N, fetch_rows=1000).batches
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    patience = iter(range(1000))  # the server notes the end of a connection a moment later
    while _connections(warehouse) and next(patience, None) is not None:
        pass
    assert _connections(warehouse) == 0


def test_sqlite_is_read_too_and_only_read(lite: sa.Engine) -> None:
    with lite.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE sales (n integer, day date, sold text)")
        connection.exec_driver_sql("INSERT INTO sales VALUES (1, '2013-02-09', '2013-02-09T08:00:00Z'), (2, '2013-02-10', '')")
    columns = [*COUNT, {"name": "sold", "type": "timestamp", "description": "When"}]
    query = "SELECT n, sold FROM sales WHERE day = :partition"
    assert _rows(_open(query, columns)) == [{"n": 1, "sold": dt.datetime(2013, 2, 9, 8, tzinfo=dt.UTC)}]
    with pytest.raises(ConfigError, match="no such column: shoop"):
        _rows(_open("SELECT shoop FROM sales WHERE day = :partition", COUNT))
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c WHERE n < 0 AND :partition IS NOT NULL"
    with pytest.raises(TransientError, match="took longer than 1 seconds"):
        _rows(_open(endless, COUNT, timeout_seconds=1))


def test_two_days_read_at_once_do_not_mix(warehouse: PostgreSQL) -> None:
    found: dict[Partition, list[dict[str, Any]]] = {}
    days = [DAY, DAILY.shift(DAY, 1)]
    threads = [threading.Thread(target=lambda day=day: found.update({day: _rows(_open(partition=day))})) for day in days]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(found[day]) for day in days] == [2, 1]


COUNT_N = [{"name": "n", "type": "integer", "description": "n"}]


def _nullable(columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**column, "nullable": True} for column in columns]


def _dataset(query: str = QUERY, columns: list[dict[str, Any]] | None = None, **source: Any) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {
            "name": "sales",
            "description": "Sales of a day.",
            "owner": "shop",
            "source": {"type": "sql", "connection": "warehouse", "query": query, **source},
            "schedule": {"cron": "0 0 * * *", "start": "2013-01-01"},
            "knowledge": {"hours_after_partition": 24},
            "columns": columns or COLUMNS,
        }
    )


def _open(query: str = QUERY, columns: list[dict[str, Any]] | None = None, partition: Partition = DAY, **source: Any) -> Delivery:
    return make_source(_dataset(query, columns, **source)).open(partition)


def _rows(delivery: Delivery) -> list[dict[str, Any]]:
    return [row for batch in delivery.batches for row in batch.to_pylist()]


def _connections(server: PostgreSQL, where: str = "true") -> int:
    """Those of others to the warehouse."""
    query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = 'warehouse' AND pid <> pg_backend_pid() AND {where}"
    return int(server.execute(query, "warehouse")[0][0])


def _dying_after(batches: int, server: PostgreSQL) -> Any:
    whole = sql_source._partitions

    def dying(*arguments: Any) -> Any:
        for number, rows in enumerate(whole(*arguments)):
            if number == batches:
                server.stop()
            yield rows

    return dying
