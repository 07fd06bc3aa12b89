from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from benchmarks.gate_statistics import creep, nights
from include.evergreen.config import ModelConfig
from include.evergreen.config.gate import Gate
from include.evergreen.config.measuring import Costs, Metrics
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.gates.criteria import CriterionResult
from include.evergreen.gates.decision import combine_verdicts
from include.evergreen.gates.evaluate import JUDGES
from include.evergreen.gates.evidence import Evidence
from include.evergreen.training.metrics import Measures
from tests.unit.gates.synthetic_evidence import ROWS, ROWS_A_DAY, evidence_of, late
from tests.unit.training.test_metrics import full


def judged(evidence: Evidence, **criterion: Any) -> CriterionResult:
    declared = Gate.model_validate({"criteria": [criterion]}).criteria[0]
    return JUDGES[declared.kind](declared, evidence)


@pytest.fixture
def good(flight_delay: ModelConfig) -> Evidence:
    """A classifier that knows the true chances."""
    labels, chances = late(np.random.default_rng(1))
    return evidence_of(flight_delay, labels, chances)


def test_every_kind_that_a_yaml_may_name_has_its_judge() -> None:
    kinds = Gate.model_json_schema()["properties"]["criteria"]["items"]["discriminator"]["mapping"]
    assert set(kinds) == set(JUDGES)


@pytest.mark.parametrize(
    ("bound", "verdict"), [({"at_least": 0.5}, "passed"), ({"at_least": 0.99}, "failed"), ({"at_most": 0.5}, "failed")]
)
def test_an_absolute_criterion_holds_a_figure_to_its_bound_and_shows_its_interval(good: Evidence, bound: Any, verdict: str) -> None:
    result = judged(good, kind="absolute", metric="auc", **bound)
    assert result.verdict == verdict
    assert result.value == good.candidate.metrics["auc"]
    assert result.interval is not None
    assert result.interval[0] < result.value < result.interval[1]
    assert f"it must be {next(iter(bound)).replace('_', ' ')} {next(iter(bound.values())):g}" in result.message


def test_a_bound_that_is_met_exactly_is_met(good: Evidence) -> None:
    assert judged(good, kind="absolute", metric="auc", at_least=good.candidate.metrics["auc"]).verdict == "passed"
    assert judged(good, kind="absolute", metric="log_loss", at_most=good.candidate.metrics["log_loss"]).verdict == "passed"


def test_a_bound_of_nought_is_a_bound(air_time: ModelConfig) -> None:
    labels = np.arange(ROWS, dtype="float64")
    assert judged(evidence_of(air_time, labels, labels[::-1]), kind="absolute", metric="r2", at_least=0.0).verdict == "failed"


@pytest.mark.parametrize(
    "criterion",
    [
        {"kind": "absolute", "metric": "auc", "at_least": 0.5},
        {"kind": "champion", "metric": "auc", "must": "better"},
        {"kind": "baseline", "metric": "auc"},
    ],
)
def test_a_metric_that_rows_of_one_class_do_not_define_is_no_pass_and_no_fail(flight_delay: ModelConfig, criterion: Any) -> None:
    chances = np.linspace(0.1, 0.9, ROWS)
    result = judged(evidence_of(flight_delay, np.zeros(ROWS), chances, chances), **criterion)
    assert (result.verdict, result.value) == ("not_evaluated", None)
    assert result.message == "auc could not be measured on the holdout (rows of one class only, or no rows)"


def test_as_good_as_the_champion_is_not_worse_and_is_not_better(good: Evidence) -> None:
    same = evidence_of(good.model, good.candidate.labels, good.candidate.predicted, good.candidate.predicted)
    not_worse = judged(same, kind="champion", metric="auc", margin=0.001)
    better = judged(same, kind="champion", metric="auc", must="better")
    assert (not_worse.verdict, not_worse.value, not_worse.interval, not_worse.threshold) == ("passed", 0.0, (0.0, 0.0), -0.001)
    assert better.verdict == "failed"


@pytest.mark.parametrize("metric", ["auc", "log_loss", "brier"])
def test_a_champion_that_guesses_is_beaten_and_a_candidate_that_guesses_is_worse(good: Evidence, metric: str) -> None:
    labels, chances = good.candidate.labels, good.candidate.predicted
    guesses = np.random.default_rng(2).random(ROWS)
    ahead, behind = evidence_of(good.model, labels, chances, guesses), evidence_of(good.model, labels, guesses, chances)
    assert judged(ahead, kind="champion", metric=metric, must="better").verdict == "passed"
    result = judged(behind, kind="champion", metric=metric, margin=0.01)
    assert result.verdict == "failed"
    assert f"{metric} is {behind.candidate.metrics[metric]:.4f}, the champion's on the same rows" in result.message
    assert result.message.endswith("(resampled by days); it must be worse by no more than 0.01")
    assert "with a one-sided 95% bound of " in result.message


