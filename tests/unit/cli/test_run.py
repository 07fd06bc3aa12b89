from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.monitoring.triggers import list_firings
from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import MODEL, day, include_with, landing


def test_a_run_tells_in_words_what_came_of_it(ask: Ask, cycled: None) -> None:
    answer = ask("run", MODEL, "--as-of", "2013-01-21", "--reason", "the fix of Monday", "--window", "20 days")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].startswith("flight_delay as of 2013-01-21: ")
    assert lines[1] == "Ingested: 3 partitions."
    assert lines[2].startswith("Trained: on ") and "on the holdout (" in lines[2]
    assert lines[3] in {"Gate: blessed.", "Gate: rejected."}
    assert "it must be at least 0.55" in lines[4]
    assert lines[-5].startswith("Score of 2013-01-21: done: 120 rows scored by version ")
    assert lines[-4].startswith("Monitor of 2013-01-21: done: ")


def test_a_run_ends_with_what_each_rule_would_do(ask: Ask, cycled: None) -> None:
    *_, heading, drift, performance = ask("run", MODEL, "--as-of", "2013-01-20").out.splitlines()
    assert heading == "Rules: none would fire."
    assert drift.startswith("  rule prediction_drift.score>3 (1 of 1) would not fire: 0 of the last 1 breach, and it takes 1; ")
    assert performance == "  rule performance.log_loss>0.8 (2 of 3) would not fire: performance.log_loss has no observation yet"


def test_a_run_names_the_rule_that_would_fire_and_fires_nothing(
    ask: Ask, cycled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = include_with(tmp_path, monkeypatch) / "models" / MODEL / "model.yaml"
    file.write_text(file.read_text().replace("metric: prediction_drift.score, above: 3", "metric: prediction_drift.score, above: 0"))
    *_, heading, drift, _ = ask("run", MODEL, "--as-of", "2013-01-20").out.splitlines()
    assert heading == "Rules: a training would be fired; here it is not, as that is for the sensor."
    assert drift.endswith(" would fire a training as of 2013-01-20")
    assert list_firings(MODEL) == []


def test_a_model_without_rules_says_that_nothing_fires(ask: Ask, cycled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = include_with(tmp_path, monkeypatch) / "models" / MODEL / "model.yaml"
    file.write_text(file.read_text().partition("retrain:")[0])
    last = ask("run", MODEL, "--as-of", "2013-01-20").out.splitlines()[-1]
    assert last == "Rules: model.yaml declares none under retrain, so nothing fires a training by itself."


def test_progress_goes_to_stderr_step_by_step(ask: Ask, cycled: None) -> None:
    errors = ask("run", MODEL, "--as-of", "2013-01-20").err.splitlines()
    assert errors[0] == "ingest: nothing to do (0.0 s)"
    assert [line.split(":")[0] for line in errors if "done" in line] == [
        "snapshot", "train", "gate", "register", "promote", "score", "monitor",
    ]  # fmt: skip


def test_a_second_run_says_that_all_was_there(ask: Ask, cycled: None) -> None:
    lines = ask("run", MODEL, "--as-of", "2013-01-20").out.splitlines()
    assert lines[0] == "flight_delay as of 2013-01-20: version 1 (1.0.0) is already champion."
    assert lines[1] == "Ingested: nothing, as no partition was missing."
    assert lines[2].startswith("Trained before: on ")


def test_what_could_not_be_ingested_is_listed(ask: Ask, cycled: None) -> None:
    landing("weather", day(20)).unlink()
    out = ask("run", MODEL, "--as-of", "2013-01-21").out
    assert "Could not be ingested, and was left out: 1 partition.\n  weather: the source has no file" in out


def test_the_reason_is_recorded(ask: Ask, cycled: None) -> None:
    assert " is champion, replacing version 1" in ask("run", MODEL, "--as-of", "2013-01-21", "--reason", "newer data").out
    assert ask("champion-at", MODEL, "2199-01-01").out.splitlines()[1].endswith(": newer data")


def test_a_window_that_cannot_train_is_refused(ask: Ask, landed: None) -> None:
    answer = ask("run", MODEL, "--as-of", "2013-01-20", "--window", "3 days")
    assert answer.code == 2
    minimum = Catalog().model(MODEL).train.min_history
    assert f"a window of 3 days cannot train it; give {minimum} (its train.min_history) to 3660 days" in answer.err
