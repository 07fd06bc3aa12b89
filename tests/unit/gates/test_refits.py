from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import SizeCriterion, SpeedCriterion, StabilityCriterion
from include.evergreen.foundation.errors import DataError
from include.evergreen.gates.criteria import judge_size, judge_speed, judge_stability
from include.evergreen.gates.evidence import gather
from include.evergreen.training.candidate import Candidate

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