def test_a_candidate_that_seems_within_the_margin_but_not_surely_so_fails(flight_delay: ModelConfig) -> None:
    """The point estimate alone would pass: this is what the interval is for."""
    random = np.random.default_rng(3)
    labels, chances = late(random)
    noisy = [np.clip(chances + random.normal(0, 0.15, ROWS), 0.01, 0.99) for _ in range(2)]
    result = judged(evidence_of(flight_delay, labels, noisy[0], noisy[1]), kind="champion", metric="auc", margin=0.02)
    assert result.value is not None
    assert result.threshold is not None
    assert result.interval is not None
    assert (result.value > result.threshold, result.interval[0] < result.threshold, result.verdict) == (True, True, "failed")


def test_what_a_champion_knows_by_heart_counts_for_nothing(good: Evidence) -> None:
    """On the days that it was fitted on it answers with the truth; on the others it guesses."""
    labels, chances = good.candidate.labels, good.candidate.predicted
    by_heart = np.where(np.arange(ROWS) < 2 * ROWS_A_DAY, labels, np.random.default_rng(2).random(ROWS))
    evidence = evidence_of(good.model, labels, chances, by_heart, fitted_before=2)
    result = judged(evidence, kind="champion", metric="auc", must="better")
    assert (result.verdict, result.details["other"]) == ("passed", pytest.approx(0.5, abs=0.06))
    assert result.details["candidate"] == evidence.candidate.among(np.arange(ROWS) >= 2 * ROWS_A_DAY).metrics["auc"]
    slices = judged(evidence_of(good.model, labels, chances, by_heart, columns={"origin": "EWR"}, fitted_before=2), kind="slices",
                    by="origin", judge="worst", metric="auc", at_least=0.1)  # fmt: skip
    assert slices.details["slices"][0]["champion"] == result.details["other"]
    assert slices.details["worse_than_champion"] == []


def test_a_champion_that_lost_too_much_against_its_comparator_is_no_longer_the_measure(flight_delay: ModelConfig) -> None:
    """Version 7 was champion before, and knows more: a candidate that is as good as the champion is held to version 7's figure."""
    random = np.random.default_rng(6)
    labels, chances = late(random, strength=2.0)
    dull = [np.clip(chances + random.normal(0, 0.2, ROWS), 0.001, 0.999) for _ in range(2)]
    asked = {"kind": "champion", "metric": "auc", "margin": 0.04}
    crept = judged(evidence_of(flight_delay, labels, dull[0], dull[1], comparator=chances), **asked)
    assert (crept.verdict, crept.details["compared_with"], crept.details["comparator"]) == ("failed", 7, 7)
    assert "that of version 7, an earlier champion that is better than this one (0." in crept.message
    back = judged(evidence_of(flight_delay, labels, chances, dull[1], comparator=chances), **asked)
    assert (back.verdict, back.details["compared_with"]) == ("passed", 7)
    grown = judged(evidence_of(flight_delay, labels, chances, chances, comparator=dull[0]), **asked)
    assert (grown.verdict, grown.details["compared_with"], grown.details["comparator"]) == ("passed", 1, 1)
    assert grown.message.endswith(f"; the comparator, version 7, has {grown.details['comparator_has']:.4f}")
    blind = judged(
        evidence_of(flight_delay, labels, chances, None, comparator=chances, why_no_champion="there is no champion that can score"), **asked
    )
    assert (blind.verdict, blind.details["compared_with"]) == ("passed", 7)
    assert blind.message.endswith("; there is no champion that can score")
    lower = judged(evidence_of(flight_delay, labels, dull[0], dull[1], comparator=chances), **{**asked, "metric": "brier", "margin": 0.01})
    assert (lower.verdict, lower.details["compared_with"]) == ("failed", 7)
    better = judged(evidence_of(flight_delay, labels, chances, dull[1], comparator=chances), kind="champion", metric="auc", must="better")
    assert better.details.keys() == {"candidate", "other"}  # it must be better anyway, and so loses nothing


@pytest.mark.parametrize("seed", [1, 2])
def test_a_loss_of_a_point_a_night_is_stopped_before_it_passes_the_margin(seed: int) -> None:
    """Ten nights of .01 with a margin of .05; the long run is benchmarks.gate_statistics."""
    alone, guarded = (nights(creep(seed, 10, loss=0.01), guarded=guarded) for guarded in (False, True))
    assert alone.champion_auc == pytest.approx(0.65)
    assert guarded.champion_auc >= 0.75 - 0.05


