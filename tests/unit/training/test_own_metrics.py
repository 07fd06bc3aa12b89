"""A metric of a team's own: one that cannot be, is refused before any work; one that can, is measured like ours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.config.measuring import Metrics, OwnMetric
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.gates.bootstrap import Units, draw, replicates
from include.evergreen.gates.resampled import statistic
from include.evergreen.training.metrics import Measures
from include.evergreen.training.own_metrics import refuse_unfit, unfit

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


def test_it_spoils_nothing_for_the_metric_after_it(flight_delay: ModelConfig) -> None:
    text = "def per_row(labels, predicted):\n    labels[:] = 0\n    return 1.0"
    measures = Measures(declaring(flight_delay), 0.5, (("profit", text),))
    labels, predicted = (each.copy() for each in SAME_LABELS)
    measures.measure(labels, predicted)
    assert labels.tolist() == SAME_LABELS[0].tolist()
