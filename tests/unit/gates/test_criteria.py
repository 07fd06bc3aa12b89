from __future__ import annotations

import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.config.gate import AbsoluteCriterion, ChampionCriterion
from include.evergreen.gates.criteria import CriterionResult, judge_absolute, judge_against_champion
from include.evergreen.gates.decide import verdict_of

AT_LEAST = AbsoluteCriterion(kind="absolute", metric="auc", at_least=0.6)
AT_MOST = AbsoluteCriterion(kind="absolute", metric="log_loss", at_most=0.5)
NAN = float("nan")


@pytest.mark.parametrize(
    ("criterion", "value", "verdict"),
    [
        (AT_LEAST, 0.61, "passed"),
        (AT_LEAST, 0.6, "passed"),
        (AT_LEAST, 0.59, "failed"),
        (AT_MOST, 0.49, "passed"),
        (AT_MOST, 0.5, "passed"),
        (AT_MOST, 0.51, "failed"),
        (AT_LEAST, NAN, "not_evaluated"),
    ],
)
def test_an_absolute_criterion_holds_a_figure_to_its_bound(criterion: AbsoluteCriterion, value: float, verdict: str) -> None:
    assert judge_absolute(criterion, {criterion.metric: value}).verdict == verdict


def test_it_says_figure_and_bound_in_words() -> None:
    assert judge_absolute(AT_LEAST, {"auc": 0.5}).words == "auc is 0.5000; it must be at least 0.6"
    assert judge_absolute(AT_MOST, {"log_loss": 0.25}).words == "log_loss is 0.2500; it must be at most 0.5"


def test_a_bound_of_nought_is_a_bound() -> None:
    positive = AbsoluteCriterion(kind="absolute", metric="r2", at_least=0.0)
    assert judge_absolute(positive, {"r2": -0.1}).verdict == "failed"


def test_a_metric_that_could_not_be_measured_is_no_pass_and_no_fail() -> None:
    result = judge_absolute(AT_LEAST, {"log_loss": 0.1})
    assert (result.verdict, result.value, result.threshold) == ("not_evaluated", None, 0.6)
    assert result.words == "auc could not be measured on the holdout (one class only, or no rows)"


@pytest.mark.parametrize(
    ("metric", "value", "champions", "verdict"),
    [
        ("auc", 0.70, 0.70, "passed"),
        ("auc", 0.75, 0.875, "passed"),  # exactly the margin
        ("auc", 0.7499, 0.875, "failed"),
        ("auc", 0.90, 0.50, "passed"),
        ("log_loss", 0.625, 0.50, "passed"),
        ("log_loss", 0.6251, 0.50, "failed"),
        ("log_loss", 0.10, 0.50, "passed"),
        ("auc", NAN, 0.50, "not_evaluated"),
        ("auc", 0.50, NAN, "not_evaluated"),
    ],
)
def test_a_candidate_may_be_worse_than_the_champion_by_the_margin(
    flight_delay: ModelConfig, metric: str, value: float, champions: float, verdict: str
) -> None:
    criterion = ChampionCriterion(kind="champion", metric=metric, margin=0.125)
    assert judge_against_champion(criterion, flight_delay, {metric: value}, {metric: champions}).verdict == verdict


def test_the_comparison_is_told_with_both_figures(flight_delay: ModelConfig) -> None:
    criterion = ChampionCriterion(kind="champion", metric="auc", margin=0.01)
    result = judge_against_champion(criterion, flight_delay, {"auc": 0.6}, {"auc": 0.7})
    assert result.words == "auc is 0.6000, the champion's on the same rows 0.7000; it must be at least 0.6900 (margin 0.01)"


def test_without_a_champion_there_is_nothing_to_compare_with(flight_delay: ModelConfig) -> None:
    criterion = ChampionCriterion(kind="champion", metric="auc")
    result = judge_against_champion(criterion, flight_delay, {"auc": 0.6}, None)
    assert (result.verdict, result.value, result.threshold) == ("not_applicable", 0.6, None)
    assert result.words.startswith("there is no champion")


def test_a_metric_that_neither_could_measure_is_not_evaluated(flight_delay: ModelConfig) -> None:
    criterion = ChampionCriterion(kind="champion", metric="auc")
    assert judge_against_champion(criterion, flight_delay, {}, {"auc": 0.7}).verdict == "not_evaluated"
    assert judge_against_champion(criterion, flight_delay, {"auc": 0.7}, {}).verdict == "not_evaluated"


@pytest.mark.parametrize(
    ("verdicts", "decision"),
    [
        (["passed", "passed"], "blessed"),
        (["passed", "not_applicable"], "blessed"),
        (["passed", "failed"], "rejected"),
        (["failed", "not_evaluated"], "rejected"),
        (["passed", "not_evaluated"], "not_evaluated"),
    ],
)
def test_one_failure_rejects_and_one_unknown_leaves_undecided(verdicts: list[str], decision: str) -> None:
    results = [CriterionResult("absolute", "auc", 0.5, 0.5, verdict, "") for verdict in verdicts]  # type: ignore[arg-type]
    assert verdict_of(results) == decision
