"""Each metric of several classes is scikit-learn's, and what is resampled is what would be measured on the rows that were drawn."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from include.evergreen.config import METRICS, Catalog, ModelConfig
from include.evergreen.config.classes import MOST_NAMED
from include.evergreen.config.metrics import metrics_of
from include.evergreen.gates import resampled_classes
from include.evergreen.gates.bootstrap import Units, draw
from include.evergreen.gates.resampled import statistic
from include.evergreen.serving.likeliest import likeliest, probability
from include.evergreen.training.metrics import Measures
from include.evergreen.training.recipes import modules_now
from tests.shapes.living import FOLDER

CLASSES = ("a", "b", "c", "d")
random = np.random.default_rng(0)
PROBABILITIES = random.dirichlet([3, 2, 1, 0.5], 400).astype("float32").astype("float64")
LABELS = np.array([random.choice(4, p=row / row.sum()) for row in PROBABILITIES]).astype("float64")
PREDICTED = likeliest(PROBABILITIES)
CALLED = PROBABILITIES.argmax(axis=1)
THEIRS = {
    "log_loss": lambda labels, probabilities, called: metrics.log_loss(
        labels, probabilities / probabilities.sum(axis=1, keepdims=True), labels=range(4)
    ),
    "accuracy": lambda labels, probabilities, called: metrics.accuracy_score(labels, called),
    "balanced_accuracy": lambda labels, probabilities, called: metrics.balanced_accuracy_score(labels, called),
    "macro_f1": lambda labels, probabilities, called: metrics.f1_score(labels, called, average="macro", zero_division=0),
    "weighted_f1": lambda labels, probabilities, called: metrics.f1_score(labels, called, average="weighted", zero_division=0),
    "auc_ovr": lambda labels, probabilities, called: np.mean(
        [metrics.roc_auc_score(labels == each, probabilities[:, int(each)]) for each in np.unique(labels)]
    ),
    "recall:c": lambda labels, probabilities, called: metrics.recall_score(labels, called, labels=[2], average="macro"),
}


@pytest.fixture(scope="module")
def model() -> ModelConfig:
    return Catalog(FOLDER / "seven_classes").model("defects")


@pytest.fixture(scope="module")
def measures(model: ModelConfig) -> Measures:
    return Measures.trained(model, {"classes": list(CLASSES)}, modules_now(Catalog(FOLDER / "seven_classes"), model))


def test_a_version_has_the_metrics_of_its_task_and_the_recall_of_each_class(measures: Measures) -> None:
    named = {criterion.metric for criterion in measures.model.gate.criteria if getattr(criterion, "metric", None)}
    assert set(measures.metrics) == {*METRICS["multiclass"], *(f"recall:{text}" for text in CLASSES), *named}
    many = metrics_of(measures.model, [f"class {number}" for number in range(MOST_NAMED + 1)])
    assert [name for name in many if name.startswith("recall:")] == ["recall:hole"], "of many classes, what the gate names"


@pytest.mark.parametrize("rows", [slice(None), slice(0, 30), LABELS != 1], ids=["all", "few", "without one class"])
@pytest.mark.parametrize("metric", THEIRS)
def test_a_metric_is_scikit_learns(measures: Measures, metric: str, rows: slice | np.ndarray) -> None:
    expected = THEIRS[metric](LABELS[rows], PROBABILITIES[rows], CALLED[rows])
    assert measures.measure_one(metric, LABELS[rows], PREDICTED[rows]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("by", ["rows", "days"])
@pytest.mark.parametrize("metric", THEIRS)
def test_a_resample_is_measured_as_its_rows_would_be(measures: Measures, metric: str, by: str) -> None:
    days = np.arange(len(LABELS)) // 40
    units = Units.rows(len(LABELS)) if by == "rows" else Units.days(days)
    weights = np.concatenate(list(draw(units.count, 20, seed=1)))
    found = statistic(measures, metric, units, LABELS, PREDICTED)(weights)
    for drawn, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(len(LABELS)), drawn if by == "rows" else drawn[days])
        assert value == pytest.approx(measures.measure_one(metric, LABELS[rows], PREDICTED[rows]), rel=1e-9)


def test_the_auc_of_very_many_rows_and_classes_varies_as_that_of_each_resample(measures: Measures, monkeypatch: pytest.MonkeyPatch) -> None:
    units = Units.rows(len(LABELS))
    weights = np.concatenate(list(draw(units.count, 400, seed=1)))
    exact = statistic(measures, "auc_ovr", units, LABELS, PREDICTED)(weights)
    monkeypatch.setattr(resampled_classes, "MOST_EXACT", 0)
    linear = statistic(measures, "auc_ovr", units, LABELS, PREDICTED)(weights)
    assert linear.std() == pytest.approx(exact.std(), rel=0.1)
    assert np.corrcoef(exact, linear)[0, 1] > 0.99
    assert statistic(measures, "auc_ovr", units, LABELS, PREDICTED)(np.ones((1, len(LABELS)))) == pytest.approx(
        measures.measure_one("auc_ovr", LABELS, PREDICTED)
    )


def many_classes(measures: Measures, count: int = 60, rows: int = 500) -> tuple[Measures, np.ndarray, np.ndarray]:
    """More classes than a row names; of the last, the version knows nothing."""
    drawn = np.random.default_rng(5)
    names = tuple(f"class {number:02d}" for number in range(count))
    predicted = likeliest(drawn.dirichlet(np.full(count - 1, 0.3), rows).round(2))  # with many ties
    labels = np.where(drawn.random(rows) < 0.4, predicted[:, 0], drawn.integers(0, count, rows))
    return replace(measures, classes=names, own_classes=names[:-1]), labels, predicted


def test_the_auc_of_more_classes_than_a_row_names_is_scikit_learns(measures: Measures) -> None:
    of_many, labels, predicted = many_classes(measures)
    expected = [metrics.roc_auc_score(labels == each, probability(predicted, int(each), of_many.is_known)) for each in np.unique(labels)]
    assert of_many.measure_one("auc_ovr", labels, predicted) == pytest.approx(np.mean(expected), rel=1e-12)


@pytest.mark.parametrize("exactly", [True, False])
def test_the_auc_of_many_classes_is_resampled_by_days(measures: Measures, exactly: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    of_many, labels, predicted = many_classes(measures, rows=4_000)
    days = np.random.default_rng(6).integers(0, 20, len(labels))
    units = Units.days(days)
    weights = np.concatenate(list(draw(units.count, 30, seed=1)))
    if not exactly:
        monkeypatch.setattr(resampled_classes, "MOST_PAIRS", 0)
    found = statistic(of_many, "auc_ovr", units, labels, predicted)(weights)
    again = [np.repeat(np.arange(len(labels)), drawn[days]) for drawn in weights]
    expected = np.array([of_many.measure_one("auc_ovr", labels[rows], predicted[rows]) for rows in again])
    assert found == pytest.approx(expected, rel=1e-12 if exactly else 3e-3)
    assert np.corrcoef(found, expected)[0, 1] > 0.98


def test_what_each_row_adds_to_the_auc_of_many_classes_is_its_derivative(measures: Measures, monkeypatch: pytest.MonkeyPatch) -> None:
    of_many, labels, predicted = many_classes(measures)
    monkeypatch.setattr(resampled_classes, "MOST_EXACT", 0)
    linear = statistic(of_many, "auc_ovr", Units.rows(len(labels)), labels, predicted)
    twice = 1_000 * np.ones((3, len(labels)), dtype=int)  # in which a row more is next to nothing
    twice[1, 7] += 1
    twice[2, 8] += 1
    monkeypatch.setattr(resampled_classes, "MOST_EXACT", 10**9)
    exact = statistic(of_many, "auc_ovr", Units.rows(len(labels)), labels, predicted)
    ours, theirs = linear(twice), exact(twice)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-12)
    assert ours[1:] - ours[0] == pytest.approx(theirs[1:] - theirs[0], rel=0.01, abs=1e-12)


def test_a_new_class_in_the_truth_counts_as_an_error_and_never_flatters(measures: Measures) -> None:
    texts = pd.Series(np.array(CLASSES, dtype=object)[LABELS.astype(int)], dtype="string")
    with_new = texts.where(np.arange(len(texts)) >= 40, "smoke")
    among = measures.among(with_new)
    assert among.classes == (*CLASSES, "smoke")
    assert among.own_classes == CLASSES
    before = measures.measure(LABELS, PREDICTED)
    after = among.measure(among.labels(with_new), PREDICTED)
    for name in METRICS["multiclass"]:
        assert among.metric(name).sign * after[name] < measures.metric(name).sign * before[name], name
    assert after["auc_ovr"] == pytest.approx(
        np.mean([0.5, *(metrics.roc_auc_score(with_new == text, PROBABILITIES[:, number]) for number, text in enumerate(CLASSES))])
    )


def test_rows_of_one_class_or_none_define_no_metric_that_compares_classes(measures: Measures) -> None:
    one = LABELS == 0
    found = measures.measure(LABELS[one], PREDICTED[one])
    assert {"auc_ovr", "balanced_accuracy", "recall:b"}.isdisjoint(found)
    assert {"log_loss", "accuracy", "macro_f1", "recall:a"} <= set(found)
    assert measures.measure(LABELS[:0], PREDICTED[:0]) == {}


def test_what_another_version_predicts_is_measured_among_the_same_classes(measures: Measures) -> None:
    theirs = Measures.trained(measures.model, {"classes": ["d", "a"]})
    predicted = measures.numbered(likeliest(PROBABILITIES[:, [3, 0]]), theirs.classes)
    as_theirs = replace(measures, own_classes=theirs.own_classes)
    assert as_theirs.measure_one("accuracy", LABELS[LABELS == 1], predicted[LABELS == 1]) == 0
    assert as_theirs.measure_one("log_loss", LABELS[LABELS == 1], predicted[LABELS == 1]) == pytest.approx(-math.log(1e-7))
