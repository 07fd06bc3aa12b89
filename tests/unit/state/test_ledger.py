from __future__ import annotations

import datetime as dt
import json
import re
import tracemalloc
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.evergreen import PROJECT_ROOT
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.state import ledger
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import ledger as entries
from include.evergreen.state.ledger.entries import Entry
from tests.unit.flights import rows_of
from tests.unit.warm import start_code

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
    assert "entry 2 (damage of m) does not follow the entry before it" in ledger.verify()


def test_an_entry_stands_or_falls_with_its_deed() -> None:
    with pytest.raises(RuntimeError), writing() as connection:
        ledger.append(connection, kind="damage", model="m", body={})
        raise RuntimeError("the deed failed")
    assert rows_of(entries) == []


@pytest.mark.sqlite_only
def test_two_processes_that_append_at_once_keep_one_unbroken_chain(home: Path) -> None:
    code = (
        "from include.evergreen.state import ledger\n"
        "from include.evergreen.state.database import writing\n"
        "for number in range(20):\n"
        "    with writing() as connection:\n"
        "        ledger.append(connection, kind='damage', model='m', body={'number': number})\n"
    )
    processes = [start_code(code) for _ in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]
    assert len(rows_of(entries)) == 40
    assert ledger.verify() == []


@pytest.mark.parametrize("column", [each.name for each in entries.columns])
@pytest.mark.parametrize("sequence", [1, 2, 3])
def test_an_edit_of_any_column_of_any_entry_shows(column: str, sequence: int) -> None:
    _append(3)
    value = {"sequence": 77, "recorded_at": "2001-01-01 00:00:00.000000"}.get(column, "f" * 10)
    _tamper(f"UPDATE ledger SET {column} = '{value}' WHERE sequence = {sequence}")
    shown = (f"entry {sequence} ", f"entry {sequence + 1} ", f"entries {sequence} to ")
    assert any(words in problem for problem in ledger.verify() for words in shown)


def test_an_inserted_entry_shows() -> None:
    """With its own hash right, and the later entries moved up to make room for it."""
    _append(3)
    rows = rows_of(entries)
    for row in reversed(rows[1:]):
        _tamper(f"UPDATE ledger SET sequence = {row.sequence + 1} WHERE sequence = {row.sequence}")
    forged = Entry(2, "approval", "m", "{}", rows[0].recorded_at.isoformat(), rows[0].hash, "")
    _write_entry(forged._replace(hash=forged.own_hash()))
    problems = ledger.verify()
    assert problems[0] == "entry 3 (damage of m) does not follow the entry before it"


def test_several_missing_entries_are_one_problem_and_the_rest_is_still_read() -> None:
    _append(6)
    _tamper("DELETE FROM ledger WHERE sequence IN (2, 3)")
    _tamper("UPDATE ledger SET body = '[]' WHERE sequence = 5")
    assert ledger.verify() == [
        "entries 2 to 3 are missing: entry 4 follows entry 1",
        "entry 5 (damage of m) was changed after it was written",
    ]


def test_of_a_ledger_that_is_all_wrong_the_first_problems_are_told_and_the_rest_counted() -> None:
    _append(70)
    _tamper("UPDATE ledger SET body = '[]'")
    problems = ledger.verify()
    assert len(problems) == 51
    assert problems[-1] == "and 20 problems more"


def test_a_kind_that_is_not_listed_is_refused() -> None:
    with pytest.raises(KeyError, match="'hearsay' is not among the ledger's kinds"), writing() as connection:
        ledger.append(connection, kind="hearsay", model="m", body={})
    assert rows_of(entries) == []


