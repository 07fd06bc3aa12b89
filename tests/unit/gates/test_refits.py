from __future__ import annotations

import dataclasses
import re
from types import SimpleNamespace
from typing import Any

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import SizeCriterion, SpeedCriterion, StabilityCriterion
from include.evergreen.foundation.errors import DataError
from include.evergreen.gates import criteria
from include.evergreen.gates.criteria import judge_size, judge_speed, judge_stability
from include.evergreen.gates.evidence import gather
from include.evergreen.training.candidate import Candidate
from include.evergreen.training.pipeline import Chosen

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

STABLE = StabilityCriterion(kind="stability", metric="mae", max_spread=1e-9)
FOREST = {"estimator": "sklearn.ensemble.RandomForestRegressor", "parameters": {"n_estimators": 3, "max_depth": 4}}


def test_a_deterministic_estimator_is_said_to_be_one(candidate: Candidate, air_time: ModelConfig) -> None:
    result = judge_stability(STABLE, gather(Catalog(), air_time, candidate, None))
    assert (result.verdict, result.value) == ("passed", 0.0)
    assert "the estimator is deterministic" in result.message


@pytest.mark.parametrize("given", [{}, {"random_state": 0}])
def test_an_estimator_that_hangs_on_its_seed_varies_even_where_its_own_is_fixed(
    candidate: Candidate, air_time: ModelConfig, given: dict[str, Any]
) -> None:
    facts = {**FOREST, "parameters": {**FOREST["parameters"], **given}}  # type: ignore[dict-item]
    evidence = gather(Catalog(), air_time, candidate, None)
    evidence.judged = dataclasses.replace(candidate, facts=facts)
    result = judge_stability(STABLE, evidence)
    assert result.verdict == "failed"
    assert len(set(result.details["seeds"].values())) == STABLE.seeds


@pytest.mark.parametrize(
    ("parameters", "own"),
    [
        ({}, 6),
        ({"random_state": 8}, 8),
        ({"random_state": 7, "base": {"estimator": "a.Tree", "parameters": {"random_state": 9, "depth": 2}}}, 7),
        ({"steps": [["tree", {"estimator": "a.Tree", "parameters": {"random_state": 7}}]]}, 6),
    ],
)
def test_each_fit_has_a_seed_of_its_own_at_any_depth_and_the_first_that_of_the_candidate(
    parameters: dict[str, Any], own: int, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[tuple[int, Chosen]] = []

    def fit(model: ModelConfig, _rows: object, _holdout: object, chosen: Chosen, _measures: object) -> SimpleNamespace:
        fitted.append((model.train.seed, chosen))
        return SimpleNamespace(metrics={"mae": 3.0 + len(fitted)})

    monkeypatch.setattr(criteria, "fit_chosen", fit)
    model = air_time.model_copy(update={"train": air_time.train.model_copy(update={"seed": 6})})
    judged = SimpleNamespace(facts={"estimator": "a.Forest", "parameters": parameters})
    evidence: Any = SimpleNamespace(
        model=model, judged=judged, candidate=SimpleNamespace(value={"mae": 3.0}.get, measures=None), fit_rows=None, holdout=None
    )  # fmt: skip
    result = judge_stability(STABLE.model_copy(update={"seeds": 4}), evidence)
    seeds = [int(seed) for seed in result.details["seeds"]]
    assert seeds[0] == own
    assert result.details["seeds"][str(own)] == 3.0, "it was fitted by this seed, and is not fitted again"
    assert [seed for seed, _ in fitted] == seeds[1:]
    used = {6, own, *re.findall(r"'random_state': (\d+)", str(parameters))}
    assert len(seeds) == len(set(seeds)) == 4
    assert not {str(seed) for seed in seeds[1:]} & {str(seed) for seed in used}
    assert not any("random_state" in str(chosen) for _, chosen in fitted), "else its seed would change nothing there"


def test_speed_and_size_are_measured_and_held_to_their_bounds(candidate: Candidate, air_time: ModelConfig) -> None:
    evidence = gather(Catalog(), air_time, candidate, None)
    quick, slow = (judge_speed(SpeedCriterion(kind="speed", at_most=most), evidence) for most in (1e6, 1e-6))
    assert (quick.verdict, slow.verdict) == ("passed", "failed")
    small, large = (judge_size(SizeCriterion(kind="size", at_most=most), evidence) for most in (100, 1e-6))
    assert (small.verdict, large.verdict) == ("passed", "failed")
    assert small.value is not None
    assert 0.001 < small.value < 1


def test_predictions_that_are_no_numbers_are_not_judged(candidate: Candidate, air_time: ModelConfig) -> None:
    evidence = gather(Catalog(), air_time, candidate, None)
    evidence.pipeline.named_steps["estimator"].coef_[:] = float("nan")
    with pytest.raises(DataError, match="predictions of the candidate .* are no numbers"):
        evidence.predict(evidence.features)
