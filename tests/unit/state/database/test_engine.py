from __future__ import annotations

import datetime as dt
import os
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.state.database import reading, sessions, writing
from include.evergreen.state.database.tables import observations, snapshots
from include.evergreen.state.database.upsert import insert_once, upsert
from tests.unit.flights import rows_of
from tests.unit.warm import start_code

pytestmark = pytest.mark.usefixtures("home")
KEY = {"model": "m", "metric": "drift.share", "partition": "2013-02-09"}
VALUES = {"value": 0.5, "version": 1, "origin": "live", "rows": 10, "recorded_at": dt.datetime(2013, 2, 9, tzinfo=dt.UTC)}
HOLDING = (
    "import time\n"
    "from include.evergreen.state.database import writing\n"
    "with writing():\n"
    "    print('holding', flush=True)\n"
    "    time.sleep(300)\n"
)


def test_a_transaction_is_all_or_nothing() -> None:
    with pytest.raises(RuntimeError), writing() as connection:
        upsert(connection, observations, KEY, VALUES)
        raise RuntimeError("killed")
    assert rows_of(observations) == []


def test_an_upsert_replaces_and_keeps_what_it_is_told_to() -> None:
    with writing() as connection:
        upsert(connection, observations, KEY, VALUES)
        upsert(connection, observations, KEY, {**VALUES, "value": 0.75, "rows": 20}, keep=("rows",))
    assert [(row.value, row.rows) for row in rows_of(observations)] == [(0.75, 10)]


def test_inserting_once_leaves_what_stands_and_says_so() -> None:
    with writing() as connection:
        assert insert_once(connection, observations, KEY, VALUES)
        assert not insert_once(connection, observations, KEY, {**VALUES, "value": 0.75})
    assert [row.value for row in rows_of(observations)] == [0.5]


def test_moments_come_back_in_utc_whatever_zone_they_went_in_with() -> None:
    east = dt.timezone(dt.timedelta(hours=2))
    with writing() as connection:
        upsert(connection, observations, KEY, {**VALUES, "recorded_at": dt.datetime(2013, 2, 9, 1, tzinfo=east)})
    assert rows_of(observations)[0].recorded_at == dt.datetime(2013, 2, 8, 23, tzinfo=dt.UTC)


def test_the_database_refuses_a_row_that_refers_to_nothing() -> None:
    statement = "INSERT INTO decisions (model, run_key, champion_version, as_of, verdict, criteria, recorded_at) "
    values = "VALUES ('m', 'no such key', 0, '2013-02-01', 'blessed', '[]', '2013-02-01')"
    with pytest.raises(sa.exc.IntegrityError), writing() as connection:
        connection.execute(sa.text(statement + values))


def test_reading_goes_on_while_another_writes_and_sees_nothing_unfinished() -> None:
    with writing() as writer:
        upsert(writer, observations, KEY, VALUES)
        assert rows_of(observations) == []
    assert len(rows_of(observations)) == 1


def test_a_view_for_reading_does_not_change_under_its_reader() -> None:
    with reading() as reader:
        assert reader.execute(observations.select()).all() == []
        with writing() as writer:
            upsert(writer, observations, KEY, VALUES)
        assert reader.execute(observations.select()).all() == []


def test_writers_wait_for_each_other_and_lose_nothing(home: Path) -> None:
    code = (
        "import datetime as dt, sqlalchemy as sa\n"
        "from include.evergreen.state.database import writing\n"
        "for _ in range(25):\n"
        "    with writing() as connection:\n"
        "        count = connection.execute(sa.text('SELECT sum(rows) FROM snapshots')).scalar()\n"
        "        connection.execute(sa.text(f'UPDATE snapshots SET rows = {count + 1}'))\n"
    )
    with writing() as connection:
        values = {"model": "m", "as_of": "2013-02-01", "window_days": 1, "rows": 0, "members": {}}
        upsert(connection, snapshots, {"digest": "d"}, {**values, "frame_path": "p", "recorded_at": VALUES["recorded_at"]})
    processes = [start_code(code) for _ in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]
    assert rows_of(snapshots)[0].rows == 50


@pytest.mark.sqlite_only
def test_a_lock_that_lasts_too_long_is_worth_a_retry_and_named_with_who_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_LOCK_TIMEOUT_SECONDS", "0.05")
    holder = start_code(HOLDING)
    assert holder.stdout is not None and holder.stdout.readline() == "holding\n"
    named = rf"is locked by another writer, .* 0\.05 s \(EVERGREEN_LOCK_TIMEOUT_SECONDS\)\. It is held by process {holder.pid} \(python"
    with pytest.raises(TransientError, match=named), writing() as impatient:
        impatient.execute(sa.text("SELECT 1"))
    holder.kill()
    holder.wait()
    with writing():
        pass


@pytest.mark.sqlite_only
@pytest.mark.parametrize("text", ["soon", "-1", "0", "inf", "1e9"])
def test_a_limit_that_is_no_number_of_seconds_is_the_settings_to_mend(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("EVERGREEN_LOCK_TIMEOUT_SECONDS", text)
    with (
        pytest.raises(ConfigError, match=rf"EVERGREEN_LOCK_TIMEOUT_SECONDS is '{text}'. Give a number of seconds .* default is 60"),
        reading(),
    ):
        pass


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("arguments", "environment", "name"),
    [
        (["/opt/venv/bin/evergreen", "erase", "passenger=Ada"], {}, "evergreen erase"),
        (["/code/include/evergreen/__main__.py", "train", "m"], {}, "evergreen train"),
        (["/opt/venv/bin/airflow", "scheduler"], {}, "airflow scheduler"),
        (["-c"], {}, "python"),
        (
            ["airflow", "worker"],
            {"AIRFLOW_CTX_DAG_ID": "weather.ingest", "AIRFLOW_CTX_TASK_ID": "publish"},
            "evergreen weather.ingest/publish",
        ),
        (["airflow"], {"AIRFLOW_CTX_DAG_ID": "ü" * 200, "AIRFLOW_CTX_TASK_ID": "x"}, "evergreen ?????"),
    ],
)
def test_a_session_says_what_it_is_and_names_no_person(monkeypatch, arguments: list[str], environment: dict[str, str], name: str) -> None:
    for variable in ("AIRFLOW_CTX_DAG_ID", "AIRFLOW_CTX_TASK_ID"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(sys, "argv", arguments)
    session = sessions.session_name()
    assert session.startswith(name) and session.endswith(f":{os.getpid()}")
    assert len(session.encode()) <= sessions.NAME_BYTES and "Ada" not in session
