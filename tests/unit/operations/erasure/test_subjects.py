from __future__ import annotations

import datetime as dt
import stat
from pathlib import Path

import pyarrow as pa
import pytest

from include.evergreen.config import Catalog, DatasetConfig
from include.evergreen.data import ingestion
from include.evergreen.data.conditions import Conditions
from include.evergreen.data.erased.secret import secret
from include.evergreen.data.erased.subjects import Erased, _without, subject_hash, without_erased
from include.evergreen.foundation.errors import ConfigError, TransientError
from include.evergreen.foundation.settings import Settings
from include.evergreen.operations.erasure.erase import erase
from tests.unit.operations.erasure.conftest import DAYS, PERSON
from tests.unit.warm import start_code

KEY_FILE = "erasure.key"
LONG = "a secret that nobody will guess, of more than 32 characters"


def test_the_secret_is_made_once_and_nobody_else_may_read_it(home: object) -> None:
    first = secret()
    file = Settings.from_environment().home / KEY_FILE
    assert secret() == first == file.read_bytes()
    assert len(first) == 64
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir() if "erasure" in each.name] == [KEY_FILE]


def test_processes_that_need_the_secret_at_once_get_the_same(home: object) -> None:
    code = "from include.evergreen.data.erased.secret import secret; print(secret().decode())"
    processes = [start_code(code) for _ in range(6)]
    assert len({process.communicate()[0] for process in processes}) == 1
    assert all(process.returncode == 0 for process in processes)


def test_the_environment_may_give_the_secret(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_ERASURE_KEY", LONG)
    assert secret() == LONG.encode()
    assert not (Settings.from_environment().home / KEY_FILE).exists()


def test_a_secret_that_could_be_guessed_is_refused(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_ERASURE_KEY", "short")
    with pytest.raises(ConfigError, match="EVERGREEN_ERASURE_KEY has 5 characters; give at least 32"):
        secret()


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(TransientError, match="holds the secret for erasures"):
        secret()


def test_a_subject_has_one_hash_whatever_its_columns_order_and_types() -> None:
    key = LONG.encode()
    assert subject_hash({"a": 5, "b": "x"}, key) == subject_hash({"b": "x", "a": "5"}, key) == subject_hash({"a": 5.0, "b": "x"}, key)
    assert len({subject_hash(values, key) for values in ({"a": "x"}, {"b": "x"}, {"a": "x", "b": ""}, {"a": None})}) == 4
    assert subject_hash({"a": "x"}, key) != subject_hash({"a": "x"}, b"another")
    noon = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)
    assert subject_hash({"a": noon}, key) == subject_hash({"a": noon.astimezone(dt.timezone(dt.timedelta(hours=3)))}, key)


def test_under_another_secret_nothing_is_ingested_rather_than_the_person_let_back_in(
    visits: DatasetConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    _erase(visits)
    monkeypatch.setenv("EVERGREEN_ERASURE_KEY", LONG)
    with pytest.raises(ConfigError, match="visits: rows of people were erased under another secret.*EVERGREEN_ERASURE_KEY"):
        ingestion.fetch(visits, DAYS[0])


def test_without_the_column_that_names_people_nothing_is_ingested(visits: DatasetConfig) -> None:
    _erase(visits)
    without = visits.model_copy(update={"columns": tuple(each for each in visits.columns if each.name != "email")})
    with pytest.raises(ConfigError, match="visits no longer declares email, by which people were erased"):
        ingestion.fetch(without, DAYS[0])


def test_only_rows_that_have_all_values_of_a_subject_are_dropped(visits: DatasetConfig) -> None:
    _erase(visits, Conditions({"visit": 3, "email": PERSON}))
    batch = pa.record_batch({"visit": [3, 4, 3, None], "email": [PERSON, PERSON, "someone else", PERSON], "pulse": [1.0, 2.0, 3.0, 4.0]})
    [left] = without_erased(visits, [batch])
    assert left.column("pulse").to_pylist() == [2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (pa.int64(), [5, -7, None, 2**62]),
        (pa.string(), ["ada", "", None, "5:ada;", "Ω\x00="]),
        (pa.float64(), [5.0, 0.1, None, -1e300]),
        (pa.bool_(), [True, False, None]),
        (pa.timestamp("us", "UTC"), [dt.datetime(2013, 1, 1, 12, 0, 0, 1, tzinfo=dt.UTC), None, dt.datetime(1800, 1, 1, tzinfo=dt.UTC)]),
    ],
)
def test_a_delivered_row_is_known_by_the_hash_that_was_recorded(type_: pa.DataType, values: list[object]) -> None:
    key = LONG.encode()
    batch = pa.record_batch({"who": pa.array(values, type_), "n": pa.array(["x"] * len(values))})
    for value in values:
        erased = Erased(("n", "who"), frozenset([subject_hash({"who": value, "n": "x"}, key)]))
        assert _without(batch, erased, key).column("who").to_pylist() == [each for each in values if each != value]


def _erase(dataset: DatasetConfig, subject: Conditions | None = None) -> None:
    erase(Catalog(), dataset, subject or Conditions({"email": PERSON}), actor="a person", reason="request 17")
