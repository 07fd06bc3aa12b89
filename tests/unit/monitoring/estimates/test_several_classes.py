"""Of several classes: what is expected is what labels bring, and the reference has as many rows of each class as are expected of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from include.evergreen.config import METRICS
from include.evergreen.config.classes import MOST_NAMED
from include.evergreen.monitoring.estimates.class_beliefs import Beliefs
from include.evergreen.monitoring.estimates.estimate import Estimate, NotEstimatedError
from include.evergreen.monitoring.estimates.estimators import estimate_all
from include.evergreen.monitoring.estimates.expected_classes import ExpectedClasses
from include.evergreen.monitoring.estimates.rows import Reference, Rows
from include.evergreen.monitoring.estimates.units import Units
from include.evergreen.serving.likeliest import KEPT, decided, likeliest, values
from include.evergreen.training.metrics import Measures
from tests.unit.monitoring.estimates.worlds import MULTICLASS, drawn, measures, window

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

NEW = ("moss", "smoke")
COUNTS = pytest.mark.parametrize("classes", [5, 60])


def names(classes: int) -> tuple[str, ...]:
    return tuple(f"class {number:02d}" for number in range(classes))


def knowing(classes: int, *new: str) -> Measures:
    return replace(measures(MULTICLASS), classes=(*names(classes), *new), own_classes=names(classes))


def drawn_rows(classes: int, rows: int, seed: int = 0, *, sharpness: float = 1.0, unknown: float = 0.05) -> Reference:
    """Rows of which the model is too sure by ``sharpness``; a share is of two classes that it does not know."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 2))
    scores = features @ np.random.default_rng(9).normal(size=(2, classes)) * 1.5 + np.linspace(1, -1, classes)
    chances = softmax(scores, axis=1)
    labels = (random.random(rows)[:, None] > chances.cumsum(axis=1)[:, :-1]).sum(axis=1).astype("float64")
    is_new = random.random(rows) < unknown
    labels[is_new] = classes + np.arange(is_new.sum()) % 2
    predicted = likeliest(softmax(sharpness * scores, axis=1))
    return Reference(
        pd.DataFrame(features, columns=["a", "b"]), predicted, labels, (np.arange(rows) % 10).astype(str), (*names(classes), *NEW)
    )


@COUNTS
def test_of_labels_it_is_the_metric_itself(classes: int) -> None:
    of_version, rows = knowing(classes, *NEW), drawn_rows(classes, 400)
    expected = ExpectedClasses(of_version, rows.predicted)
    found = expected.realised(expected.places(rows.labels)[None], rows.labels.astype("int64")[None])
    theirs = of_version.measure(rows.labels, rows.predicted)
    assert set(found) == {*METRICS[MULTICLASS], *(f"recall:{text}" for text in names(classes) if classes <= MOST_NAMED)} - (
        {"auc_ovr"} if classes > KEPT else set()
    )
    assert {name: value[0] for name, value in found.items()} == pytest.approx({name: theirs[name] for name in found})


@COUNTS
def test_of_probabilities_it_is_the_mean_over_labels_that_are_drawn_by_them(classes: int) -> None:
    of_version, rows = knowing(classes, *NEW), drawn_rows(classes, 600)
    expected, of_others = ExpectedClasses(of_version, rows.predicted), np.zeros((2, classes + 3))
    of_others[0, :classes], of_others[1, classes:-1] = np.arange(1.0, classes + 1) / np.arange(1.0, classes + 1).sum(), (0.7, 0.3)
    named = values(rows.predicted) * 0.9
    new = np.full((600, 1), 0.1) if classes <= KEPT else np.full((600, 1), 0.03)
    probabilities = np.concatenate([named, 1 - named.sum(axis=1, keepdims=True) - new, new], axis=1).clip(0)
    told = expected.expected(probabilities, of_others)
    chance = np.random.default_rng(1).random((1_500, 600))
    drawn_metrics = expected.realised(*expected.draw(probabilities, of_others, chance))
    for name, value in told.items():
        spread_of_draws = float(np.nanstd(drawn_metrics[name]))
        assert abs(value - np.nanmean(drawn_metrics[name])) < 0.25 * spread_of_draws + 1e-9, name


