from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import Ridge

from include.evergreen.config import ModelConfig
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.training import tuning
from include.evergreen.training.fitting import learn
from include.evergreen.training.metrics import Measures
from include.evergreen.training.pipeline import Chosen, predict
from include.evergreen.training.tuning import choose, settings, time_folds
from tests.unit.training.synthetic_rows import BOOSTING, LOGISTIC, RIDGE, synthetic_model, synthetic_rows

ALPHAS = {"alpha": {"log_uniform": [0.01, 1000]}}


def test_where_nothing_is_open_what_is_declared_is_chosen_without_a_trial(air_time: ModelConfig) -> None:
    model = synthetic_model(air_time, estimator=RIDGE, parameters={"alpha": 2.0})
    assert choose(model, synthetic_rows(days=2)) == tuning.TuningResult(Chosen(RIDGE, {"alpha": 2.0}), None)


@pytest.mark.parametrize(("days", "folds"), [(12, 3), (13, 3), (5, 4), (30, 5)])
def test_no_fold_is_fitted_on_a_day_that_is_not_before_all_those_it_is_judged_on(days: int, folds: int) -> None:
    found = time_folds(synthetic_rows(days=days, rows_a_day=1), folds)
    assert len(found) == folds
    for before, judges in found:
        assert max(before) < min(judges)
        assert before[0] == "2013-01-01"  # the window expands
    judged = [day for _, judges in found for day in judges]
    assert judged == sorted(set(judged))
    assert judged[-1] == str(DAILY.shift("2013-01-01", days - 1))