def test_equals_are_kept_out_by_the_comparator_no_more_often_than_the_nominal_rate() -> None:
    """With a margin at which some equals fail by chance alone; the long run is benchmarks.gate_statistics."""
    courses = [creep(seed, 10, loss=0.0, rows_a_day=50) for seed in range(8)]
    alone, guarded = (sum(nights(course, guarded=guarded, margin=0.04).blocked for course in courses) for guarded in (False, True))
    assert 0 < alone <= guarded <= alone + 0.05 * 80


def test_without_a_champion_there_is_nothing_to_compare_with(good: Evidence) -> None:
    result = judged(good, kind="champion", metric="auc", must="better")
    assert (result.verdict, result.value, result.message) == ("not_applicable", None, "there is no champion yet to compare auc with")


def test_one_day_compares_nothing_and_says_what_to_change(good: Evidence) -> None:
    day = np.arange(ROWS) < ROWS_A_DAY
    alone = dataclasses.replace(good, candidate=good.candidate.among(day))
    result = judged(alone, kind="baseline", metric="auc")
    assert (result.verdict, result.interval) == ("not_evaluated", None)
    assert result.value == pytest.approx(alone.candidate.value("auc") - 0.5)  # of a constant
    assert "which is not judged: one day does not show how days differ. Set train.holdout to 5 or more" in result.message


def test_not_worse_without_any_margin_is_refused_as_only_the_surely_better_would_pass() -> None:
    with pytest.raises(ValidationError, match="needs a margin above 0"):
        Gate.model_validate({"criteria": [{"kind": "champion", "metric": "auc"}]})


def test_a_classifier_must_beat_the_share_of_the_rows_it_was_fitted_on(good: Evidence) -> None:
    result = judged(good, kind="baseline", metric="log_loss")
    assert (result.verdict, result.details["answer"]) == ("passed", pytest.approx(good.candidate.labels.mean()))
    assert "that of a constant" in result.message
    assert "share of positive rows among those fitted on" in result.message
    guesses = evidence_of(good.model, good.candidate.labels, np.random.default_rng(4).random(ROWS))
    assert judged(guesses, kind="baseline", metric="log_loss").verdict == "failed"


def test_a_regression_must_beat_the_median_by_mae_the_mean_by_rmse_and_its_quantile_by_pinball(air_time: ModelConfig) -> None:
    random = np.random.default_rng(5)
    labels = random.exponential(100, ROWS)
    evidence = evidence_of(air_time, labels, labels + random.normal(0, 10, ROWS))
    by_mae, by_rmse = judged(evidence, kind="baseline", metric="mae"), judged(evidence, kind="baseline", metric="rmse")
    assert by_mae.details["answer"] == pytest.approx(np.median(labels))
    assert by_rmse.details["answer"] == pytest.approx(labels.mean())
    assert (by_mae.verdict, by_rmse.verdict) == ("passed", "passed")
    high = evidence_of(air_time.model_copy(update={"metrics": Metrics(quantile=0.9)}), labels, labels + 10)
    by_pinball = judged(high, kind="baseline", metric="pinball")
    assert by_pinball.details["answer"] == pytest.approx(np.quantile(labels, 0.9))
    assert "(the 0.9 quantile among those fitted on)" in by_pinball.message


def test_decisions_must_beat_the_better_of_calling_every_row_positive_and_none(flight_delay: ModelConfig) -> None:
    """Where a miss costs twenty false alarms, to call every row positive is hard to beat; where both cost the same, to call none."""
    labels, chances = late(np.random.default_rng(6), strength=3.0)
    for miss, answer, words in ((20.0, 1.0, "calling every row positive"), (1.0, 0.0, "calling no row positive")):
        model = flight_delay.model_copy(update={"metrics": Metrics(costs=Costs(false_positive=1, false_negative=miss))})
        careful = evidence_of(model, labels, chances, measures=Measures(model, 1 / (1 + miss)))
        result = judged(careful, kind="baseline", metric="cost")
        assert (result.verdict, result.details["answer"]) == ("passed", answer)
        assert f"that of {words} (the better of the two among those fitted on)" in result.message
    assert judged(careful, kind="baseline", metric="f1").verdict == "passed"


def test_each_version_decides_at_its_own_threshold(good: Evidence) -> None:
    """The champion's chances are half of the candidate's, and so is its threshold: both decide alike, and cost the same."""
    evidence = evidence_of(good.model, good.candidate.labels, good.candidate.predicted, good.candidate.predicted / 2)
    assert evidence.champion is not None
    theirs = good.candidate.predicting(good.candidate.predicted / 2, as_other=dataclasses.replace(good.candidate.measures, threshold=0.25))
    evidence.champion = dataclasses.replace(evidence.champion, everywhere=theirs)
    result = judged(evidence, kind="champion", metric="f1", margin=0.01)
    assert (result.verdict, result.value, result.interval) == ("passed", 0.0, (0.0, 0.0))


