from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.config.models import Feature
from include.evergreen.features.columns import feature_column
from include.evergreen.monitoring.drift import as_detail, compared_kinds, drift_figures, in_words, judge_drift, reference_profile
from include.evergreen.monitoring.profiles import profile_partition
from include.evergreen.monitoring.verdicts import Verdict
from tests.unit.flights import run_python

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

ROWS = 2000
KINDS = {"origin": "categorical", "carrier": "categorical", "distance": "numeric", "wind": "numeric"}


@pytest.fixture
def model(air_time: ModelConfig) -> ModelConfig:
    """Two features of each kind."""
    features = [Feature.model_validate({"name": name, "kind": kind, "description": ""}) for name, kind in KINDS.items()]
    monitor = air_time.monitor.model_copy(update={"numeric_threshold": 0.1, "categorical_threshold": 0.05})
    return air_time.model_copy(update={"features": tuple(features), "monitor": monitor})


def test_rows_like_the_references_have_not_drifted(model: ModelConfig) -> None:
    verdict = _judge(model, frame(seed=2))
    found = dict(drift_figures(model, verdict))
    assert set(found) == {"drift.share", "drift.multivariate", "prediction_drift.score", *(f"drift.{name}" for name in KINDS)}
    assert found["drift.share"] == 0.0
    assert found.pop("drift.multivariate") == 0.5
    assert max(found.values()) < 0.1
    assert in_words(verdict) == "no column drifted"


def test_a_numbers_figure_is_how_far_it_moved_in_standard_deviations(model: ModelConfig) -> None:
    found = dict(drift_figures(model, _judge(model, frame(seed=2).assign(wind=lambda rows: rows["wind"] + 12))))
    assert found["drift.wind"] == pytest.approx(3, rel=0.1)
    assert found["drift.share"] == 0.25


def test_the_share_is_of_features_and_leaves_the_prediction_out(model: ModelConfig) -> None:
    found = dict(drift_figures(model, _judge(model, frame(seed=2).assign(prediction=1e6))))
    assert found["prediction_drift.score"] > 2
    assert found["drift.share"] == 0.0


@pytest.mark.parametrize("rows", [0, 1, 29])
def test_a_window_of_too_few_rows_has_no_figure_and_says_why(model: ModelConfig, rows: int) -> None:
    """A share of 0 would count as calm."""
    verdict = _judge(model, frame(seed=2).head(rows))
    assert drift_figures(model, verdict) == []
    assert in_words(verdict) == f"nothing is said on drift: not enough rows ({rows})"


@pytest.mark.parametrize("name", KINDS)
def test_a_feature_that_lost_its_values_has_drifted(model: ModelConfig, name: str) -> None:
    verdict = _judge(model, frame(seed=2).assign(**{name: None}))
    found = dict(drift_figures(model, verdict))
    assert found["drift.share"] == 0.25
    assert found[f"drift.{name}"] > 0.5
    assert in_words(verdict).startswith(f"drifted: {name} ")


def test_nothing_is_recorded_of_a_feature_that_never_had_a_value(model: ModelConfig) -> None:
    empty = {"wind": np.nan}
    verdict = _judge(model, frame(seed=2).assign(**empty), reference=frame(seed=1).assign(**empty))
    assert "drift.wind" not in dict(drift_figures(model, verdict))
    assert as_detail(verdict)["drift"]["wind"] == {"state": "no values"}


def test_personal_features_are_not_compared(model: ModelConfig) -> None:
    features = tuple(each.model_copy(update={"personal": each.name == "carrier"}) for each in model.features)
    verdict = _judge(model.model_copy(update={"features": features}), frame(seed=2))
    assert list(verdict.columns) == ["prediction", "origin", "distance", "wind"]


def test_words_name_the_worst_first_with_effect_and_p_value(model: ModelConfig) -> None:
    verdict = _judge(model, frame(seed=2).assign(wind=lambda rows: rows["wind"] + 2, origin="BOS"))
    words = in_words(verdict)
    assert words.startswith("drifted: origin 0.833 (p ")
    assert ", wind 0.5" in words
    assert as_detail(verdict)["drift"]["wind"] == {
        "state": "drifted", "effect": verdict.columns["wind"].effect, "p_value": verdict.columns["wind"].p_value, "aspect": "values",
    }  # fmt: skip


def test_a_feature_called_prediction_is_compared_beside_the_prediction(model: ModelConfig) -> None:
    features = tuple(feature.model_copy(update={"name": "prediction"}) if feature.name == "wind" else feature for feature in model.features)
    renamed = model.model_copy(update={"features": features})
    moved = frame(seed=2).assign(wind=lambda rows: rows["wind"] + 4)
    plain = dict(drift_figures(model, _judge(model, moved)))
    column = {"wind": feature_column("prediction")}
    found = dict(drift_figures(renamed, _judge(renamed, moved.rename(columns=column), reference=frame(seed=1).rename(columns=column))))
    assert {name.replace("drift.prediction", "drift.wind"): value for name, value in found.items()} == plain


def test_a_verdict_is_the_same_to_the_last_bit_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of texts have another order in each, and sums of floats another last bit in another order."""
    script = (
        "from include.evergreen.config import Catalog\n"
        "from tests.unit.monitoring.test_drift import *\n"
        "features = tuple(Feature(name=name, kind=kind, description='') for name, kind in KINDS.items())\n"
        "model = Catalog().model('air_time').model_copy(update={'features': features})\n"
        "print([value.hex() for _, value in drift_figures(model, _judge(model, frame(2)))])\n"
    )
    told = set()
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        told.add(run_python("from tests.unit.monitoring.test_drift import _judge\n" + script))
    assert len(told) == 1


def test_judging_imports_no_evidently_and_importing_monitoring_no_scipy() -> None:
    """Evidently takes seconds, in every process that monitors."""
    script = (
        "import sys\n"
        "from include.evergreen import monitoring\n"
        "assert not {'pandas', 'pyarrow', 'scipy'} & set(sys.modules)\n"
        "import pyarrow as pa\n"
        "from include.evergreen.config import Catalog\n"
        "from include.evergreen.monitoring.drift import compared_kinds, judge_drift, reference_profile\n"
        "from include.evergreen.monitoring.profiles import profile_partition\n"
        "model = Catalog().model('air_time')\n"
        "table = pa.table({name: [1.0, 2.0] * 40 for name in ['prediction', *(each.name for each in model.features)]})\n"
        "reference = reference_profile(table, compared_kinds(model))\n"
        "assert judge_drift(model, reference, profile_partition(reference, '2013-01-01', table)).columns\n"
        "assert 'evidently' not in sys.modules\n"
    )
    run_python(script)


def _judge(model: ModelConfig, current: pd.DataFrame, reference: pd.DataFrame | None = None) -> Verdict:
    before = frame(seed=1) if reference is None else reference
    days = [str(number % 20) for number in range(len(before))]
    reference = reference_profile(pa.Table.from_pandas(before.assign(partition=days)), compared_kinds(model))
    return judge_drift(model, reference, profile_partition(reference, "2013-02-01", pa.Table.from_pandas(current)))


def frame(seed: int) -> pd.DataFrame:
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
