"""`make check` runs the tests that a change is most likely to break, and says which it has no time for."""

from pathlib import Path

import pytest

from tools import affected_tests
from tools.affected_tests import DATA, ROOT, UNMEASURED_SECONDS, affected

CHANGED = "include/evergreen/gates/decide.py"
PLENTY = 10_000.0


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """A module, one that imports it within a function, and tests that reach it directly, at second hand, and not at all."""
    files = {
        CHANGED: "",
        "include/evergreen/cycle.py": "def run():\n    from include.evergreen.gates.decide import decide\n",
        "tests/unit/gates/test_decide.py": "",
        "tests/unit/test_lifecycle.py": "from include.evergreen.gates import decide\n",
        "tests/unit/test_cycle.py": "from include.evergreen import cycle\n",
        "tests/unit/test_clock.py": "from include.evergreen import clock\n",
        "tests/unit/conftest.py": "from include.evergreen import clock\n",
        "tests/models/test_declared_models.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(affected_tests, "SECONDS", tmp_path / "seconds.json")
    affected_tests.SECONDS.write_text("{}")  # what is not measured counts as `UNMEASURED_SECONDS`
    return tmp_path


def test_the_tests_that_mirror_a_module_come_first_then_who_imports_it_then_who_imports_these(tree):
    assert affected([CHANGED], PLENTY, tree).chosen == (
        "tests/unit/gates/test_decide.py",
        "tests/unit/test_lifecycle.py",
        "tests/unit/test_cycle.py",
    )


def test_what_there_is_no_time_for_is_named(tree):
    found = affected([CHANGED], 2 * UNMEASURED_SECONDS, tree)
    assert found.chosen == ("tests/unit/gates/test_decide.py", "tests/unit/test_lifecycle.py")
    assert found.left == ("tests/unit/test_cycle.py",)


def test_the_nearest_is_run_however_long_it_takes(tree):
    assert affected([CHANGED], 0.0, tree).chosen == ("tests/unit/gates/test_decide.py",)


def test_a_changed_test_is_run_and_so_are_those_of_a_changed_fixture(tree):
    assert affected(["tests/unit/test_clock.py"], PLENTY, tree).chosen == ("tests/unit/test_clock.py",)
    below = {"tests/unit/test_clock.py", "tests/unit/test_cycle.py", "tests/unit/test_lifecycle.py", "tests/unit/gates/test_decide.py"}
    assert set(affected(["tests/unit/conftest.py"], PLENTY, tree).chosen) == below


def test_a_declaration_that_no_module_imports_is_tested_too(tree):
    assert affected(["include/models/air_time/model.yaml"], PLENTY, tree).chosen == ("tests/models/test_declared_models.py",)


def test_a_test_that_was_removed_is_not_run(tree):
    assert affected(["tests/unit/test_gone.py"], PLENTY, tree).chosen == ()


def test_a_module_that_is_imported_by_its_name_in_a_table_is_tested_by_its_folders_tests():
    chosen = affected(["include/evergreen/data/sources/parquet.py"], PLENTY).chosen
    assert "tests/unit/data/sources/test_files.py" in chosen


def test_what_no_import_shows_leads_to_tests_that_there_are():
    assert [path for paths in DATA.values() for path in paths if not (ROOT / path).exists()] == []
    assert "tests/test_guides.py" in affected(["docs/guides/gates.md"], 60).chosen
