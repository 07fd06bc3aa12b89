from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.evergreen import ledger
from include.evergreen.database import writing
from include.evergreen.database.tables import ledger as entries
from tests.unit.flights import rows_of, start_python

pytestmark = pytest.mark.usefixtures("home")


def test_an_empty_ledger_is_sound() -> None:
    assert ledger.verify() == []


def test_entries_are_numbered_and_chained() -> None:
    _append(3)
    rows = rows_of(entries)
    assert [row.sequence for row in rows] == [1, 2, 3]
    assert [row.previous_hash for row in rows] == [ledger.GENESIS, rows[0].hash, rows[1].hash]
    assert json.loads(rows[1].body) == {"number": 1}
    assert ledger.verify() == []


@pytest.mark.parametrize("column", ["kind", "model", "body", "recorded_at"])
def test_an_edited_entry_shows(column: str) -> None:
    _append(3)
    _tamper(f"UPDATE ledger SET {column} = '2001-01-01 00:00:00.000000' WHERE sequence = 2")
    assert len(ledger.verify()) == 1
    assert ledger.verify()[0].startswith("entry 2 (")
    assert ledger.verify()[0].endswith("was changed after it was written")


def test_an_entry_that_was_forged_with_its_own_hash_shows() -> None:
    _append(3)
    forged = "f" * 64
    _tamper(f"UPDATE ledger SET hash = '{forged}' WHERE sequence = 2")
    _tamper(f"UPDATE ledger SET previous_hash = '{forged}' WHERE sequence = 3")
    assert any("entry 2" in problem for problem in ledger.verify())


def test_a_deleted_entry_shows() -> None:
    _append(4)
    _tamper("DELETE FROM ledger WHERE sequence = 2")
    assert ledger.verify() == ["entry 2 is missing: entry 3 follows entry 1"]


def test_a_deleted_first_entry_shows() -> None:
    _append(2)
    _tamper("DELETE FROM ledger WHERE sequence = 1")
    assert ledger.verify() == ["entry 1 is missing: entry 2 follows entry 0"]


def test_a_new_order_shows() -> None:
    _append(3)
    _tamper("UPDATE ledger SET sequence = 9 WHERE sequence = 2")
    _tamper("UPDATE ledger SET sequence = 2 WHERE sequence = 3")
    _tamper("UPDATE ledger SET sequence = 3 WHERE sequence = 9")
    assert "entry 2 (test) does not follow the entry before it" in ledger.verify()


def test_an_entry_stands_or_falls_with_its_deed() -> None:
    with pytest.raises(RuntimeError), writing() as connection:
        ledger.append(connection, kind="test", model="m", body={})
        raise RuntimeError("the deed failed")
    assert rows_of(entries) == []


def test_two_processes_that_append_at_once_keep_one_unbroken_chain(home: Path) -> None:
    code = (
        "from include.evergreen import ledger\n"
        "from include.evergreen.database import writing\n"
        "for number in range(20):\n"
        "    with writing() as connection:\n"
        "        ledger.append(connection, kind='test', model='m', body={'number': number})\n"
    )
    processes = [start_python(code) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(rows_of(entries)) == 40
    assert ledger.verify() == []


def _append(number: int) -> None:
    for each in range(number):
        with writing() as connection:
            ledger.append(connection, kind="test", model="m", body={"number": each})


def _tamper(statement: str) -> None:
    with writing() as connection:
        connection.execute(sa.text(statement))
