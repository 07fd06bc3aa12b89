"""Faults are planted where something is decided, one at a time, and only a test that fails by the fault notices it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks import mutants
from benchmarks.mutants import BUDGET_SECONDS, ROOT, Copy, Recording, drawn, recorded
from benchmarks.mutations import mutations
from tools.affected_tests import Affected

GUARD = '''"""Says 1 of 2."""
import logging
from typing import Final

log = logging.getLogger(__name__)
LIMIT: Final[int] = 3


def blessed(row, key: str = "x", strict=True):
    """Whether 1 row may."""
    if row is None or row["key"] != key or row["share"] >= LIMIT:
        raise ValueError(f"{row} is not at most {3 + 1}")
    log.info("%s of %d", row, 7)
    row.update(seen=not strict)
    return -row["share"] + 0.5
'''


def test_each_thing_that_decides_is_changed_in_each_way_and_nothing_else() -> None:
    assert sorted((found.line, found.kind, found.before, found.after) for found in mutations("guard.py", GUARD)) == sorted([
        (6, "number", "3", "4"),
        (9, "switch", "True", "False"),
        (11, "guard removed", GUARD.split("\n")[10].strip() + "\n" + GUARD.split("\n")[11], GUARD_OFF),
        (11, "comparison", "row is None", "(row is not None)"),
        (11, "condition left out", CONDITION, '((row is None) or (row["key"] != key))'),
        (11, "condition left out", CONDITION, '((row is None) or (row["share"] >= LIMIT))'),
        (11, "condition left out", CONDITION, '((row["key"] != key) or (row["share"] >= LIMIT))'),
        (11, "connective", CONDITION, '((row is None) and (row["key"] != key) and (row["share"] >= LIMIT))'),
        (11, "comparison", 'row["key"] != key', '(row["key"] == key)'),
        (11, "comparison", 'row["share"] >= LIMIT', '(row["share"] > LIMIT)'),
        (14, "call removed", "row.update(seen=not strict)", "pass"),
        (14, "negation", "not strict", "(strict)"),
        (15, "nothing returned", 'return -row["share"] + 0.5', "return None"),
        (15, "sign", '-row["share"]', '(+row["share"])'),
        (15, "arithmetic", '-row["share"] + 0.5', '((-row["share"]) - 0.5)'),
        (15, "number", "0.5", "0.76"),
    ])  # fmt: skip


CONDITION = 'row is None or row["key"] != key or row["share"] >= LIMIT'
GUARD_OFF = 'if False:\n        raise ValueError(f"{row} is not at most {3 + 1}")'


def test_every_fault_of_our_own_code_is_still_python_and_a_draw_is_repeated_by_its_seed() -> None:
    for mutation in drawn(200, 1):
        text = (ROOT / mutation.file).read_text()
        changed = mutation.applied(text)
        assert changed != text
        ast.parse(changed)
    assert drawn(20, 1) == drawn(20, 1) != drawn(20, 2)
    assert len(set(drawn(20, 1))) == 20


NAME_WITH_BLANKS = "test_code.py::test_it[two - of many [2]]"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    monkeypatch.setattr(mutants, "generation", lambda: tmp_path)
    (tmp_path / "code.py").write_text("def larger(a, b):\n    return a > b\n")
    (tmp_path / "test_code.py").write_text(
        "from pathlib import Path\nimport pytest\nfrom code_ import larger\n\n"
        "def test_length():\n    assert len(Path('code_.py').read_text()) < 43\n\n"
        "@pytest.mark.parametrize('a', [2], ids=['two - of many [2]'])\n"
        "def test_it(a):\n    assert larger(a, 1)\n    assert not larger(1, a)\n"
    )
    (tmp_path / "code.py").rename(tmp_path / "code_.py")  # `code` is a module of Python's
    return Copy(tmp_path, lambda _: ["test_code.py::test_length", NAME_WITH_BLANKS])


def test_a_fault_is_noticed_by_a_test_that_fails_by_it_and_not_by_any_change(copy: Copy) -> None:
    text = (copy.root / "code_.py").read_text()
    found = {fault.kind: copy.outcome(fault).noticed_by for fault in mutations("code_.py", text)}
    assert found == {"comparison": "", "nothing returned": NAME_WITH_BLANKS}, "nobody asks about equals"
    assert (copy.root / "code_.py").read_text() == text


def test_the_tests_that_run_a_line_are_recorded_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, kept = tmp_path / "tree", tmp_path / "kept"
    code, tests = tree / "include" / "evergreen" / "gates", tree / "tests" / "unit" / "gates"
    for folder in (code, tests, kept):
        folder.mkdir(parents=True)
    (code / "code.py").write_text("def larger(a, b):\n    if a > b:\n        return True\n    return False\n")
    (tests / "test_code.py").write_text(
        "import importlib.util, time\n"
        f"spec = importlib.util.spec_from_file_location('code_', {str(code / 'code.py')!r})\n"
        "code = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(code)\n\n"
        "def test_yes():\n    time.sleep(.02)\n    assert code.larger(2, 1)\n\ndef test_no():\n    assert not code.larger(1, 2)\n"
    )
    monkeypatch.setattr(mutants, "generation", lambda: tmp_path)
    monkeypatch.setattr(mutants, "affected", lambda *_: Affected(("tests/unit/gates/test_code.py",), (), 0.0))
    recording = recorded(tree, kept, workers=0)
    yes, no = (f"tests/unit/gates/test_code.py::test_{word}" for word in ("yes", "no"))
    file = "include/evergreen/gates/code.py"
    by_line = {fault.line: recording.tests_of(fault) for fault in mutations(file, (code / "code.py").read_text())}
    assert by_line == {2: [no, yes], 3: [yes], 4: [no]}, "the quicker one first"

    monkeypatch.setattr(mutants.subprocess, "run", lambda *_, **__: pytest.fail("it was recorded already"))
    assert recorded(tree, kept, workers=0) == recording


def test_of_a_lines_tests_as_many_run_as_there_is_time_for_and_one_in_any_case() -> None:
    fault = mutations("guard.py", GUARD)[-1]
    slow, slower = "a.py::test_slow", "a.py::test_slower"
    recording = Recording({"guard.py": {15: [slower, slow]}}, {slow: BUDGET_SECONDS / 2, slower: BUDGET_SECONDS})
    assert recording.tests_of(fault) == [slow]
    assert Recording({"guard.py": {14: [slower]}}, {slower: 2 * BUDGET_SECONDS}).tests_of(fault) == [slower], "the line before has tests"
    assert Recording({}, {}).tests_of(fault) == [], "a fault that no test passes through survives"
