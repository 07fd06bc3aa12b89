from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.training.environment import code_digest, differences, environment
from tests.unit.flights import run_python


def test_it_says_what_decides_the_bits_of_a_fit() -> None:
    found = environment()
    assert found["libraries"]["scikit-learn"] == metadata.version("scikit-learn")
    assert found["lock"] == hashlib.sha256((PROJECT_ROOT / "requirements.txt").read_bytes()).hexdigest()
    assert found["code"]["digest"] == code_digest(PROJECT_ROOT / "include" / "evergreen")
    assert set(found["threads"].values()) == {1}  # as a fit finds them, whatever the caller may use
    assert any(each.startswith("openblas") for each in found["numeric"])
    assert json.loads(json.dumps(found)) == found


def test_it_is_the_same_in_every_process_of_this_machine() -> None:
    code = "import json\nfrom include.evergreen.training.environment import environment\nprint(json.dumps(environment()))"
    found = json.loads(run_python(code))
    assert {**found, "code": None} == {**environment(), "code": None}  # the code may be edited while the tests run


def test_what_a_caller_does_with_it_changes_no_other_record() -> None:
    environment()["libraries"]["numpy"] = "0.0"
    assert environment()["libraries"]["numpy"] == metadata.version("numpy")


@pytest.mark.parametrize("change", ["edit", "rename", "add"])
def test_the_code_has_a_digest_without_git(change: str, tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "a.py").write_text("one = 1\n")
    (tmp_path / "notes.txt").write_text("not code")
    before = code_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("still not")
    assert code_digest(tmp_path) == before
    match change:
        case "edit":
            (tmp_path / "core" / "a.py").write_text("one = 2\n")
        case "rename":
            (tmp_path / "core" / "a.py").rename(tmp_path / "core" / "b.py")
        case "add":
            (tmp_path / "core" / "b.py").write_text("")
    assert code_digest(tmp_path) != before


def test_each_difference_is_named_old_and_new() -> None:
    now = environment()
    then = {**now, "libraries": {**now["libraries"], "scikit-learn": "1.5.2", "catboost": "1.2"}, "python": "CPython 3.9.1"}
    then["threads"] = {**now["threads"], "openmp": 8}
    del then["lock"]
    assert differences(now, now) == []
    assert set(differences(then, now)) == {
        f"scikit-learn: 1.5.2 -> {now['libraries']['scikit-learn']}",
        "catboost: 1.2 -> none",
        f"python: CPython 3.9.1 -> {now['python']}",
        "threads of openmp: 8 -> 1",
        f"lock, digest of requirements.txt: none -> {now['lock']}",
    }
