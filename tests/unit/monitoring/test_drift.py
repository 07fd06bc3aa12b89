from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.config.models import Feature
from include.evergreen.monitoring.drift import PREDICTION, DriftResult, measure_drift

ROWS = 2000


@pytest.fixture
def model(air_time: ModelConfig) -> ModelConfig:
    """Two features of each kind."""
    kinds = {"origin": "categorical", "carrier": "categorical", "distance": "numeric", "wind": "numeric"}
    features = [Feature.model_validate({"name": name, "kind": kind, "description": ""}) for name, kind in kinds.items()]
    return air_time.model_copy(update={"features": tuple(features)})


def test_rows_like_the_references_have_not_drifted(model: ModelConfig) -> None:
    found = measure_drift(model, _frame(seed=1), _frame(seed=2))
    assert set(found.scores) == {"origin", "carrier", "distance", "wind", PREDICTION}
    assert max(found.scores.values()) < 0.1
    assert found.share == 0.0


def test_a_numbers_score_is_how_far_it_moved_in_standard_deviations(model: ModelConfig) -> None:
    moved = _frame(seed=1).assign(wind=lambda frame: frame["wind"] + 3 * frame["wind"].std())
    found = measure_drift(model, _frame(seed=1), moved)
    assert found.scores["wind"] == pytest.approx(3, rel=0.01)
    assert found.share == 0.25


def test_a_number_that_is_one_value_all_day_long_is_far_only_when_its_value_is(model: ModelConfig) -> None:
    reference = _frame(seed=1)
    near = measure_drift(model, reference, reference.assign(wind=reference["wind"].mean()))
    far = measure_drift(model, reference, reference.assign(wind=reference["wind"].max() + 20))
    assert near.scores["wind"] < 2 < far.scores["wind"]


def test_a_categorys_score_tells_the_same_from_another(model: ModelConfig) -> None:
    elsewhere = measure_drift(model, _frame(seed=1), _frame(seed=1).assign(origin="BOS"))
    assert elsewhere.scores["origin"] > 0.5
    assert elsewhere.scores["carrier"] == pytest.approx(0, abs=1e-6)


def test_the_share_is_of_features_and_leaves_the_prediction_out(model: ModelConfig) -> None:
    found = measure_drift(model, _frame(seed=1), _frame(seed=1).assign(prediction=1e6))
    assert found.scores[PREDICTION] > 2
    assert found.share == 0.0


@pytest.mark.parametrize("where", ["reference", "current"])
def test_a_feature_without_any_value_has_no_score(model: ModelConfig, where: str) -> None:
    frames = {"reference": _frame(seed=1), "current": _frame(seed=2)}
    frames[where]["wind"] = np.nan
    found = measure_drift(model, frames["reference"], frames["current"])
    assert "wind" not in found.scores
    assert len(found.scores) == 4


def test_a_window_without_rows_has_no_scores_and_a_report_all_the_same(model: ModelConfig) -> None:
    found = measure_drift(model, _frame(seed=1), _frame(seed=1).head(0))
    assert (found.scores, found.share) == ({}, 0.0)
    assert _is_html(found)


def test_the_report_is_a_page_of_its_own(model: ModelConfig) -> None:
    found = measure_drift(model, _frame(seed=1), _frame(seed=2))
    assert _is_html(found)
    assert "distance" in found.html


def _is_html(found: DriftResult) -> bool:
    return "<html" in found.html.lower()


def _frame(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "origin": pd.array(random.choice(["EWR", "JFK", "LGA"], ROWS), dtype="string"),
            "carrier": pd.array(random.choice(["UA", "AA", None], ROWS), dtype="string"),
            "distance": random.uniform(100, 3000, ROWS),
            "wind": random.normal(10, 4, ROWS),
            "prediction": random.normal(150, 50, ROWS),
        }
    )
