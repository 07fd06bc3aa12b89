from __future__ import annotations

import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.config.monitoring import Retrain, Rule
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring import Observation, record_observations
from include.evergreen.monitoring.triggers import ask_training, fail_firing, fire_if_tripped, rule_outlooks, tripped
from include.evergreen.state import pauses
from include.evergreen.state.database.tables import firings
from tests.unit.flights import january, rows_of

pytestmark = pytest.mark.usefixtures("home")
NAME = "performance.mae>20 (2 of 3)"


@pytest.fixture
def model(air_time: ModelConfig) -> ModelConfig:
    return air_time.model_copy(
        update={"retrain": Retrain(rules=(Rule(metric="performance.mae", above=20, k=2, n=3),), cooldown=Span(7, "day"))}
    )


def observe(day: int, value: float, origin: str = "live") -> None:
    record_observations("air_time", january(day), [Observation("air_time", january(day), "performance.mae", value, 1, origin, 900)])


def words(model: ModelConfig) -> str:
    """Of the model's one rule, once it is sure that they agree with what the sensor would do."""
    [outlook] = rule_outlooks(model)
    assert outlook.would_fire is (tripped(model) is not None and pauses.active_pause() is None)
    return outlook.message


def test_a_rule_that_trips_would_fire_and_is_told_with_its_evidence_and_the_training_s_as_of(model: ModelConfig) -> None:
    observe(1, 25)
    observe(2, 30)
    assert words(model) == f"rule {NAME}: 2013-01-01: 25.000, 2013-01-02: 30.000 would fire a training as of 2013-01-02"
    assert rows_of(firings) == []


def test_a_rule_that_does_not_says_what_it_lacks(model: ModelConfig) -> None:
    assert words(model) == f"rule {NAME} would not fire: performance.mae has no observation yet"
    observe(1, 25, origin="backfill")
    assert words(model) == f"rule {NAME} would not fire: performance.mae has backfilled observations alone"
    observe(2, 30)
    assert words(model) == f"rule {NAME} would not fire: 1 of the last 1 breach, and it takes 2; the newest is 30.000 (2013-01-02)"
    observe(3, 30)
    observe(4, 10)
    assert words(model) == (f"rule {NAME} would not fire: 2 of the last 3 breach, but the newest is 10.000 (2013-01-04) and does not")


def test_a_rule_waits_for_enough_new_labels_and_says_how_many_there_are(model: ModelConfig) -> None:
    model = model.model_copy(update={"retrain": model.retrain.model_copy(update={"min_new_labels": 500})})
    observe(1, 25)
    observe(2, 30)
    assert words(model).endswith("would fire a training as of 2013-01-02"), "nobody has counted them"
    for day, labels in ((3, 120.0), (4, 500.0)):
        figures = (("performance.mae", 30.0), ("training.new_labels", labels))
        record_observations(
            "air_time", january(day), [Observation("air_time", january(day), name, value, 1, "live", 9) for name, value in figures]
        )
        if day == 3:
            held = "120 of the 500 rows of labels (min_new_labels) have come since the last training, as of 2013-01-03"
            assert words(model).endswith(f"trips, and would not fire: {held}")
            assert fire_if_tripped(model) is None
    assert words(model).endswith("would fire a training as of 2013-01-04")


def test_a_rule_that_learns_says_what_it_still_lacks_and_what_a_figure_is_held_against(model: ModelConfig) -> None:
    rule = Rule(metric="performance.mae", above="learned")
    model = model.model_copy(update={"retrain": Retrain(rules=(rule,))})
    observe(1, 10)
    assert words(model).endswith("would not fire: it learns its bound from 7 other windows of version 1 at least, and there are fewer yet")
    for day in range(2, 9):
        observe(day, 10 + day % 2)
    assert words(model).endswith("0 of the last 1 breach, and it takes 1; the newest is 10.000 (2013-01-08) against 12.224")
    observe(9, 13)
    assert "(bound 12." in words(model) and words(model).endswith("would fire a training as of 2013-01-09")


def test_a_rule_that_is_held_back_says_by_what_and_until_when(model: ModelConfig) -> None:
    observe(1, 25)
    observe(2, 30)
    assert fire_if_tripped(model)
    observe(3, 30)
    assert words(model).endswith(
        "2013-01-03: 30.000 trips, and would not fire: the model cools down until 2013-01-09, since it fired as of 2013-01-02"
    )
    observe(10, 30)
    assert words(model).endswith("would fire a training as of 2013-01-10")
    pauses.pause(hours=1, actor="a person", reason="the feed is broken")
    assert "trips, and would not fire: a person paused automatic promotion and retraining until " in words(model)


def test_a_rule_whose_training_failed_says_when_it_is_triggered_again_and_newer_evidence_would_fire(model: ModelConfig) -> None:
    observe(1, 25)
    observe(2, 30)
    fired = fire_if_tripped(model)
    assert fired
    fail_firing(fired.id, str(ask_training(fired.id)))
    assert "trips, and would not fire: it fired as of 2013-01-02, and its training firing__1__2013-01-02 failed at" in words(model)
    observe(3, 30)
    assert words(model).endswith("would fire a training as of 2013-01-03")


def test_a_model_without_rules_has_no_outlook(model: ModelConfig) -> None:
    assert rule_outlooks(model.model_copy(update={"retrain": Retrain()})) == []
