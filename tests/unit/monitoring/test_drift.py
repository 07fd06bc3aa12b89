from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.config.models import Feature
from include.evergreen.features.columns import PREDICTION, feature_column
from include.evergreen.monitoring.drawing import compare, draw
from include.evergreen.monitoring.drift import measure_drift
from tests.unit.flights import run_python

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

ROWS = 2000


@pytest.fixture
def model(air_time: ModelConfig) -> ModelConfig:
    """Two features of each kind."""
    kinds = {"origin": "categorical", "carrier": "categorical", "distance": "numeric", "wind": "numeric"}
    features = [Feature.model_validate({"name": name, "kind": kind, "description": ""}) for name, kind in kinds.items()]
    return air_time.model_copy(update={"features": tuple(features)})


def test_rows_like_the_references_have_not_drifted(model: ModelConfig) -> None:
    found = measure_drift(model, _frame(seed=1), _frame(seed=2))
    assert set(found.scores) == {"origin", "carrier", "distance", "wind"}
    assert found.prediction is not None and max(found.prediction, *found.scores.values()) < 0.1
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
    assert found.prediction is not None and found.prediction > 2
    assert found.share == 0.0


@pytest.mark.parametrize("where", ["reference", "current"])
def test_a_feature_without_any_value_has_no_score(model: ModelConfig, where: str) -> None:
    frames = {"reference": _frame(seed=1), "current": _frame(seed=2)}
    frames[where]["wind"] = np.nan
    found = measure_drift(model, frames["reference"], frames["current"])
    assert "wind" not in found.scores
    assert len(found.scores) == 3


def test_a_window_without_rows_has_no_scores_and_a_page_all_the_same(model: ModelConfig) -> None:
    found = measure_drift(model, _frame(seed=1), _frame(seed=1).head(0))
    assert (found.prediction, found.scores, found.share) == (None, {}, 0.0)
    assert "<html" in draw(model, _frame(seed=1), _frame(seed=1).head(0), "no rows")


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_the_page_shows_the_scores_that_were_measured(model: ModelConfig, seed: int) -> None:
    """Bit for bit of numbers; of a category Evidently itself adds up in another order in each process."""
    reference, current = _frame(seed=1), _drifted(seed)
    found = measure_drift(model, reference, current)
    assert found.prediction is not None
    measured = {PREDICTION: found.prediction, **found.scores}
    shown = {each["config"]["column"]: float(each["value"]) for each in compare(model, reference, current).dict()["metrics"]}
    assert list(measured) == list(shown)
    for name, score in measured.items():
        assert score == (pytest.approx(shown[name], rel=1e-14) if name in {"origin", "carrier"} else shown[name]), name
        assert score > 0.01, "the frames must differ"


def test_a_feature_called_prediction_is_compared_beside_the_prediction(model: ModelConfig) -> None:
    features = tuple(feature.model_copy(update={"name": "prediction"}) if feature.name == "wind" else feature for feature in model.features)
    renamed = model.model_copy(update={"features": features})
    frames = _frame(seed=1), _drifted(2)
    plain = measure_drift(model, *frames)
    reference, current = (frame.rename(columns={"wind": feature_column("prediction")}) for frame in frames)
    found = measure_drift(renamed, reference, current)
    assert found.prediction == plain.prediction
    assert {"wind" if name == "prediction" else name: score for name, score in found.scores.items()} == plain.scores
    shown = {each["config"]["column"]: float(each["value"]) for each in compare(renamed, reference, current).dict()["metrics"]}
    assert (shown["prediction"], shown["feature:prediction"]) == (found.prediction, found.scores["prediction"])


def test_a_categorys_score_is_the_same_to_the_last_bit_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of texts have another order in each, and sums of floats another last bit in another order."""
    script = (
        "import numpy as np, pandas as pd\n"
        "from include.evergreen.config import Catalog\n"
        "from include.evergreen.config.models import Feature\n"
        "from include.evergreen.monitoring.drift import measure_drift\n"
        "names = [f'f{number}' for number in range(20)]\n"
        "features = tuple(Feature(name=name, kind='categorical', description='') for name in names)\n"
        "model = Catalog().model('air_time').model_copy(update={'features': features})\n"
        "random = np.random.default_rng(1)\n"
        "def frame(rows):\n"
        "    texts = [f'category {number}' for number in range(40)]\n"
        "    columns = {name: random.choice(texts, rows, p=random.dirichlet(np.ones(40))) for name in names}\n"
        "    return pd.DataFrame({**columns, 'prediction': np.ones(rows)})\n"
        "print([score.hex() for score in measure_drift(model, frame(900), frame(700)).scores.values()])\n"
    )
    told = set()
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        told.add(run_python(script))
    assert len(told) == 1


def test_the_page_says_whose_it_is_and_escapes_it(model: ModelConfig) -> None:
    page = draw(model, _frame(seed=1), _frame(seed=2), "air_time <b> & co")
    assert "<title>air_time &lt;b&gt; &amp; co</title>" in page
    assert "distance" in page


def test_measuring_imports_no_evidently() -> None:
    """It takes seconds, in every process that monitors."""
    script = (
        "import sys\n"
        "import pandas as pd\n"
        "from include.evergreen import monitoring\n"
        "from include.evergreen.config import Catalog\n"
        "from include.evergreen.monitoring.drift import measure_drift\n"
        "model = Catalog().model('air_time')\n"
        "frame = pd.DataFrame({name: [1.0, 2.0] for name in ['prediction', *(each.name for each in model.features)]})\n"
        "assert measure_drift(model, frame, frame).scores\n"
        "assert 'evidently' not in sys.modules\n"
    )
    run_python(script)


def _drifted(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = _frame(seed)
    frame["origin"] = pd.array(random.choice(["EWR", "JFK", "BOS", "PHL"], ROWS, p=[0.1, 0.2, 0.3, 0.4]), dtype="string")
    frame["carrier"] = pd.array(random.choice(["UA", "AA", "B6", None], ROWS, p=[0.05, 0.15, 0.5, 0.3]), dtype="string")
    frame["distance"] = frame["distance"] * 1.1
    frame.loc[:9, "wind"] = [np.nan, np.inf, -np.inf, 40, 50, np.nan, np.inf, 60, 70, 80]
    return frame.assign(wind=frame["wind"] + 1, prediction=frame["prediction"] + 10)


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
