"""Contributions: Shapley values of each prediction, against the typical row."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.evergreen import monitoring
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.metrics import SCORING_SPEED
from include.evergreen.foundation.grain import Partition
from include.evergreen.operations.verification import list_model_snapshots
from include.evergreen.registry import champions
from include.evergreen.scoring import explain
from include.evergreen.scoring import score as scoring
from include.evergreen.scoring.explain import contribution_columns, contributions, exact_contributions, sampled_contributions
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.state import storage
from include.evergreen.training.fit_job import typical_row
from include.evergreen.training.fitting import learn
from include.evergreen.training.pipeline import Chosen, predict
from tests.unit.flights import january

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes

DAY = january(20)
FORESTS = {
    "classification": Chosen("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 40}),
    "regression": Chosen("sklearn.ensemble.HistGradientBoostingRegressor", {"max_iter": 40}),
}


class Additive:
    """Predicts the sum of given effects, one for each feature: what Shapley values must be is known."""

    def __init__(self, *effects: Callable[[np.ndarray], np.ndarray]) -> None:
        self.effects = effects

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        return sum(effect(frame.iloc[:, number].to_numpy()) for number, effect in enumerate(self.effects))  # type: ignore[return-value]


def explained(model: ModelConfig) -> ModelConfig:
    return model.model_copy(update={"explain": True})


def frame_of(model: ModelConfig) -> pd.DataFrame:
    return storage.read_frame(list_model_snapshots(model.name)[-1].frame_path)


def with_features(model: ModelConfig, count: int) -> ModelConfig:
    """``model``, a regression, with ``count`` numbers for features."""
    [first, *_] = [each for each in model.features if each.kind == "numeric"]
    return model.model_copy(update={"features": tuple(first.model_copy(update={"name": f"x{number}"}) for number in range(count))})


def numbers(rows: int, columns: int) -> pd.DataFrame:
    random = np.random.default_rng(1)
    return pd.DataFrame({f"x{number}": random.normal(size=rows) for number in range(columns)})


@pytest.mark.parametrize("count", [1, 3, 9])
def test_of_an_additive_model_each_feature_contributes_its_own_effect(air_time: ModelConfig, count: int) -> None:
    model = with_features(air_time, count)
    effects = [lambda x, slope=slope: slope * np.sin(x) for slope in range(1, count + 1)]
    rows, typical = numbers(50, count), numbers(51, count).tail(1)
    found = contributions(model, Additive(*effects), rows, typical)  # type: ignore[arg-type]
    for number, effect in enumerate(effects):
        expected = effect(rows[f"x{number}"].to_numpy()) - effect(typical[f"x{number}"].to_numpy())
        np.testing.assert_allclose(found[f"contribution:x{number}"], expected, atol=1e-12)


@pytest.mark.parametrize("count", [3, 7])
def test_up_to_seven_features_all_orders_count(air_time: ModelConfig, count: int) -> None:
    """Against the definition: the mean effect over every order, in a model whose features interact."""

    class Product:
        def predict(self, frame: pd.DataFrame) -> np.ndarray:
            return np.prod(frame.to_numpy() + 2, axis=1)

    model, pipeline = with_features(air_time, count), Product()
    rows, typical = numbers(2, count), numbers(3, count).tail(1)
    shares = np.zeros((2, count))
    orders = list(permutations(range(count)))
    for order in orders:
        mixed = pd.concat([typical] * 2, ignore_index=True)
        before = pipeline.predict(mixed)
        for number in order:
            mixed[f"x{number}"] = rows[f"x{number}"].to_numpy()
            after = pipeline.predict(mixed)
            shares[:, number] += (after - before) / len(orders)
            before = after
    found = contributions(model, pipeline, rows, typical)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.to_numpy(), shares, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["flight_delay", "air_time"])
def test_they_add_up_to_the_prediction_less_that_of_the_typical_row(trained: Path, catalog: Catalog, name: str) -> None:
    model = catalog.model(name)
    frame = frame_of(model)
    pipeline, typical = learn(model, frame, FORESTS[model.task]), typical_row(model, frame)
    rows = frame.tail(300)
    base = predict(pipeline, model, typical)[0]
    for found in (contributions(model, pipeline, rows, typical), sampled_contributions(model, pipeline, rows, typical)):
        np.testing.assert_allclose(found.sum(axis=1) + base, predict(pipeline, model, rows), rtol=0, atol=1e-9)
        assert list(found.columns) == contribution_columns(model)
        assert found.index.equals(rows.index)


def test_sampled_ones_are_near_the_exact_ones(trained: Path, flight_delay: ModelConfig) -> None:
    """Trees on the shipped features, ten of them: measured .07 of the mean contribution, and the same greatest one in 95 of 100 rows."""
    frame = frame_of(flight_delay)
    pipeline, typical = learn(flight_delay, frame, FORESTS["classification"]), typical_row(flight_delay, frame)
    rows = frame.tail(100)
    exact = exact_contributions(flight_delay, pipeline, rows, typical).to_numpy()
    sampled = sampled_contributions(flight_delay, pipeline, rows, typical).to_numpy()
    assert np.abs(sampled - exact).mean() < 0.12 * np.abs(exact).mean()
    assert (np.abs(sampled).argmax(axis=1) == np.abs(exact).argmax(axis=1)).mean() > 0.85


def test_a_row_is_explained_alike_whatever_it_is_scored_with(trained: Path, flight_delay: ModelConfig) -> None:
    frame = frame_of(flight_delay)
    pipeline, typical = learn(flight_delay, frame, FORESTS["classification"]), typical_row(flight_delay, frame)
    whole = contributions(flight_delay, pipeline, frame.tail(50), typical)
    alone = contributions(flight_delay, pipeline, frame.tail(50).iloc[[7]], typical)
    np.testing.assert_array_equal(whole.iloc[[7]].to_numpy(), alone.to_numpy())


def test_a_day_without_rows_has_none(trained: Path, flight_delay: ModelConfig) -> None:
    frame = frame_of(flight_delay)
    pipeline = learn(flight_delay, frame)
    found = contributions(flight_delay, pipeline, frame.head(0), typical_row(flight_delay, frame))
    assert (len(found), list(found.columns)) == (0, contribution_columns(flight_delay))


def test_a_large_day_is_computed_in_pieces_with_the_same_result(
    trained: Path, flight_delay: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = frame_of(flight_delay)
    pipeline, typical = learn(flight_delay, frame), typical_row(flight_delay, frame)
    whole = contributions(flight_delay, pipeline, frame.tail(40), typical)
    monkeypatch.setattr(explain, "ROWS_AT_ONCE", 50)
    pd.testing.assert_frame_equal(contributions(flight_delay, pipeline, frame.tail(40), typical), whole)


def test_with_explain_they_are_stored_beside_the_predictions_and_change_none(
    trained: Path, catalog: Catalog, air_time: ModelConfig
) -> None:
    scoring.score(catalog, air_time, DAY, "live")
    plain = _scored(air_time)
    assert not [name for name in plain if name.startswith("contribution:")]
    assert scoring.score(catalog, explained(air_time), DAY, "live").status == "done"  # the same input, but not the same output
    stored = _scored(air_time)
    pd.testing.assert_frame_equal(stored[list(plain.columns)], plain)
    parts = stored[contribution_columns(air_time)]
    assert (stored["prediction"] - parts.sum(axis=1)).std() < 1e-9  # what is left is what the typical row gets
    assert scoring.score(catalog, explained(air_time), DAY, "live").status == "unchanged"


def test_monitoring_is_blind_to_them(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    scoring.score(catalog, air_time, DAY, "live")
    monitoring.monitor(catalog, air_time, DAY, "live")
    before = _observed(air_time.name, DAY)
    scoring.score(catalog, explained(air_time), DAY, "live")
    monitoring.monitor(catalog, explained(air_time), DAY, "live")
    assert _observed(air_time.name, DAY) == before
    path = monitoring.ensure_report(catalog, explained(air_time), DAY)
    assert "contribution" not in monitoring.read_report(path).decode()


def test_scoring_does_not_wait_for_a_lost_reference(
    trained: Path, catalog: Catalog, air_time: ModelConfig, caplog: pytest.LogCaptureFixture
) -> None:
    serving = champions.champion("air_time")
    assert serving is not None
    storage.remove(serving.reference_path)
    assert scoring.score(catalog, explained(air_time), DAY, "live").status == "done"
    assert "air_time: its predictions are stored without contributions" in caplog.text


def _scored(model: ModelConfig) -> pd.DataFrame:
    found = find_predictions(model.name, DAY)
    assert found is not None
    return found.frame()


def _observed(model: str, day: Partition) -> dict[str, float]:
    from include.evergreen.monitoring.observations import list_observations

    return {each.metric: each.value for each in list_observations(model, first=day, last=day) if each.metric != SCORING_SPEED}
