"""A team's own file is Python like any other."""

from __future__ import annotations

import sys

import pytest

from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.team_code import executed

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


def test_one_that_fails_is_named_and_left_nowhere() -> None:
    before = set(sys.modules)
    with pytest.raises(ConfigError, match=r"features\.py cannot be imported: ZeroDivisionError"):
        executed("1 / 0", "features.py")
    assert set(sys.modules) == before
