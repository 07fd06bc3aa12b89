"""The list of tests that run on SQLite alone names tests that are there, and leaves nothing out that only they send."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.unit.databases import BOTH, LIST, Statements, on_sqlite_alone

ROOT = Path(__file__).parents[2]


def test_each_test_on_the_list_is_there_and_of_the_form_on_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BOTH, raising=False)
    for node in on_sqlite_alone():
        file, name = node.split("::")
        function, parameters = name.removesuffix("]").split("[", 1)
        assert re.search(rf"^def {function}\(", (ROOT / file).read_text(), re.MULTILINE), f"{node} is gone: make the list again"
        assert "postgresql" in parameters.split("-"), node


def test_the_nightly_run_leaves_none_of_them_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BOTH, "1")
    assert on_sqlite_alone() == set()
    assert f"{BOTH}=1" in (ROOT / ".ci" / "nightly").read_text()
    assert json.loads(LIST.read_text())


def test_those_stay_that_send_all_of_it_and_those_that_start_processes() -> None:
    statements = Statements()
    statements._seconds = {"costly": 9.0, "cheap": 1.0, "other": 1.0, "racing": 5.0, "same": 2.0}
    statements._sent |= {"costly": {"a", "b"}, "cheap": {"a"}, "other": {"b", "c"}, "racing": {"a"}, "same": {"c"}}
    statements._stay = {"racing"}
    assert set(statements._superfluous()) == {"costly", "cheap", "same"}