def test_bias_is_judged_by_its_size(air_time: ModelConfig) -> None:
    labels = np.random.default_rng(7).normal(100, 10, ROWS)
    below, near = evidence_of(air_time, labels, labels - 4, labels + 1), evidence_of(air_time, labels, labels + 1, labels - 4)
    assert judged(below, kind="absolute", metric="bias", at_most=3).verdict == "failed"
    assert judged(below, kind="absolute", metric="bias", at_most=5).message == (
        "bias is -4.0000 (interval 95%: -4.0000 to -4.0000); its size must be at most 5"
    )
    worse, better = judged(below, kind="champion", metric="bias", margin=1), judged(near, kind="champion", metric="bias", must="better")
    assert (worse.verdict, worse.value) == ("failed", pytest.approx(3))
    assert (better.verdict, better.value) == ("passed", pytest.approx(-3))
    assert better.message.startswith("|bias| is 1.0000, the champion's on the same rows 4.0000: a difference of -3.0000")


def test_a_metric_that_the_version_was_trained_without_is_named_with_what_to_do(good: Evidence) -> None:
    with pytest.raises(ConfigError, match="flight_delay: the version has no metric 'cost', as it was trained before model.yaml declared"):
        judged(good, kind="absolute", metric="cost", at_most=3)


@pytest.mark.parametrize("task", ["classification", "regression"])  # several classes: test_several_classes
def test_every_metric_has_an_interval_is_compared_and_divided_into_slices(
    flight_delay: ModelConfig, air_time: ModelConfig, task: str
) -> None:
    measures = full(flight_delay if task == "classification" else air_time)
    labels, predicted = late(np.random.default_rng(1))
    labels = labels if task == "classification" else labels + 2 + predicted
    origin = np.tile(["EWR", "JFK"], ROWS // 2)
    evidence = evidence_of(measures.model, labels, predicted, predicted[::-1].copy(), columns={"origin": origin}, measures=measures)
    for name, metric in measures.metrics.items():
        bound = {"at_least": metric.range[0] if np.isfinite(metric.range[0]) else -99} if metric.sign > 0 else {"at_most": 99}
        shown = judged(evidence, kind="absolute", metric=name, **bound)
        assert (shown.verdict, shown.interval is not None) == ("passed", True), name
        assert judged(evidence, kind="champion", metric=name, margin=0.9).interval is not None, name
        worst = judged(evidence, kind="slices", by="origin", judge="worst", metric=name, **bound)
        assert [part["interval"] is not None for part in worst.details["slices"]] == [True, True], name
        assert judged(evidence, kind="slices", by="origin", judge="difference", metric=name, max_difference=9).verdict == "passed", name
        if metric.baseline:
            assert judged(evidence, kind="baseline", metric=name).value is not None, name


def test_chances_that_come_true_are_calibrated_and_doubled_ones_are_not(good: Evidence) -> None:
    right = judged(good, kind="calibration", at_most=0.08)
    assert right.verdict == "passed"
    assert sum(each["rows"] for each in right.details["bins"]) == ROWS
    assert all(each["interval"][0] <= each["observed"] <= each["interval"][1] for each in right.details["bins"])
    doubled = evidence_of(good.model, good.candidate.labels, np.minimum(good.candidate.predicted * 2, 1))
    assert judged(doubled, kind="calibration", at_most=0.08).verdict == "failed"


def test_a_regression_that_is_ten_minutes_off_everywhere_has_that_calibration_error(air_time: ModelConfig) -> None:
    labels = np.linspace(50, 300, ROWS)
    result = judged(evidence_of(air_time, labels, labels + 10), kind="calibration", at_most=9.9)
    assert (result.value, result.verdict) == (pytest.approx(10.0), "failed")


def test_one_prediction_for_all_is_one_bin(flight_delay: ModelConfig) -> None:
    labels = np.tile([0.0, 0, 0, 1], ROWS // 4)
    result = judged(evidence_of(flight_delay, labels, np.full(ROWS, 0.25)), kind="calibration", at_most=0.01)
    assert (len(result.details["bins"]), result.value, result.verdict) == (1, 0.0, "passed")


def test_every_result_can_be_kept_as_json(good: Evidence) -> None:
    import json

    for criterion in ({"kind": "absolute", "metric": "auc", "at_least": 0.5}, {"kind": "calibration", "at_most": 0.1}):
        json.dumps(judged(good, **criterion).as_record(), allow_nan=False)


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
    assert combine_verdicts(verdicts) == decision
