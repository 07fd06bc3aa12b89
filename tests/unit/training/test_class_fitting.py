"""Models of several classes are fitted, stored and read back by estimators of each library, with weights, early stopping and tuning."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.classes import MOST_CLASSES
from include.evergreen.config.training import Train
from include.evergreen.foundation.errors import DataError
from include.evergreen.serving import inference
from include.evergreen.serving.inference import CLASSES, classes_of
from include.evergreen.serving.likeliest import decided, numbers, values
from include.evergreen.training.fit_job import FRAME, REFERENCE, _usable_rows, fit_in_folder, read_outcome, split_by_time, write_job
from include.evergreen.training.fitting import learn
from include.evergreen.training.metrics import Measures
from include.evergreen.training.pipeline import predict
from include.evergreen.training.recipes import modules_now
from include.evergreen.training.rehearsal import first_setting, rehearse
from include.evergreen.training.storable import stored
from include.evergreen.training.training_frame import Draw
from include.evergreen.training.tuning import choose
from tests.shapes.living import FOLDER
from tests.shapes.seven_classes import data

LOGISTIC = "sklearn.linear_model.LogisticRegression"
ESTIMATORS: dict[str, dict[str, Any]] = {
    LOGISTIC: {},
    "sklearn.ensemble.HistGradientBoostingClassifier": {"max_iter": 8},
    "lightgbm.LGBMClassifier": {"n_estimators": 30},
    "xgboost.XGBClassifier": {"n_estimators": 30},
    "sklearn.calibration.CalibratedClassifierCV": {"estimator": {"estimator": "sklearn.svm.LinearSVC"}},
}
STOPPING = [name for name in ESTIMATORS if "Boosting" in name or "LGBM" in name or "XGB" in name]
TRUSTED = (
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "collections.OrderedDict",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
)


@pytest.fixture(scope="module")
def defects() -> ModelConfig:
    return Catalog(FOLDER / "seven_classes").model("defects")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """A training frame of 15 days."""
    days = [f"2024-03-{number:02}" for number in range(1, 16)]
    frames = [data.frame("parts", day).assign(partition=day, target=data.frame("inspections", day)["defect"]) for day in days]  # type: ignore[arg-type]
    return pd.concat(frames, ignore_index=True).astype({"line": "string", "target": "string"})


def model_of(defects: ModelConfig, estimator: str = LOGISTIC, **train: Any) -> ModelConfig:
    declared = {
        "window": "30 days",
        "min_history": "14 days",
        "estimator": estimator,
        "parameters": ESTIMATORS[estimator],
        "trusted_types": TRUSTED,
    }
    return defects.model_copy(update={"train": Train.model_validate({**declared, **train})})


def right(pipeline: Any, model: ModelConfig, rows: pd.DataFrame) -> float:
    called = np.array(classes_of(pipeline))[decided(predict(pipeline, model, rows)).astype(int)]
    return float((called == rows["target"]).mean())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_it_is_fitted_stored_and_reads_the_same_classes_back(defects: ModelConfig, rows: pd.DataFrame, estimator: str) -> None:
    model = model_of(defects, estimator)
    pipeline = learn(model, rows)
    assert classes_of(pipeline) == tuple(sorted(data.DEFECTS))
    assert right(pipeline, model, rows) > 0.75
    file, trusted = stored(model, pipeline)
    again = skops.io.loads(file, trusted=trusted)
    assert classes_of(again) == classes_of(pipeline)
    assert np.array_equal(predict(again, model, rows), predict(pipeline, model, rows))
    assert predict(pipeline, model, rows[:0]).shape == (0, 15)


@pytest.mark.parametrize("estimator", STOPPING)
def test_what_says_when_to_stop_need_not_have_the_same_classes(defects: ModelConfig, rows: pd.DataFrame, estimator: str) -> None:
    changed = rows.copy()
    newest = changed["partition"] >= "2024-03-13"
    changed.loc[newest & (changed["target"] == "dent"), "target"] = "smoke"
    changed.loc[~newest & (changed["target"] == "hole"), "target"] = "scratch"
    model = model_of(defects, estimator, early_stop={"holdout": "3 days", "rounds": 5})
    pipeline = learn(model, changed)
    assert set(classes_of(pipeline)) == set(data.DEFECTS) - {"hole"}, "neither what is new nor what is gone"


def test_a_fold_without_a_class_is_judged_all_the_same(defects: ModelConfig, rows: pd.DataFrame) -> None:
    changed = rows.copy()
    changed.loc[(changed["partition"] < "2024-03-09") & (changed["target"] == "dent"), "target"] = "scratch"
    for estimator, search in (("xgboost.XGBClassifier", {"max_depth": {"choice": [2, 3]}}), (LOGISTIC, {"C": {"choice": [0.1, 1.0]}})):
        model = model_of(defects, estimator, search=search, tune={"candidates": 2, "folds": 3})
        tuning = choose(model, changed).tuning
        assert tuning is not None
        assert tuning["metric"] == "log_loss"
        assert [trial["error"] for trial in tuning["trials"]] == ["", ""]
        assert all(score is not None for trial in tuning["trials"] for score in trial["scores"])


def test_classes_count_the_same_in_total_when_they_are_balanced(defects: ModelConfig, rows: pd.DataFrame) -> None:
    plain, balanced = model_of(defects), model_of(defects, weights={"classes": "balanced"})
    known = tuple(sorted(data.DEFECTS))
    recall = [
        Measures(defects, 0.5, (), known, known).measure_one(
            "recall:hole", np.array([known.index(text) for text in rows["target"]], dtype=float), predict(learn(model, rows), model, rows)
        )
        for model in (plain, balanced)
    ]
    assert recall[0] is not None and recall[1] is not None
    assert recall[1] > recall[0] + 0.03


def test_declared_classes_are_what_is_learnt_and_rows_of_others_are_in_the_holdout_alone(defects: ModelConfig, rows: pd.DataFrame) -> None:
    declared = defects.target.model_copy(update={"classes": ("scratch", "dent", "dust")})
    model = model_of(defects).model_copy(update={"target": declared})
    fit_rows, holdout = split_by_time(model, rows)
    assert set(fit_rows["target"]) == {"scratch", "dent"}
    assert set(holdout["target"]) == set(data.DEFECTS)
    assert classes_of(learn(model, fit_rows)) == ("dent", "scratch")


def test_a_class_of_few_rows_is_not_learnt_and_measured_as_an_error(defects: ModelConfig, rows: pd.DataFrame) -> None:
    mistyped = rows.assign(target=rows["target"].where(rows.index >= 4, "scrtach"))
    fit_rows, _ = split_by_time(model_of(defects), mistyped)
    assert "scrtach" not in set(fit_rows["target"])
    assert "scrtach" not in classes_of(learn(model_of(defects), mistyped))
    each = defects.target.model_copy(update={"min_class_rows": 1})
    assert "scrtach" in classes_of(learn(model_of(defects).model_copy(update={"target": each}), mistyped))


def test_too_many_values_are_no_classes_and_one_is_too_few(defects: ModelConfig, rows: pd.DataFrame) -> None:
    model = model_of(defects)
    many = pd.concat([rows] * 6, ignore_index=True)
    many = many.assign(target=pd.array([f"part {number % 1200}" for number in many.index], dtype="string"))
    with pytest.raises(
        DataError, match=rf"defect has \d+ different values in the rows to fit on, and there may be at most {MOST_CLASSES} classes"
    ):
        _usable_rows(model, "defects", many, ())
    with pytest.raises(DataError, match="no class has 5 rows to fit on, as target.min_class_rows asks"):
        _usable_rows(model, "defects", rows.assign(target=pd.array(rows.index.map("part {}".format), dtype="string")), ())
    with pytest.raises(DataError, match="all 1200 rows to fit on have the same target, so there is nothing to learn. Check target.column"):
        _usable_rows(model, "defects", rows.assign(target=pd.array(["dent"] * len(rows), dtype="string")), ())


def test_an_estimator_of_two_classes_is_refused_before_any_work(defects: ModelConfig) -> None:
    model = defects.model_copy(
        update={
            "train": Train.model_validate(
                {"window": "30 days", "min_history": "14 days", "estimator": LOGISTIC, "parameters": {"solver": "liblinear"}}
            )
        }
    )
    with pytest.raises(Exception, match="cannot be fitted on 240 synthetic rows"):
        rehearse(model, first_setting(model.train.choices[0]))


def test_a_pipeline_that_does_not_say_its_classes_predicts_nothing(defects: ModelConfig, rows: pd.DataFrame) -> None:
    pipeline = learn(model_of(defects), rows)
    delattr(pipeline, CLASSES)
    with pytest.raises(DataError, match="does not say of which classes its probabilities are"):
        predict(pipeline, defects, rows)


def test_of_a_thousand_classes_the_likeliest_are_served(defects: ModelConfig) -> None:
    random = np.random.default_rng(0)
    of_class = np.repeat(np.arange(MOST_CLASSES), 5)
    frame = pd.DataFrame(
        {
            "line": pd.array(["north"] * len(of_class), dtype="string"),
            "pressure": of_class // 100 + random.normal(0, 0.01, len(of_class)),
            "heat": of_class // 10 % 10 + random.normal(0, 0.01, len(of_class)),
            "vibration": of_class % 10 + random.normal(0, 0.01, len(of_class)),
            "partition": "2024-03-01",
            "target": pd.array([f"class {number}" for number in of_class], dtype="string"),
        }
    )
    model = defects.model_copy(
        update={
            "train": Train.model_validate({"window": "30 days", "min_history": "14 days", "estimator": "sklearn.naive_bayes.GaussianNB"})
        }
    )
    pipeline = learn(model, frame)
    predicted = predict(pipeline, model, frame)
    assert predicted.shape == (5000, 65)
    assert right(pipeline, model, frame) > 0.95
    assert (values(predicted)[:, :-1] >= values(predicted)[:, 1:]).all()
    assert len(set(numbers(predicted)[0])) == 32


def test_rows_that_are_predicted_some_at_a_time_are_predicted_the_same(
    defects: ModelConfig, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(defects)
    pipeline = learn(model, rows)
    whole = predict(pipeline, model, rows)
    monkeypatch.setattr(inference, "MOST_PROBABILITIES", 700)
    assert np.array_equal(predict(pipeline, model, rows), whole)


def test_the_draw_keeps_the_share_of_each_class(rows: pd.DataFrame) -> None:
    draw = Draw(1000, 0, by_label=True)
    for _, day in rows.rename(columns={"part": "key:part"}).groupby("partition"):
        draw.add(day)
    kept = pd.concat(draw.kept())
    assert len(kept) == 1000
    assert (kept["target"].value_counts(normalize=True) - rows["target"].value_counts(normalize=True)).abs().max() < 0.01


def test_a_container_learns_the_same_classes_from_files_alone(defects: ModelConfig, rows: pd.DataFrame, tmp_path: Path) -> None:
    job, results = tmp_path / "job", tmp_path / "results"
    job.mkdir()
    results.mkdir()
    rows.to_parquet(job / FRAME)
    modules = modules_now(Catalog(FOLDER / "seven_classes"), defects)  # of its own metric
    write_job(job, model_of(defects), SimpleNamespace(as_of="2024-03-16"), modules, None)  # type: ignore[arg-type]
    fit_in_folder(job, results)
    outcome = read_outcome(results)
    assert outcome.classes == tuple(sorted(data.DEFECTS))
    assert outcome.metrics["macro_f1"] > 0.7
    assert outcome.threshold is None
    sample = pd.read_parquet(results / REFERENCE)
    assert set(sample["prediction"]) <= set(data.DEFECTS)
    assert not [name for name in sample if name.startswith("served:")]
