from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Ask
from tests.unit.lifecycle import include_with


def test_what_ships_is_sound(ask: Ask) -> None:
    answer = ask("check")
    assert (answer.code, answer.out, answer.err) == (0, "3 datasets and 2 models are sound.\n", "")


def test_it_explains_all_models_or_those_that_are_named(ask: Ask) -> None:
    everything = ask("check", "--explain")
    assert everything.code == 0
    assert everything.out.startswith(
        "3 datasets and 2 models are sound.\n\nair_time: regression of schedules. A partition is a day of America/New_York;"
    )
    assert "\n\nflight_delay: classification of schedules." in everything.out
    one = ask("check", "--explain", "flight_delay")
    assert "air_time:" not in one.out
    assert "    the first possible is as of 2013-01-16\n" in one.out


def test_an_unknown_model_to_explain_is_named_with_those_that_are_known(ask: Ask) -> None:
    answer = ask("check", "--explain", "flight_delays")
    assert (answer.code, answer.out) == (2, "")
    assert "unknown model 'flight_delays'; did you mean 'flight_delay'?" in answer.err


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


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ("def feature(read): ...", "must define features(read), which returns one row of features"),
        ("from nowhere import features", "cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_features_that_cannot_be_run_are_a_problem(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: str, words: str
) -> None:
    path = include_with(tmp_path, monkeypatch) / "models/air_time/features.py"
    path.write_text(features)
    answer = ask("check")
    assert answer.code == 1
    assert f"{path} {words}" in answer.out


def test_features_that_hold_the_target_are_a_problem(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are computed from the label that they are to predict, which such a dataset declares as known at the time."""
    include = include_with(tmp_path, monkeypatch)
    model, features = include / "models/air_time/model.yaml", include / "models/air_time/features.py"
    outcomes = include / "datasets/outcomes/dataset.yaml"
    model.write_text(re.sub(r"(dataset: outcomes.*lag: )1 day", r"\g<1>0 days", model.read_text()))
    outcomes.write_text(re.sub(r"hours_after_end: 0", "hours_after_partition: 0", outcomes.read_text(), count=1))
    answer = ask("check")
    assert (
        f"{features}: feature 'minutes_per_mile_7d' holds the target: it changes with air_time of outcomes of the scored day itself"
    ) in answer.out
    assert answer.out.count("holds the target") == 1
    features.write_text(features.read_text().replace('"air_time"]', '"air_time"]).query("partition < @read.partition"', 1))
    assert ask("check").code == 0


def test_the_target_in_the_rows_own_table_is_no_feature_in_any_spelling(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of today's customers with what became of them: the label is a column of the rows themselves, and here a text."""
    include = include_with(tmp_path, monkeypatch)
    model, features = include / "models/flight_delay/model.yaml", include / "models/flight_delay/features.py"
    target = 'target: {dataset: schedules, column: dest, positive: "ORD"}'
    model.write_text(re.sub(r"target: .*", target, model.read_text()).replace("slices, by: dest", "slices, by: carrier"))
    assert ask("check").code == 0
    for computed in ('rows["dest"].eq("ORD").astype("float64")', 'rows["dest"].map(lambda text: sum(map(ord, text)) % 7)'):
        features.write_text(features.read_text().replace('rows["distance"]', computed))
        answer = ask("check")
        assert f"{features}: feature 'distance' holds the target: it changes with dest of schedules of the scored day itself" in answer.out
        features.write_text(features.read_text().replace(computed, 'rows["distance"]'))


def test_what_comes_from_a_personal_column_says_whether_it_is_personal(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    include = include_with(tmp_path, monkeypatch)
    model, features = include / "models/air_time/model.yaml", include / "models/air_time/features.py"
    schedules = include / "datasets/schedules/dataset.yaml"
    schedules.write_text(schedules.read_text().replace("{name: tailnum, ", "{name: tailnum, personal: true, "))
    assert ask("check").code == 0
    of_person = 'rows["tailnum"].fillna("").map(lambda text: sum(map(ord, text)) % 7).astype("float64")'
    features.write_text(features.read_text().replace('"distance": rows["distance"],', f'"distance": rows["distance"] + {of_person},'))
    answer = ask("check")
    told = "features[0].name: 'distance' changes with schedules.tailnum, which is personal; set personal: true, so that no report shows "
    assert f"{model}:" in answer.out and told in answer.out
    assert answer.out.count("which is personal") == 1
    for said in ("true", "false"):
        before = model.read_text()
        model.write_text(before.replace("{name: distance,", f"{{name: distance, personal: {said},"))
        assert ask("check").code == 0
        model.write_text(before)


def test_a_holdout_of_few_days_is_a_warning_and_of_one_a_problem(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = include_with(tmp_path, monkeypatch) / "models/air_time/model.yaml"
    declared = model.read_text()
    model.write_text(declared.replace("holdout: 7 days", "holdout: 4 days"))
    answer = ask("check")
    assert (answer.code, answer.out) == (0, "3 datasets and 2 models are sound.\n")
    words = "train.holdout: 4 days are few to show how days differ, so the intervals of baseline and champion are wide"
    assert answer.err.startswith(f"warning: {model}:40: {words}")
    model.write_text(declared.replace("holdout: 7 days", "holdout: 1 day"))
    answer = ask("check")
    assert answer.code == 1
    assert "train.holdout: 1 day does not show how days differ, so baseline and champion would never be evaluated" in answer.out
    model.write_text(declared.replace("holdout: 7 days", "holdout: 1 day").replace("gate:\n", "gate:\n  resample: rows\n"))
    answer = ask("check")
    assert (answer.code, answer.err) == (0, "")


def test_a_folder_that_is_not_there_is_named(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path / "nowhere"))
    answer = ask("check")
    assert answer.code == 2
    assert f"{tmp_path}/nowhere: no such folder; set EVERGREEN_INCLUDE" in answer.err
