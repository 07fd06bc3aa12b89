"""A team's own file is Python like any other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.team_code import executed, modules_beside

DATACLASS = "from dataclasses import dataclass\n\n@dataclass\nclass Window:\n    days: int = 7\n"


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_it_may_have_dataclasses_and_is_left_nowhere(future: str) -> None:
    before = set(sys.modules)
    module = executed(f"{future}{DATACLASS}", "features.py")
    assert module.Window().days == 7
    assert set(sys.modules) == before


def test_names_in_annotations_need_no_import() -> None:
    assert executed("def compute_features(read: Reader) -> pd.DataFrame:\n    return read\n", "features.py").compute_features(3) == 3


def test_two_files_do_not_meet() -> None:
    one, other = executed(DATACLASS, "features.py"), executed("Window = 3", "features.py")
    assert (one.Window().days, other.Window) == (7, 3)
    assert one.__name__ != other.__name__


def test_it_imports_the_modules_beside_it_and_they_each_other_wherever_the_import_stands() -> None:
    beside = (
        ("fares", "from prices import FARE\n\ndef of(rows):\n    import prices\n    return FARE + prices.FARE + rows"),
        ("prices", "FARE = 3"),
    )
    before = set(sys.modules)
    module = executed(
        "import fares\nimport math\n\ndef features(rows):\n    from fares import of\n    return of(rows)", "features.py", beside
    )
    assert (module.features(1), module.math.pi > 3) == (7, True)
    assert set(sys.modules) == before, "or two models whose modules have one name would meet there"


def test_two_executions_share_no_module_and_a_circle_finds_what_there_is() -> None:
    one, other = (executed("import prices", "features.py", (("prices", f"FARE = {fare}"),)) for fare in (3, 4))
    assert (one.prices.FARE, other.prices.FARE) == (3, 4)
    circle = (("a", "NAME = 'a'\nimport b"), ("b", "import a\nSEEN = a.NAME"))
    assert executed("import a", "features.py", circle).a.b.SEEN == "a"


def test_a_module_beside_it_that_fails_is_named_and_one_that_is_not_held_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"features\.py cannot be imported: ConfigError: fares\.py beside features\.py cannot be imported: Zero"
    ):
        executed("import fares", "features.py", (("fares", "1 / 0"),))
    (tmp_path / "fares.py").write_text("FARE = 3")
    with pytest.raises(ConfigError, match="No module named 'fares'"):
        executed("import fares", str(tmp_path / "features.py"))


def test_the_modules_that_code_needs_are_found_and_no_others(tmp_path: Path) -> None:
    for name, text in {"fares": "def of():\n    import prices", "prices": "import numpy", "other": "", "broken": "def ("}.items():
        (tmp_path / f"{name}.py").write_text(text)
    texts = "from fares import of\nimport pandas.testing\nfrom . import other", "def ("
    assert [name for name, _ in modules_beside(tmp_path, *texts)] == ["fares", "prices"]
    assert modules_beside(tmp_path, "import broken") == (("broken", "def ("),)


def test_one_that_fails_is_named_and_left_nowhere() -> None:
    before = set(sys.modules)
    with pytest.raises(ConfigError, match=r"features\.py cannot be imported: ZeroDivisionError"):
        executed("1 / 0", "features.py")
    assert set(sys.modules) == before
