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
from tests.unit.flights import rows_of
from tests.unit.lifecycle import MODEL


def change(number: int, **values: object) -> None:
    with writing() as connection:
        connection.execute(sa.update(table).where(table.c.sequence == number).values(**values))


def numbers(kind: str = "") -> list[int]:
    """The entries of a kind, or all, in their order."""
    return [row.sequence for row in rows_of(table) if kind in {"", row.kind}]


def test_a_whole_ledger_is_counted(ask: Ask, cycled: None) -> None:
    answer = ask("verify-ledger")
    assert answer.code == 0
    assert answer.out.startswith(
        f"The ledger is whole: {len(numbers())} entries, each chained to the one before it.\nThere is no anchor yet"
    )


def test_a_changed_ledger_is_told(ask: Ask, cycled: None) -> None:
    [number] = numbers("registration")
    change(number, body="{}")
    answer = ask("verify-ledger")
    assert answer.code == 1
    assert answer.out.startswith(f"entry {number} (registration of flight_delay) was changed after it was written\n")
    assert "Compare it with a backup" in answer.out


def test_a_cut_tail_is_told_when_there_is_an_anchor(ask: Ask, cycled: None) -> None:
    ledger.anchor()
    assert "It agrees with 1 anchors; the newest, of " in ask("verify-ledger").out
    with writing() as connection:
        connection.execute(table.delete().where(table.c.sequence == max(numbers())))
    answer = ask("verify-ledger")
    assert (answer.code, f"the tail is cut: the ledger ends with entry {max(numbers())}" in answer.out) == (1, True)


def test_an_auditor_verifies_an_export_without_the_database(
    ask: Ask, cycled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.anchor()
    anchors = str(Path.cwd() / tmp_path / "home" / "storage" / "ledger" / "anchors")
    file, count = tmp_path / "export.jsonl", len(numbers())
    assert ask("export-ledger", "--out", str(file)).out.startswith(f"{count} entries are in ")
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", "sqlite:////nowhere/at/all.db")
    answer = ask("verify-ledger", "--file", str(file))
    assert answer.code == 0
    assert f"is whole: {count} entries" in answer.out
    assert "It was compared with no anchor" in answer.out
    assert "It agrees with 1 anchors" in ask("verify-ledger", "--file", str(file), "--anchors", anchors).out
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    assert ask("verify-ledger", "--file", str(file)).code == 0
    cut = ask("verify-ledger", "--file", str(file), "--anchors", anchors)
    assert (cut.code, "the tail is cut" in cut.out) == (1, True)


def test_an_export_is_json_lines_with_the_evidence_parsed(ask: Ask, cycled: None) -> None:
    lines = [json.loads(line) for line in ask("export-ledger").out.splitlines()]
    deeds = [line for line in lines if line["kind"] != "publication"]
    assert [line["kind"] for line in deeds] == ["snapshot", "training", "decision", "registration", "promotion", "scoring"]
    assert deeds[2]["body"]["verdict"] == "blessed"


def test_an_export_of_one_model_says_what_it_cannot_tell(ask: Ask, cycled: None, tmp_path: Path) -> None:
    with writing() as connection:
        ledger.append(connection, kind="damage", model="another", body={})
        ledger.append(connection, kind="damage", model=MODEL, body={})
    file, newest = tmp_path / "one.jsonl", max(numbers())
    assert ask("export-ledger", "--model", MODEL, "--out", str(file)).out.startswith("7 entries are in ")
    answer = ask("verify-ledger", "--file", str(file), "--model", MODEL)
    assert (answer.code, "7 entries of flight_delay, each as it was written" in answer.out) == (0, True)
    whole = ask("verify-ledger", "--file", str(file))
    assert (whole.code, f"entry {newest - 1} is missing: entry {newest} follows entry {newest - 2}" in whole.out) == (1, True)
    other = ask("verify-ledger", "--file", str(file), "--model", "another")
    assert (other.code, "is of flight_delay; the file is said to be of another alone" in other.out) == (1, True)


def test_an_export_that_fails_leaves_the_old_file_and_nothing_beside_it(ask: Ask, cycled: None, tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    (folder / "export.jsonl").write_text("the old one")
    [number] = numbers("registration")
    change(number, body="{")
    answer = ask("export-ledger", "--out", str(folder / "export.jsonl"))
    assert answer.code == 3
    assert f"Entry {number} (registration of flight_delay) has a body that is no JSON" in answer.err
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
