"""A metric of a team's own: one that cannot be, is refused before any work; one that can, is measured like ours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from include.evergreen.config import ModelConfig
from include.evergreen.config.measuring import Metrics, OwnMetric
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.gates.bootstrap import Units, draw, replicates
from include.evergreen.gates.resampled import statistic
from include.evergreen.serving.likeliest import likeliest
from include.evergreen.training import own_metrics
from include.evergreen.training.metrics import Measures
from include.evergreen.training.own_metrics import of_classes, refuse_unfit, unfit

PROFIT = """
import numpy as np
from prices import FARE

def per_row(labels, predicted):
    return float(np.mean(FARE * labels * (predicted >= 0.5) - (predicted >= 0.5)))
"""
MODULES_NOW = (("prices", "FARE = 3.0"), ("profit", PROFIT))
SAME_LABELS = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.8, 0.2, 0.1])


def declaring(model: ModelConfig, function: str = "profit.per_row", better: Any = "higher") -> ModelConfig:
    own = OwnMetric(name="profit", function=function, better=better, description="What is left of the fares.")
    return model.model_copy(update={"metrics": Metrics(own=(own,))})


def test_it_is_measured_beside_ours_and_by_the_text_that_the_recipe_holds(flight_delay: ModelConfig) -> None:
    measures = Measures(declaring(flight_delay), 0.5, MODULES_NOW)
    figures = measures.measure(*SAME_LABELS)
    assert list(figures)[-1] == "profit"
    assert figures["profit"] == pytest.approx((3 * 1 - 2) / 4)
    dearer = Measures(measures.model, 0.5, (("prices", "FARE = 30.0"), ("profit", PROFIT)))
    assert dearer.measure_one("profit", *SAME_LABELS) == pytest.approx((30 * 1 - 2) / 4)
    metric = measures.metric("profit")
    assert (metric.sign, metric.range, metric.words) == (1.0, (-math.inf, math.inf), "What is left of the fares.")


@pytest.mark.parametrize("by", ["rows", "days"])
def test_each_resample_calls_it_on_the_rows_that_were_drawn(flight_delay: ModelConfig, by: str) -> None:
    random = np.random.default_rng(4)
    labels, predicted, day = random.integers(0, 2, 60).astype(float), random.random(60), np.repeat(np.arange(6), 10)
    measures = Measures(declaring(flight_delay), 0.5, MODULES_NOW)
    units = Units.days(day) if by == "days" else Units.rows(60)
    ours = replicates([statistic(measures, "profit", units, labels, predicted)], units, resamples=20, seed=3)[0]
    for once, drawn in zip(ours, np.concatenate(list(draw(units.count, 20, 3))), strict=True):
        rows = np.repeat(np.arange(60), drawn if units.of_row is None else drawn[units.of_row])
        assert once == measures.measure_one("profit", labels[rows], predicted[rows])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def per_row(labels, predicted): return 1 / 0", "fails on 200 rows: ZeroDivisionError: division by zero. It must return a float"),
        ("def per_row(labels, predicted): return labels", "fails on 200 rows: TypeError"),
        (
            "def per_row(labels, predicted): return float('nan')",
            "returns nan for 200 synthetic rows of both classes; it must return a number",
        ),
        ("def per_row(labels): return 1.0", "profit.per_row(labels) cannot be called with two arrays; it must take labels and predictions"),
        ("def per_rows(labels, predicted): return 1.0", "profit has no function 'per_row'; did you mean 'per_rows'?"),
        ("import nowhere_at_all", "profit.py cannot be imported: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("import random\ndef per_row(labels, predicted): return random.random()", "for the same rows; it must be deterministic"),
        ("def per_row(labels, predicted): return predicted[0]", "in another order, which intervals draw anew; it must not depend on"),
        ("per_row = 3", "profit has no function 'per_row'"),
    ],
)
def test_one_that_cannot_be_is_refused_with_what_would_do(flight_delay: ModelConfig, text: str, words: str) -> None:
    model = declaring(flight_delay)
    assert words in unfit(model, model.metrics.own[0], (("profit", text),))
    with pytest.raises(ConfigError, match="flight_delay: metrics.own: profit: "):
        refuse_unfit(model, (("profit", text),))


def test_a_function_of_an_installed_package_is_one_too(flight_delay: ModelConfig, air_time: ModelConfig) -> None:
    for model, function in ((flight_delay, "sklearn.metrics.brier_score_loss"), (air_time, "sklearn.metrics.max_error")):
        own = declaring(model, function, "lower")
        assert unfit(own, own.metrics.own[0], ()) == ""
    missing = declaring(flight_delay, "not_installed.metrics.profit")
    assert unfit(missing, missing.metrics.own[0], ()) == (
        "not_installed.metrics.profit cannot be imported (ModuleNotFoundError: No module named 'not_installed'); write not_installed.py "
        "beside model.yaml, or install the package"
    )


def test_what_a_function_says_of_rows_is_left_out_where_they_are_personal(flight_delay: ModelConfig) -> None:
    personal = tuple(feature.model_copy(update={"personal": True}) for feature in flight_delay.features)
    text = "def per_row(labels, predicted): raise ValueError(f'{labels}')"
    measures = Measures(declaring(flight_delay).model_copy(update={"features": personal}), 0.5, (("profit", text),))
    with pytest.raises(ConfigError) as raised:
        measures.measure_one("profit", *SAME_LABELS)
    assert "[" not in str(raised.value)
    assert raised.value.__cause__ is None


CLASSES = ("bread", "fish", "milk")
KAPPA = """
from sklearn.metrics import cohen_kappa_score