def test_trials_are_fitted_on_the_days_before_those_they_are_judged_on(air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen from within: which days each fit gets, and which each prediction."""
    seen: list[tuple[str, str, str]] = []
    rows = synthetic_rows(is_classified=False)

    def learn_and_note(model: ModelConfig, fit_rows: Any, chosen: Chosen) -> Any:
        seen.append(("fitted", fit_rows["partition"].min(), fit_rows["partition"].max()))
        return learn(model, fit_rows, chosen)

    def predict_and_note(pipeline: Any, model: ModelConfig, features: Any) -> np.ndarray:
        days = rows.loc[features.index, "partition"]
        seen.append(("judged", days.min(), days.max()))
        return predict(pipeline, model, features)

    monkeypatch.setattr(tuning, "learn", learn_and_note)
    monkeypatch.setattr(tuning, "predict", predict_and_note)
    choose(synthetic_model(air_time, estimator=RIDGE, search=ALPHAS, tune={"candidates": 2}), rows)
    assert len(seen) == 2 * 3 * 2
    for fitted, judged in zip(seen[::2], seen[1::2], strict=True):
        assert (fitted[0], judged[0]) == ("fitted", "judged")
        assert fitted[2] < judged[1]


def test_the_best_on_the_folds_is_chosen_and_its_score_is_the_mean_of_scikit_learns_own(air_time: ModelConfig) -> None:
    model = synthetic_model(air_time, estimator=RIDGE, search={"alpha": {"choice": [0.1, 1e6]}}, tune={"candidates": 10, "metric": "mae"})
    rows = synthetic_rows(is_classified=False)
    outcome = choose(model, rows)
    assert outcome.chosen == Chosen(RIDGE, {"alpha": 0.1})
    assert outcome.tuning is not None
    assert (outcome.tuning["planned"], outcome.tuning["done"], outcome.tuning["ended_by"]) == (10, 2, "all were tried")
    best = outcome.tuning["trials"][outcome.tuning["best"] - 1]
    expected = []
    for before, judges in time_folds(rows, 3):
        judged = rows[rows["partition"].isin(judges)]
        pipeline = learn(model, rows[rows["partition"].isin(before)], Chosen(RIDGE, {"alpha": 0.1}))
        expected.append(Measures.trained(model, {}).measure_one("mae", judged["target"].to_numpy(), predict(pipeline, model, judged)))
    assert best["scores"] == expected
    assert best["score"] == pytest.approx(np.mean(expected))


def test_the_same_rows_and_seed_give_the_same_trials_and_another_seed_gives_others(air_time: ModelConfig) -> None:
    rows = synthetic_rows(is_classified=False)

    def trials(seed: int) -> list[Any]:
        found = choose(synthetic_model(air_time, estimator=RIDGE, search=ALPHAS, tune={"candidates": 4}, seed=seed), rows).tuning
        assert found is not None
        return [(trial["parameters"], trial["scores"]) for trial in found["trials"]]

    assert trials(1) == trials(1)
    assert trials(1) != trials(2)


def test_each_distribution_gives_what_it_says(air_time: ModelConfig) -> None:
    search = {
        "alpha": {"log_uniform": [0.001, 1000]},
        "tol": {"uniform": [1e-5, 1e-3]},
        "max_iter": {"integers": [10, 12]},
        "solver": {"choice": ["cholesky", "svd"]},
    }
    model = synthetic_model(air_time, estimator=RIDGE, search=search, tune={"candidates": 400})
    drawn = [each.parameters for each in settings(model)]
    assert len(drawn) == 400
    assert {each["solver"] for each in drawn} == {"cholesky", "svd"}
    assert {each["max_iter"] for each in drawn} == {10, 11, 12}
    assert stats.kstest([math.log10(each["alpha"]) for each in drawn], stats.uniform(-3, 6).cdf).pvalue > 0.01
    assert stats.kstest([each["tol"] for each in drawn], stats.uniform(1e-5, 1e-3 - 1e-5).cdf).pvalue > 0.01
    assert all(type(value) in (float, int, str) for each in drawn for value in each.values())  # as JSON knows them


def test_no_setting_is_tried_twice_and_a_search_that_is_exhausted_ends(air_time: ModelConfig) -> None:
    model = synthetic_model(
        air_time, estimator=RIDGE, search={"alpha": {"choice": [1, 2, 3]}, "max_iter": {"integers": [5, 6]}}, tune={"candidates": 50}
    )
    drawn = [tuple(sorted(each.parameters.items())) for each in settings(model)]
    assert len(drawn) == len(set(drawn)) == 6


def test_one_budget_is_shared_by_all_estimators_in_turn(flight_delay: ModelConfig) -> None:
    estimators = [
        {"estimator": LOGISTIC, "search": {"C": {"log_uniform": [0.01, 10]}}},
        {"estimator": "sklearn.dummy.DummyClassifier"},
        {"estimator": BOOSTING, "parameters": {"max_iter": 5}, "search": {"max_leaf_nodes": {"choice": [3, 7]}}},
    ]
    model = synthetic_model(flight_delay, estimators=estimators, tune={"candidates": 6})
    names = [each.estimator.rpartition(".")[2] for each in settings(model)]
    assert names == [
        "LogisticRegression",
        "DummyClassifier",
        "HistGradientBoostingClassifier",
        "LogisticRegression",
        "HistGradientBoostingClassifier",
        "LogisticRegression",
    ]
    outcome = choose(model, synthetic_rows())
    assert outcome.chosen.estimator == LOGISTIC  # lateness was made up linear
    assert outcome.tuning is not None
    assert outcome.tuning["metric"] == "auc"


class _SlowClock:
    """Ten seconds pass at each look."""

    def __init__(self) -> None:
        self.moment = 0.0

    def __call__(self) -> float:
        self.moment += 10
        return self.moment


def test_after_its_seconds_no_trial_begins_and_the_record_says_how_many_were_done(air_time: ModelConfig) -> None:
    model = synthetic_model(air_time, estimator=RIDGE, search=ALPHAS, tune={"candidates": 1000, "seconds": 100})
    outcome = choose(model, synthetic_rows(is_classified=False), now=_SlowClock())
    assert outcome.tuning is not None
    assert 2 <= outcome.tuning["done"] <= 10
    assert len(outcome.tuning["trials"]) == outcome.tuning["done"]
    assert (outcome.tuning["planned"], outcome.tuning["ended_by"]) == (1000, "seconds")
    best = outcome.tuning["trials"][outcome.tuning["best"] - 1]
    assert outcome.chosen.parameters == best["parameters"]


def test_seconds_alone_are_a_budget_and_the_first_trial_always_runs(air_time: ModelConfig) -> None:
    model = synthetic_model(air_time, estimator=RIDGE, search=ALPHAS, tune={"seconds": 1})
    outcome = choose(model, synthetic_rows(is_classified=False), now=_SlowClock())
    assert outcome.tuning is not None
    assert (outcome.tuning["planned"], outcome.tuning["done"]) == (None, 1)


def test_halving_keeps_a_third_on_three_times_the_days_and_the_last_are_tried_on_all(air_time: ModelConfig) -> None:
    model = synthetic_model(
        air_time, estimator=RIDGE, search=ALPHAS, tune={"method": "halving", "candidates": 9, "folds": 2}, window="60 days"
    )
    rows = synthetic_rows(days=42, rows_a_day=20, is_classified=False)
    outcome = choose(model, rows)
    assert outcome.tuning is not None
    trials = outcome.tuning["trials"]
    assert [(trial["days"]) for trial in trials] == [4] * 9 + [10] * 3 + [28]
    for number, size in ((0, 3), (9, 1)):
        rung = trials[number : number + (9 if number == 0 else 3)]
        went_on = trials[number + len(rung) : number + len(rung) + size]
        best = sorted(rung, key=lambda trial: trial["score"])[:size]
        assert [trial["parameters"] for trial in went_on] == [trial["parameters"] for trial in best]
    assert outcome.chosen.parameters == trials[-1]["parameters"]


def test_halving_fits_on_the_newest_of_the_days_before_the_judges(air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, ...]] = []

    def learn_and_note(model: ModelConfig, fit_rows: Any, chosen: Chosen) -> Any:
        seen.append(tuple(sorted(fit_rows["partition"].unique())))
        return learn(model, fit_rows, chosen)

    monkeypatch.setattr(tuning, "learn", learn_and_note)
    rows = synthetic_rows(days=42, rows_a_day=20, is_classified=False)
    choose(synthetic_model(air_time, estimator=RIDGE, search=ALPHAS, tune={"method": "halving", "candidates": 9, "folds": 2}), rows)
    (first, _), (second, _) = time_folds(rows, 2)
    assert seen[:2] == [tuple(first[-4:]), tuple(second[-4:])]
    assert seen[-2:] == [tuple(first), tuple(second)]


def test_halving_that_runs_out_of_time_chooses_among_those_on_the_most_days(air_time: ModelConfig) -> None:
    model = synthetic_model(
        air_time, estimator=RIDGE, search=ALPHAS, tune={"method": "halving", "candidates": 9, "folds": 2, "seconds": 420}
    )
    outcome = choose(model, synthetic_rows(days=42, rows_a_day=20, is_classified=False), now=_SlowClock())
    assert outcome.tuning is not None
    assert outcome.tuning["ended_by"] == "seconds"
    assert outcome.tuning["done"] in (10, 11)
    assert outcome.tuning["trials"][outcome.tuning["best"] - 1]["days"] == 10


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(air_time: ModelConfig, caplog: pytest.LogCaptureFixture) -> None:
    model = synthetic_model(air_time, estimator=RIDGE, search={"alpha": {"choice": [-1.0, 1.0]}}, tune={"candidates": 2})
    with caplog.at_level(logging.INFO):
        outcome = choose(model, synthetic_rows(is_classified=False))
    assert outcome.tuning is not None
    failed = [trial for trial in outcome.tuning["trials"] if trial["error"]]
    assert [trial["parameters"] for trial in failed] == [{"alpha": -1.0}]
    assert failed[0]["score"] is None
    assert "alpha" in failed[0]["error"]
    assert outcome.chosen.parameters == {"alpha": 1.0}
    assert "failed: " in caplog.text


def test_when_all_trials_fail_their_reasons_are_told(air_time: ModelConfig) -> None:
    model = synthetic_model(air_time, estimator=RIDGE, search={"alpha": {"choice": [-1.0, -2.0]}}, tune={"candidates": 2})
    with pytest.raises(ConfigError, match=r"air_time: all 2 trials of tuning failed: .*alpha.* Change what they name, train.search"):
        choose(model, synthetic_rows(is_classified=False))


def test_a_mistake_in_any_estimator_ends_the_search_before_it_begins(air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "learn", lambda *_: pytest.fail("something was fitted"))
    estimators = [{"estimator": RIDGE}, {"estimator": RIDGE, "search": {"alhpa": {"uniform": [0, 1]}}}]
    with pytest.raises(ConfigError, match="'alhpa'.*did you mean 'alpha'"):
        choose(synthetic_model(air_time, estimators=estimators, tune={"candidates": 2}), synthetic_rows(is_classified=False))


def test_too_few_days_for_the_folds_are_told(air_time: ModelConfig) -> None:
    model = synthetic_model(air_time, estimator=RIDGE, search=ALPHAS, tune={"candidates": 2, "folds": 5})
    with pytest.raises(DataError, match=r"5 days of rows cannot be cut into 5 folds \(train.tune.folds\)"):
        choose(model, synthetic_rows(days=5, is_classified=False))


def test_each_trial_is_one_line_in_the_log_with_how_far_it_is(air_time: ModelConfig, caplog: pytest.LogCaptureFixture) -> None:
    model = synthetic_model(air_time, estimator=RIDGE, search=ALPHAS, tune={"candidates": 3, "seconds": 1000})
    with caplog.at_level(logging.INFO):
        choose(model, synthetic_rows(is_classified=False), now=_SlowClock())
    lines = [line for line in caplog.messages if ": trial " in line]
    assert [line.split(" on ")[0] for line in lines] == [f"air_time: trial {n} of 3" for n in (1, 2, 3)]
    assert all("mae" in line and "best so far: trial" in line and "s left" in line for line in lines)


def test_a_metric_that_no_fold_defines_fails_the_trial(flight_delay: ModelConfig) -> None:
    rows = synthetic_rows()
    rows.loc[rows["partition"] > "2013-01-03", "target"] = 1.0
    model = synthetic_model(flight_delay, estimator=LOGISTIC, search={"C": {"choice": [1.0, 2.0]}}, tune={"candidates": 2})
    with pytest.raises(ConfigError, match="the rows of no fold define auc"):
        choose(model, rows)


def test_what_tuning_fits_is_scikit_learns_own_estimator(air_time: ModelConfig) -> None:
    rows = synthetic_rows(is_classified=False)
    pipeline = learn(synthetic_model(air_time, estimator=RIDGE), rows, Chosen(RIDGE, {"alpha": 3.0}))
    columns = pipeline.named_steps["columns"].transform(rows.assign(carrier=rows["carrier"].astype(object)))
    own = Ridge(alpha=3.0, random_state=0).fit(columns, rows["target"])
    assert np.array_equal(own.coef_, pipeline.named_steps["estimator"].coef_)


def test_a_fold_of_one_class_is_named_with_the_estimator_and_what_to_change(flight_delay: ModelConfig) -> None:
    rows = synthetic_rows(days=8)
    rows["target"] = rows["target"].where(rows["partition"] > "2013-01-02", 0.0)
    model = synthetic_model(flight_delay, estimator=LOGISTIC, search={"C": {"choice": [0.1, 1.0]}}, tune={"candidates": 2, "folds": 3})
    words = (
        r"all 2 trials of tuning failed: fold 1 of 3: flight_delay: LogisticRegression cannot learn from the 120 rows of 2013-01-01 to "
        r"2013-01-02: all have the target 0, .* Choose a longer train.window, or fewer train.tune.folds, or another target.positive"
    )
    with pytest.raises(ConfigError, match=words):
        choose(model, rows)
