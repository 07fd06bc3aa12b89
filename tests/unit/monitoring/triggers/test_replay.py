"""Replaying the rules on the recorded past says what the sensor would have done, day by day."""

from __future__ import annotations

import datetime as dt
from unittest.mock import patch

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.monitoring import Retrain, Rule
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring import Observation, record_observations
from include.evergreen.monitoring.triggers import answer_firing, ask_training, fire_if_tripped, list_firings
from include.evergreen.monitoring.triggers.replay import replay_rules
from tests.unit.flights import january

DRIFT = Rule(metric="drift.share", above=0.5, k=2, n=3)
ERROR = Rule(metric="performance.mae", above=20, k=1, n=1, min_rows=100)


def model_with(
    *rules: Rule, cooldown: Span = Span(3, "day"), max_per_week: int | None = None, min_new_labels: int | None = None
) -> ModelConfig:
    retrain = Retrain(rules=rules, cooldown=cooldown, max_per_week=max_per_week, min_new_labels=min_new_labels)
    return Catalog().model("air_time").model_copy(update={"retrain": retrain})


def observed(day: int, metric: str, value: float, *, version: int = 1, rows: int = 900, origin: str = "live") -> Observation:
    return Observation("air_time", january(day), metric, value, version, origin, rows)


def told(model: ModelConfig, figures: list[Observation]) -> list[tuple[int, str, int | None]]:
    return [
        (int(row.partition[-2:]), row.rule.split(">")[0], int(row.held_until[-2:]) if row.held_until else None)
        for row in replay_rules(model, figures)
    ]


def test_a_rule_fires_once_and_is_held_by_the_cool_down_after_it() -> None:
    figures = [observed(day, "drift.share", 0.9) for day in range(1, 9)]
    assert told(model_with(DRIFT), figures) == [
        (2, "drift.share", None), (3, "drift.share", 5), (4, "drift.share", 5), (5, "drift.share", 5), (6, "drift.share", None),
        (7, "drift.share", 9), (8, "drift.share", 9),
    ]  # fmt: skip


def test_the_first_rule_that_trips_fires_and_a_figure_of_few_rows_trips_none() -> None:
    figures = [observed(1, "drift.share", 0.9), observed(1, "performance.mae", 30, rows=9), observed(2, "performance.mae", 30)]
    assert told(model_with(DRIFT, ERROR), figures) == [(2, "performance.mae", None)]
    assert told(model_with(DRIFT, ERROR), [*figures, observed(2, "drift.share", 0.9)]) == [(2, "drift.share", None)]


def test_a_new_version_is_not_judged_by_its_predecessors_figures_and_backfills_count() -> None:
    assert told(model_with(DRIFT), [observed(1, "drift.share", 0.9), observed(2, "drift.share", 0.9, version=2)]) == []
    assert told(model_with(DRIFT), [observed(day, "drift.share", 0.9, origin="backfill") for day in (1, 2)]) == [(2, "drift.share", None)]


def test_a_rule_on_the_age_of_the_training_fires_again_when_the_training_that_it_fired_is_as_old() -> None:
    figures = [observed(day, "training.age_days", day + 1) for day in range(1, 25)]
    rule = Rule(metric="training.age_days", above=9)
    assert told(model_with(rule), figures) == [(9, "training.age_days", None), (19, "training.age_days", None)]
    trained_by_schedule = [observed(day, "training.age_days", day + 1 if day < 15 else day - 15) for day in range(1, 28)]
    assert told(model_with(rule), trained_by_schedule) == [(9, "training.age_days", None), (25, "training.age_days", None)]


def test_a_rule_on_new_rows_counts_from_the_training_that_it_fired() -> None:
    figures = [
        observed(day, metric, value) for day in range(1, 25)
        for metric, value in (("training.age_days", day), ("training.new_rows", 100.0 * day), ("training.new_labels", 90.0 * day))
    ]  # fmt: skip
    rule = Rule(metric="training.new_rows", above=750)
    assert told(model_with(rule), figures) == [
        (8, "training.new_rows", None),
        (16, "training.new_rows", None),
        (24, "training.new_rows", None),
    ]
    waits = model_with(rule, min_new_labels=900)
    assert told(waits, figures) == [(10, "training.new_rows", None), (20, "training.new_rows", None)]


def test_without_rules_or_observations_nothing_trips() -> None:
    assert told(model_with(), [observed(1, "drift.share", 0.9)]) == []
    assert told(model_with(DRIFT), []) == []


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("seed", range(5))
def test_it_says_what_the_sensor_does_when_it_looks_after_each_day(seed: int) -> None:
    import random

    chance = random.Random(seed)
    rules = (
        DRIFT,
        Rule(metric="performance.mae", above=20, k=2, n=4, within=Span(6, "day"), min_rows=100),
        Rule(metric="volume.rows", below="learned", learn_from=9),
    )
    model = model_with(*rules, cooldown=Span(chance.randrange(3), "day"), max_per_week=chance.choice([None, 1, 2]), min_new_labels=500)
    figures = [
        observed(day, metric, chance.choice([value, 0.0]), version=1 + day // 12, rows=chance.choice([9, 900]))
        for day in range(1, 25) if chance.random() < 0.8
        for metric, value in (("drift.share", 0.9), ("performance.mae", 30.0)) if chance.random() < 0.9
    ]  # fmt: skip
    for day in sorted({figure.partition for figure in figures}):
        number = int(day[-2:])
        volume = chance.gauss(900, 9) if chance.random() < 0.9 else 100
        figures += [observed(number, "volume.rows", volume, version=1 + number // 12)]
        figures += [observed(number, "training.new_labels", chance.choice([400.0, 600.0]), version=1 + number // 12)]
    for day in sorted({figure.partition for figure in figures}):
        record_observations("air_time", day, [figure for figure in figures if figure.partition == day])
        with patch.object(clock, "now", return_value=DAILY.start(day) + dt.timedelta(hours=12)):
            fired = fire_if_tripped(model)
            if fired is not None:
                answer_firing("air_time", ask_training(fired.id) or "")
    fired_in_life = [(firing.as_of, firing.rule) for firing in list_firings("air_time")]
    assert [(row.partition, row.rule) for row in replay_rules(model, figures) if row.held_until is None] == fired_in_life