def test_every_kind_that_the_code_writes_is_listed() -> None:
    written = set()
    for file in (PROJECT_ROOT / "include" / "evergreen").rglob("*.py"):
        text = file.read_text()
        written |= set(re.findall(r"""ledger\.(?:append|bind|unbind)\(.*?kind="([^"]+)\"""", text))
        written |= set(re.findall(r"""^LEDGER_KIND = "([^"]+)\"""", text, re.MULTILINE))
    assert {"decision", "registration", "erasure"} <= written
    assert written <= set(ledger.KINDS)
    assert {kind for binding in ledger.BINDINGS.values() for kind in binding.kinds} <= set(ledger.KINDS)


def test_a_body_with_numbers_for_keys_is_kept_as_an_export_gives_it_back(tmp_path: Path) -> None:
    with writing() as connection:
        ledger.append(connection, kind="damage", model="m", body={2: "b", 10: "a", 1.5: 0.1})
    file = tmp_path / "export.jsonl"
    with file.open("w") as out:
        assert ledger.export(out) == 1
    assert ledger.verified_file(file).problems == []


@pytest.mark.sqlite_only
def test_verification_and_export_hold_few_entries_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("entries", "bindings"):
        monkeypatch.setattr(f"include.evergreen.state.ledger.{module}.BATCH", 500)
    _append_chain(10_000)
    tracemalloc.start()
    try:
        found = ledger.verified()
        with (tmp_path / "export.jsonl").open("w") as out:
            ledger.export(out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.entries, found.problems) == (10_000, [])
    assert peak < 4e6  # all of them at once are 10 MB and more


# --- anchors ----------------------------------------------------------------------------------------------------------


def test_an_anchor_is_written_once_a_day_and_stays_as_it_is() -> None:
    _append(2)
    first, is_new = ledger.anchor()
    assert (is_new, first.sequence, first.hash) == (True, 2, rows_of(entries)[-1].hash)
    _append(3)
    assert ledger.anchor() == (first, False)
    assert ledger.anchors() == ([first], [])
    assert ledger.verify() == []


def test_the_next_day_has_its_own_anchor(monkeypatch: pytest.MonkeyPatch) -> None:
    _append(2)
    first, _ = ledger.anchor()
    _on_day(monkeypatch, first.date + dt.timedelta(days=1))
    _append(1)
    second, is_new = ledger.anchor()
    assert (is_new, second.sequence, second.date - first.date) == (True, 3, dt.timedelta(days=1))
    assert ledger.verified().anchors == [first, second]


def test_a_day_on_which_nothing_happened_is_anchored_too(monkeypatch: pytest.MonkeyPatch) -> None:
    _append(2)
    first, _ = ledger.anchor()
    _on_day(monkeypatch, first.date + dt.timedelta(days=1))
    second, is_new = ledger.anchor()
    assert (is_new, second.sequence, second.hash) == (True, first.sequence, first.hash)


def test_a_ledger_without_entries_is_anchored_too() -> None:
    assert ledger.anchor()[0].sequence == 0
    _append(2)
    assert ledger.verify() == []


def test_a_cut_tail_shows_with_the_day_on_which_it_was_there() -> None:
    _append(5)
    anchor, _ = ledger.anchor()
    _tamper("DELETE FROM ledger WHERE sequence > 3")
    assert ledger.verify() == [
        f"the tail is cut: the ledger ends with entry 3, and the anchor of {anchor.date} names entry 5; "
        f"entry 4 and what followed it is missing (it was there on {anchor.date})"
    ]


def test_a_ledger_that_was_emptied_shows() -> None:
    _append(2)
    ledger.anchor()
    _tamper("DELETE FROM ledger")
    assert ledger.verify()[0].startswith("the tail is cut: the ledger ends with entry 0")


def test_a_tail_that_was_written_anew_with_hashes_that_fit_shows_from_where_on(monkeypatch: pytest.MonkeyPatch) -> None:
    _append(3)
    first, _ = ledger.anchor()
    _append(4)
    _on_day(monkeypatch, first.date + dt.timedelta(days=1))
    second, _ = ledger.anchor()
    _tamper("DELETE FROM ledger WHERE sequence > 4")
    _append(5)
    assert ledger.verify() == [f"one of the entries 4 to 7 was rewritten: entry 7 has not the hash that the anchor of {second.date} holds"]


