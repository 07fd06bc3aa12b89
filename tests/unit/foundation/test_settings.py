from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.foundation.settings import Settings


def test_without_any_variable_all_state_lies_under_var(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVERGREEN_HOME")
    found = Settings.from_environment()
    home = PROJECT_ROOT / "var"
    assert (found.home, found.storage) == (home, f"{home}/storage")
    assert (found.database_url, found.mlflow_tracking_uri) == (f"sqlite:///{home}/evergreen.db", f"sqlite:///{home}/mlflow.db")
    assert (found.mlflow_artifacts, found.mlflow_ui_url) == (f"file://{home}/mlartifacts", None)


def test_each_place_can_be_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", "postgresql://db/evergreen")
    monkeypatch.setenv("EVERGREEN_STORAGE", "s3://bucket/evergreen")
    monkeypatch.setenv("EVERGREEN_MLFLOW_UI_URL", "http://127.0.0.1:5000")
    found = Settings.from_environment()
    assert (found.database_url, found.storage) == ("postgresql://db/evergreen", "s3://bucket/evergreen")
    assert found.mlflow_ui_url == "http://127.0.0.1:5000"


def test_an_mlflow_server_keeps_its_own_artifacts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    found = Settings.from_environment()
    assert (found.mlflow_tracking_uri, found.mlflow_artifacts) == ("http://mlflow:5000", None)


@pytest.mark.parametrize("name", ["EVERGREEN_HOME", "EVERGREEN_DATABASE_URL", "EVERGREEN_STORAGE", "MLFLOW_TRACKING_URI"])
def test_an_empty_variable_counts_as_unset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose sets such ones; state must not come to lie in whatever folder the process was started in."""
    monkeypatch.delenv(name, raising=False)
    unset = Settings.from_environment()
    monkeypatch.setenv(name, "")
    assert Settings.from_environment() == unset


def test_a_home_is_the_same_wherever_the_process_goes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVERGREEN_HOME", "here")
    assert Settings.from_environment().home == tmp_path / "here"
