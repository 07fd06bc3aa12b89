"""``verify-ledger`` and ``export-ledger``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.evergreen.state import ledger
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import ledger as table
from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import MODEL


def change(number: int, **values: object) -> None:
    with writing() as connection:
        connection.execute(sa.update(table).where(table.c.sequence == number).values(**values))


def test_a_whole_ledger_is_counted(ask: Ask, cycled: None) -> None:
    answer = ask("verify-ledger")
    assert answer.code == 0
    assert answer.out.startswith("The ledger is whole: 6 entries, each chained to the one before it.\nThere is no anchor yet")


def test_a_changed_ledger_is_told(ask: Ask, cycled: None) -> None:
    change(4, body="{}")
    answer = ask("verify-ledger")
    assert answer.code == 1
    assert answer.out.startswith("entry 4 (registration of flight_delay) was changed after it was written\n")
    assert "Compare it with a backup" in answer.out


def test_a_cut_tail_is_told_when_there_is_an_anchor(ask: Ask, cycled: None) -> None:
    ledger.anchor()
    assert "It agrees with 1 anchors; the newest, of " in ask("verify-ledger").out
    with writing() as connection:
        connection.execute(table.delete().where(table.c.sequence == 6))
    answer = ask("verify-ledger")
    assert (answer.code, "the tail is cut: the ledger ends with entry 5" in answer.out) == (1, True)


def test_an_auditor_verifies_an_export_without_the_database(
    ask: Ask, cycled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.anchor()
    anchors = str(Path.cwd() / tmp_path / "home" / "storage" / "ledger" / "anchors")
    file = tmp_path / "export.jsonl"
    assert ask("export-ledger", "--out", str(file)).out.startswith("6 entries are in ")
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", "sqlite:////nowhere/at/all.db")
    answer = ask("verify-ledger", "--file", str(file))
    assert answer.code == 0
    assert "is whole: 6 entries" in answer.out
    assert "It was compared with no anchor" in answer.out
    assert "It agrees with 1 anchors" in ask("verify-ledger", "--file", str(file), "--anchors", anchors).out
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    assert ask("verify-ledger", "--file", str(file)).code == 0
    cut = ask("verify-ledger", "--file", str(file), "--anchors", anchors)
    assert (cut.code, "the tail is cut" in cut.out) == (1, True)


def test_an_export_is_json_lines_with_the_evidence_parsed(ask: Ask, cycled: None) -> None:
    lines = [json.loads(line) for line in ask("export-ledger").out.splitlines()]
    assert [line["kind"] for line in lines] == ["snapshot", "training", "decision", "registration", "promotion", "scoring"]
    assert lines[2]["body"]["verdict"] == "blessed"


def test_an_export_of_one_model_says_what_it_cannot_tell(ask: Ask, cycled: None, tmp_path: Path) -> None:
    with writing() as connection:
        ledger.append(connection, kind="damage", model="another", body={})
        ledger.append(connection, kind="damage", model=MODEL, body={})
    file = tmp_path / "one.jsonl"
    assert ask("export-ledger", "--model", MODEL, "--out", str(file)).out.startswith("7 entries are in ")
    answer = ask("verify-ledger", "--file", str(file), "--model", MODEL)
    assert (answer.code, "7 entries of flight_delay, each as it was written" in answer.out) == (0, True)
    whole = ask("verify-ledger", "--file", str(file))
    assert (whole.code, "entry 7 is missing: entry 8 follows entry 6" in whole.out) == (1, True)
    other = ask("verify-ledger", "--file", str(file), "--model", "another")
    assert (other.code, "is of flight_delay; the file is said to be of another alone" in other.out) == (1, True)


def test_an_export_that_fails_leaves_the_old_file_and_nothing_beside_it(ask: Ask, cycled: None, tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    (folder / "export.jsonl").write_text("the old one")
    change(4, body="{")
    answer = ask("export-ledger", "--out", str(folder / "export.jsonl"))
    assert answer.code == 3
    assert "Entry 4 (registration of flight_delay) has a body that is no JSON" in answer.err
    assert [(each.name, each.read_text()) for each in folder.iterdir()] == [("export.jsonl", "the old one")]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["verify-ledger", "--model", "flight_delay"], 2, "say what the file of --file is"),
        (["verify-ledger", "--file", "/nowhere/export.jsonl"], 2, "/nowhere/export.jsonl cannot be read"),
        (["export-ledger", "--out", "/nowhere/at/all.jsonl"], 4, "/nowhere/at/all.jsonl could not be written"),
        (["export-ledger", "--model", "flight_dely"], 2, "flight_dely"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], code: int, words: str, ask: Ask, cycled: None) -> None:
    answer = ask(*arguments)
    assert answer.code == code
    assert words in answer.err
