from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import include_with


def test_what_ships_is_sound(ask: Ask) -> None:
    answer = ask("check")
    assert (answer.code, answer.out, answer.err) == (0, "3 datasets and 2 models are sound.\n", "")


def test_one_of_each_is_counted_as_one(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path))
    assert ask("check").out == "0 datasets and 0 models are sound.\n"


def test_all_problems_of_all_files_are_listed(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    include = include_with(tmp_path, monkeypatch)
    model, dataset = include / "models/air_time/model.yaml", include / "datasets/weather/dataset.yaml"
    model.write_text(model.read_text().replace("task: regression", "task: regresion"))
    dataset.write_text(dataset.read_text().replace("owner: meteorology", "ownr: meteorology"))
    answer = ask("check")
    assert answer.code == 1
    assert f"{dataset}:4: ownr:" in answer.out and "did you mean 'owner'" in answer.out
    assert f"{model}:6: task: " in answer.out and "regression" in answer.out
    assert answer.out.endswith("problems found. Fix the files and check again.\n")


def test_a_folder_that_is_not_there_is_named(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path / "nowhere"))
    answer = ask("check")
    assert answer.code == 2
    assert f"{tmp_path}/nowhere: no such folder; set EVERGREEN_INCLUDE" in answer.err