def per_row(labels, predicted):
    return float(cohen_kappa_score(labels, predicted.idxmax(axis=1)))
"""


def of_several(model: ModelConfig, *classes: str) -> ModelConfig:
    target = model.target.model_copy(update={"positive_above": None, "positive": None, "classes": classes or None})
    return declaring(model).model_copy(update={"task": "multiclass", "target": target})


def test_of_several_classes_it_is_given_texts_and_how_likely_each_class_is(flight_delay: ModelConfig) -> None:
    random = np.random.default_rng(0)
    chances, labels = random.dirichlet([1, 1, 1], 60), random.integers(0, 4, 60).astype(float)
    known = Measures(of_several(flight_delay), 0.5, (("profit", KAPPA),), (*CLASSES, "wine"), CLASSES)
    texts = np.array([*CLASSES, "wine"], dtype=object)[labels.astype(int)]
    assert known.measure_one("profit", labels, likeliest(chances)) == cohen_kappa_score(texts, np.array(CLASSES)[chances.argmax(axis=1)])
    seen: list[Any] = []
    given = of_classes((*CLASSES, "wine"), CLASSES, labels, likeliest(chances))
    seen += [given[0].tolist(), list(given[1].columns), list(given[1].index[:2])]
    assert seen == [texts.tolist(), list(CLASSES), [0, 1]]
    assert np.allclose(given[1].to_numpy(), chances, atol=1e-6)


def test_a_version_that_knows_other_classes_is_measured_by_those_that_it_knows(flight_delay: ModelConfig) -> None:
    text = "def per_row(labels, predicted): return float(len(predicted.columns) + (predicted.idxmax(axis=1) == 'wine').mean())"
    ours = Measures(of_several(flight_delay), 0.5, (("profit", text),), CLASSES, CLASSES)
    theirs = ours.as_other(Measures(ours.model, 0.5, (), ("milk", "wine"), ("milk", "wine")))
    predicted = theirs.numbered(likeliest(np.array([[0.1, 0.9], [0.8, 0.2]])), ("milk", "wine"))
    assert theirs.measure_one("profit", np.array([0.0, 2.0]), predicted) == 2.5


def test_of_very_many_probabilities_a_fixed_draw_of_the_rows_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_metrics, "MOST_PROBABILITIES", 300)
    labels, predicted = np.arange(200.0) % 3, likeliest(np.random.default_rng(0).dirichlet([1, 1, 1], 200))
    first, again = (of_classes(CLASSES, CLASSES, labels, predicted) for _ in range(2))
    assert len(first[0]) == len(first[1]) == 100
    assert first[1].equals(again[1]) and first[0].tolist() == again[0].tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (KAPPA, ""),
        (
            "def per_row(labels, predicted): return sum({'a': 1, 'b': 2, 'c': 3}[label] for label in labels)",
            "with a label of a class that the version does not know: the metric 'profit' (profit.per_row) fails on 200 rows: KeyError",
        ),
        (
            "def per_row(labels, predicted): return sum({'bread': 1}[label] for label in labels)",
            "The classes of these rows are made up (a, b, c); if it needs its own, declare them: target.classes.",
        ),
        ("def per_row(labels, predicted): return predicted.iloc[0, 0]", "it must not depend on their order"),
    ],
)
def test_of_several_classes_one_that_cannot_be_is_refused(flight_delay: ModelConfig, text: str, words: str) -> None:
    model = of_several(flight_delay)
    told = unfit(model, model.metrics.own[0], (("profit", text),))
    assert words in told if words else not told, told


def test_it_is_tried_on_the_declared_classes(flight_delay: ModelConfig) -> None:
    model = of_several(flight_delay, *CLASSES)
    text = "def per_row(labels, predicted): return sum({'bread': 1, 'fish': 2, 'milk': 3}.get(label, 9) for label in labels)"
    assert unfit(model, model.metrics.own[0], (("profit", text),)) == ""
    picky = "def per_row(labels, predicted): return float(predicted[['bread', 'fish', 'milk']].to_numpy().sum())"
    assert unfit(model, model.metrics.own[0], (("profit", picky),)) == ""


def test_it_spoils_nothing_for_the_metric_after_it(flight_delay: ModelConfig) -> None:
    text = "def per_row(labels, predicted):\n    labels[:] = 0\n    return 1.0"
    measures = Measures(declaring(flight_delay), 0.5, (("profit", text),))
    labels, predicted = (each.copy() for each in SAME_LABELS)
    measures.measure(labels, predicted)
    assert labels.tolist() == SAME_LABELS[0].tolist()