@COUNTS
def test_on_the_reference_as_many_rows_of_each_class_and_as_many_right_calls_are_expected_as_there_are(classes: int) -> None:
    rows = drawn_rows(classes, 4_000, sharpness=1.8)
    units = Units.of(rows.day, by_days=False)
    beliefs = Beliefs(rows.predicted, rows.labels, classes, units)
    probabilities, *without = beliefs.each(np.ones(4_000), rows.predicted)
    assert len(without) == units.count
    for each in (probabilities, *without):
        assert each.sum(axis=1) == pytest.approx(1)
        assert (each >= 0).all()
    assert probabilities[:, 0].sum() == pytest.approx((decided(rows.predicted) == rows.labels).sum(), rel=0.01)
    of_version = knowing(classes, *NEW)
    expected = ExpectedClasses(of_version, rows.predicted).expected(probabilities, beliefs.of_others(np.ones(4_000), classes + 3))
    realised = of_version.measure(rows.labels, rows.predicted)
    assert realised["log_loss"] == pytest.approx(expected["log_loss"], rel=0.02)
    assert realised["balanced_accuracy"] == pytest.approx(expected["balanced_accuracy"], rel=0.05)


def test_of_many_classes_it_is_estimated_by_the_likeliest_and_the_interval_holds() -> None:
    of_version, inside = knowing(60, *NEW), dict[str, list[bool]]()
    for seed in range(10):
        rows = drawn_rows(60, 800, 100 + seed, sharpness=1.5)
        told = estimate_all(
            of_version.model, of_version, drawn_rows(60, 2_000, seed, sharpness=1.5), Rows(rows.features, rows.predicted, 1, 800)
        )
        figures = of_version.measure(rows.labels, rows.predicted)
        assert "auc_ovr" not in told["pape"]
        for name, each in told["pape"].items():
            assert isinstance(each, Estimate)
            low, high = each.interval(of_version.metrics[name])
            inside.setdefault(name, []).append(low <= figures[name] <= high)
    assert set(inside) == {"log_loss", "accuracy", "balanced_accuracy", "macro_f1", "weighted_f1"}
    assert np.mean([np.mean(each) for each in inside.values()]) >= 0.85, inside


def test_what_is_called_on_a_single_day_is_estimated_without_that_day() -> None:
    """Of the calls that one day alone has, nothing is left to calibrate by."""
    reference, rows = drawn(MULTICLASS, 900, 1, days=9), drawn(MULTICLASS, 200, 2)
    called = reference.predicted[:, 0]
    once = np.where((called == 2) & (reference.day != "4"), 1, called)
    others = np.where((called == 2) & (reference.day != "4"), 2, reference.predicted[:, 1])
    predicted = np.column_stack([once, others, reference.predicted[:, 2:]])
    told = estimate_all(
        measures(MULTICLASS, gate={"criteria": [{"kind": "absolute", "metric": "log_loss", "at_most": 9}], "resample": "days"}).model,
        measures(MULTICLASS), replace(reference, predicted=predicted), window(rows),
    )  # fmt: skip
    assert all(np.isfinite(each.value) and np.isfinite(each.reach()) for each in told["pape"].values())


def test_a_class_of_less_than_one_expected_row_has_no_recall() -> None:
    reference, rows = drawn(MULTICLASS, 900, 1), drawn(MULTICLASS, 200, 2)
    never = Rows(rows.features, likeliest(np.tile([0.6, 0.3999, 0.0001], (200, 1))), 1, 200)
    labels = np.where(reference.labels == 2, 0.0, reference.labels)
    told = estimate_all(measures(MULTICLASS).model, measures(MULTICLASS), replace(reference, labels=labels), never)["pape"]
    assert "recall:cedar" not in told
    assert "recall:ash" in told


def test_the_sample_of_the_holdout_gives_texts_and_served_columns() -> None:
    frame = pd.DataFrame({"partition": ["2024-01-01"] * 40, "target": ["ash"] * 40, "prediction": ["ash"] * 40})
    with pytest.raises(NotEstimatedError, match="the holdout sample of its version has no probabilities; a version that is trained from"):
        Reference.of(measures(MULTICLASS), frame)
    served = frame.assign(**{"served:classes": [["ash", "cedar", "birch"]] * 40, "served:probabilities": [[0.5, 0.3, 0.2]] * 40})
    served["served:other_probability"] = 0.0
    with pytest.raises(NotEstimatedError, match="all 40 rows of the holdout of its version have the label ash"):
        Reference.of(measures(MULTICLASS), served)
