"""A partition is scored a batch of rows at a time: what is kept is the same, however many rows a batch has."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features import feature_frame, partition_cache
from include.evergreen.features.build import feature_batches, labelled_frame
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.settings import Settings
from include.evergreen.gates.decision import all_decisions
from include.evergreen.registry import champions
from include.evergreen.scoring import score as scoring
from include.evergreen.scoring.predictions import PredictionSet, find_predictions
from include.evergreen.state.alerts import open_alerts
from tests.unit.flights import january, registered_as_of, republish, with_other_features

DAY = january(20)
FEW = 97  # rows of a batch: some 700 flights are eight of them


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_cache, "BATCH_ROWS", FEW)


def _score(catalog: Catalog, model: ModelConfig) -> PredictionSet:
    scoring.score(catalog, model, DAY, "live")
    scored = find_predictions(model.name, DAY)
    assert scored is not None
    return scored


def _forget(model: ModelConfig) -> None:
    """Its predictions' file, so that the same is scored once more."""
    scored = find_predictions(model.name, DAY)
    assert scored is not None
    (Settings.from_environment().home / "storage" / scored.path).unlink()


@pytest.mark.parametrize("name", ["air_time", "flight_delay"])
def test_what_is_predicted_in_batches_is_what_is_predicted_at_once(
    trained: Path, catalog: Catalog, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = catalog.model(name)
    at_once = _score(catalog, model)
    frame = at_once.frame()
    assert len(frame) > 3 * FEW
    _forget(model)
    monkeypatch.setattr(partition_cache, "BATCH_ROWS", FEW)
    assert _score(catalog, model) == at_once
    pd.testing.assert_frame_equal(at_once.frame(), frame)


@pytest.mark.usefixtures("trained", "few")
def test_each_batch_has_the_next_rows_and_their_place_in_the_whole(catalog: Catalog, air_time: ModelConfig) -> None:
    batches = list(feature_batches(catalog, air_time, DAY, PartitionCache(DAY, model=air_time, is_scored=True)))
    assert {len(rows) for rows, _ in batches[:-1]} == {FEW} and len(batches) > 3
    rows, features = feature_frame(catalog, air_time, DAY, PartitionCache(DAY, model=air_time, is_scored=True))
    assert rows.index.equals(pd.RangeIndex(len(rows))) and features.index.equals(rows.index)


@pytest.mark.usefixtures("trained")
def test_a_training_frame_is_the_same_too(catalog: Catalog, flight_delay: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = labelled_frame(catalog, flight_delay, january(12), PartitionCache(DAY, model=flight_delay))
    monkeypatch.setattr(partition_cache, "BATCH_ROWS", FEW)
    in_batches = labelled_frame(catalog, flight_delay, january(12), PartitionCache(DAY, model=flight_delay))
    assert at_once is not None and in_batches is not None
    pd.testing.assert_frame_equal(in_batches, at_once)


@pytest.mark.parametrize("known", [1, 0])
@pytest.mark.usefixtures("trained", "few")
def test_rows_that_were_known_too_late_are_left_out_of_every_batch(
    catalog: Catalog, air_time: ModelConfig, known: int, caplog: pytest.LogCaptureFixture
) -> None:
    moment = air_time.moment(DAY)

    def with_times(rows: pd.DataFrame) -> pd.DataFrame:
        hours = np.where((np.arange(len(rows)) % 3 == 0) & bool(known), -1, 1)
        return rows.assign(sched_known=[moment + dt.timedelta(hours=int(hour)) for hour in hours])

    version = republish("schedules", DAY, with_times, knowledge_column="sched_known")
    batches = list(feature_batches(catalog, air_time, DAY, PartitionCache(DAY, model=air_time, is_scored=True)))
    in_time = -(-version.rows // 3) * known
    assert sum(len(rows) for rows, _ in batches) == in_time
    assert [len(rows) for rows, _ in batches].count(0) == (0 if known else 1)
    assert f"{version.rows - in_time} of {version.rows} rows of schedules {DAY} are left out" in caplog.text
    assert pd.concat([rows for rows, _ in batches]).index.equals(pd.RangeIndex(in_time))


@pytest.mark.usefixtures("trained")
def test_a_challenger_scores_each_batch_with_its_own_features(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = with_other_features(catalog, tmp_path / "include")
    registered_as_of(changed.model("air_time"), january(19), changed)
    monkeypatch.setattr(partition_cache, "BATCH_ROWS", FEW)
    frame = _score(changed, changed.model("air_time")).frame()
    assert (frame["challenger_prediction"] - frame["prediction"]).abs().between(1e-9, 60).all()


@pytest.mark.usefixtures("trained", "few")
def test_a_challenger_that_fails_half_way_leaves_the_champion_s_predictions_whole(
    catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = _score(catalog, air_time).frame()
    challenger = champions.register("air_time", all_decisions("air_time")[0].run_key)
    calls, predict = [], scoring.predict

    def failing(pipeline: object, config: ModelConfig, features: pd.DataFrame) -> np.ndarray:
        calls.append(len(features))
        if len(calls) == 4:  # the champion, the challenger; the champion, and then
            raise ValueError("no more")
        return predict(pipeline, config, features)

    monkeypatch.setattr(scoring, "predict", failing)
    scored = _score(catalog, air_time)
    assert scored.challenger_version == 0
    pd.testing.assert_frame_equal(scored.frame(), alone)
    assert [alert.evidence for alert in open_alerts() if alert.key == "challenger/air_time"] == [{"version": challenger.version}]