def test_no_anchor_is_written_of_a_ledger_that_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    _append(3)
    first, _ = ledger.anchor()
    _tamper("DELETE FROM ledger WHERE sequence = 3")
    _on_day(monkeypatch, first.date + dt.timedelta(days=1))
    with pytest.raises(DataError, match=f"ends with entry 2, and the anchor of {first.date} names entry 3"):
        ledger.anchor()
    assert ledger.anchors() == ([first], [])


def test_other_files_beside_the_anchors_are_none(home: Path) -> None:
    anchor, _ = ledger.anchor()
    folder = home / "storage" / "ledger" / "anchors"
    for name in ("README", "2013-01-01.json.bak", ".2013-01-01.json"):
        (folder / name).write_text("none")
    assert ledger.anchors() == ([anchor], [])


def test_an_anchor_that_cannot_be_read_shows(home: Path) -> None:
    _append(2)
    anchor, _ = ledger.anchor()
    file = home / "storage" / "ledger" / "anchors" / f"{anchor.date}.json"
    file.write_text('{"date": "yesterday"}')
    assert ledger.verify()[0].startswith(f"the anchor {anchor.date}.json in {file.parent} is damaged")


@pytest.mark.sqlite_only
def test_processes_that_anchor_at_once_write_one_whole_anchor(home: Path) -> None:
    _append(2)
    processes = [start_code("from include.evergreen.state import ledger\nprint(ledger.anchor())") for _ in range(4)]
    answers = {process.communicate()[0].split("), ")[0] for process in processes}
    assert len(answers) == 1
    assert [file.name for file in (home / "storage" / "ledger" / "anchors").iterdir()] == [f"{ledger.anchors()[0][0].date}.json"]


def test_anchors_may_lie_at_another_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_LEDGER_ANCHORS", str(tmp_path / "elsewhere"))
    ledger.anchor()
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1
    assert ledger.verified().anchors == ledger.anchors()[0]
    (tmp_path / "elsewhere").rename(tmp_path / "a copy")
    assert [len(ledger.anchors(place)[0]) for place in (None, str(tmp_path / "a copy"))] == [0, 1]


def test_a_place_that_does_not_answer_is_worth_a_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVERGREEN_LEDGER_ANCHORS", str(tmp_path / "file" / "anchors"))
    with pytest.raises(TransientError, match="could not be"):
        ledger.anchor()


def test_a_place_of_no_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_LEDGER_ANCHORS", "nowhere://at/all")
    with pytest.raises(ConfigError, match="'nowhere://at/all', which fsspec cannot open"):
        ledger.anchor()


def _on_day(monkeypatch: pytest.MonkeyPatch, day: dt.date) -> None:
    monkeypatch.setattr(clock, "now", lambda: dt.datetime.combine(day, dt.time(3), tzinfo=dt.UTC))


def _append_chain(number: int) -> None:
    """Many entries in one transaction, each as `ledger.append` would have written it."""
    rows, previous = [], ledger.GENESIS
    moment = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
    for sequence in range(1, number + 1):
        entry = Entry(sequence, "decision", "m", '{"evidence":"' + "x" * 500 + '"}', moment.isoformat(), previous, "")
        previous = entry.own_hash()
        rows.append({**entry._asdict(), "recorded_at": moment, "hash": previous})
    with writing() as connection:
        connection.execute(entries.insert(), rows)


def _write_entry(entry: Entry) -> None:
    values = {**entry._asdict(), "recorded_at": dt.datetime.fromisoformat(entry.recorded_at)}
    with writing() as connection:
        connection.execute(entries.insert().values(values))


def _append(number: int) -> None:
    for each in range(number):
        with writing() as connection:
            ledger.append(connection, kind="damage", model="m", body={"number": each})


def _tamper(statement: str) -> None:
    with writing() as connection:
        connection.execute(sa.text(statement))
