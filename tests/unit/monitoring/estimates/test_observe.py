"""Monitoring a scored day also says how well it was scored before any label has come, and compares once they have."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data import ingestion
from include.evergreen.features.columns import feature_column
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.monitoring import list_observations, monitor
from include.evergreen.monitoring import window as window_module
from include.evergreen.monitoring.estimates import rows as rows_module
from include.evergreen.monitoring.estimates.choice import ENOUGH_WINDOWS, ESTIMATORS
from include.evergreen.monitoring.estimates.records import RecordedEstimate, past_windows, record_estimates
from include.evergreen.monitoring.observations import Observation, record_observations
from include.evergreen.monitoring.performance import recent_performance
from include.evergreen.registry import champions
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state import storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import estimates, observations
from include.evergreen.state.stage_status import Outcome, find_stage
from include.evergreen.training.candidate import holdout_path
from tests.unit.flights import january, republish, rows_of

pytestmark = pytest.mark.usefixtures("trained")
DAY = january(20)
UNLABELLED = january(22)
Frames = Callable[[pd.DataFrame], pd.DataFrame]


def test_a_day_without_labels_is_estimated_with_an_interval_that_its_labels_then_confirm(
    catalog: Catalog, flight_delay: ModelConfig
) -> None:
    ingestion.ingest(catalog.dataset("schedules"), UNLABELLED, "live")
    outcome = _monitored(catalog, flight_delay, UNLABELLED)
    assert "; estimated auc " in outcome.message
    before = _figures("flight_delay", UNLABELLED)
    assert not [name for name in before if name.startswith(("performance", "concept_drift"))]
    told = [each for each in list_observations("flight_delay", first=UNLABELLED) if each.metric.startswith("estimated.")]
    assert told
    assert all(each.low is not None and each.high is not None and each.low <= each.value <= each.high for each in told)
    ingestion.ingest(catalog.dataset("outcomes"), UNLABELLED, "live")
    monitor(catalog, flight_delay, UNLABELLED, "live")
    after = _figures("flight_delay", UNLABELLED)
    assert {name: after[name] for name in before} == before, "labels change nothing that was told without them"
    for each in told:
        if (realised := each.metric.replace("estimated", "performance")) in after:
            assert each.low <= after[realised] <= each.high
    assert after["concept_drift.score"] < 1
    assert "concept drift" not in _message("flight_delay", UNLABELLED)


def test_labels_that_come_about_otherwise_are_suspected_of_concept_drift(catalog: Catalog, flight_delay: ModelConfig) -> None:
    """All flights of the day are late, and no feature says so."""
    model = flight_delay.model_copy(update={"gate": flight_delay.gate.model_copy(update={"resample": "rows"})})
    assert _monitored(catalog, model).status == "done"
    before = _figures("flight_delay")
    republish("outcomes", DAY, lambda rows: rows.assign(arr_delay=rows["arr_delay"].mask(rows["arr_delay"].notna(), 60)))
    monitor(catalog, model, DAY, "live")
    after = _figures("flight_delay")
    assert after["concept_drift.score"] > max(1.0, before["concept_drift.score"])
    assert "concept drift suspected: " in _message("flight_delay")
    assert {name: value for name, value in after.items() if name.startswith("estimated")} == {
        name: value for name, value in before.items() if name.startswith("estimated")
    }
    [newest, *_] = recent_performance("flight_delay", 1)
    assert newest.is_concept_drift_suspected


def test_every_estimator_is_recorded_and_one_of_them_observed(catalog: Catalog, air_time: ModelConfig) -> None:
    _monitored(catalog, air_time)
    told = {(row.estimator, row.is_observed) for row in rows_of(estimates) if row.model == "air_time"}
    assert told == {("doubly_robust", True), ("direct_loss", False)}
    count = len(rows_of(estimates))
    republish("outcomes", DAY, lambda rows: rows.assign(air_time=rows["air_time"] + 1))
    monitor(catalog, air_time, DAY, "live")
    assert len(rows_of(estimates)) == count, "monitored again, nothing is doubled"


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (lambda rows: rows.head(29), "the holdout of its version has 29 usable rows; 30 are needed"),
        (lambda rows: rows.assign(target=1.0), r"all \d+ rows of the holdout of its version have the label 1"),
        (lambda rows: rows.drop(columns="target"), "the holdout sample of version 1 cannot be used"),
    ],
)
def test_a_reference_that_teaches_nothing_is_named_and_the_rest_is_monitored(
    catalog: Catalog, flight_delay: ModelConfig, frames: Frames, reason: str
) -> None:
    path = _holdout_path("flight_delay")
    storage.write_frame(path, frames(storage.read_frame(path)))
    _expect_not_estimated(catalog, flight_delay, reason)


def test_a_champion_whose_holdout_rows_are_gone_is_not_estimated(catalog: Catalog, flight_delay: ModelConfig) -> None:
    storage.remove(_holdout_path("flight_delay"))
    _expect_not_estimated(catalog, flight_delay, r"the holdout sample of version 1 is not in the storage \(references/flight_delay/")


def test_a_window_of_one_row_is_not_estimated(catalog: Catalog, flight_delay: ModelConfig) -> None:
    republish("schedules", DAY, lambda rows: rows.head(1))
    _expect_not_estimated(catalog, flight_delay, "1 row was scored; 30 are needed")


def test_rows_whose_features_are_all_missing_are_not_estimated(
    catalog: Catalog, flight_delay: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(catalog, flight_delay, DAY, "live")
    predictions = find_predictions("flight_delay", DAY)
    assert predictions is not None
    names = [feature_column(name) for name in flight_delay.feature_names]
    frame = predictions.frame()
    storage.write_frame(predictions.path, frame.assign(**{name: frame[name].mask(frame[name].notna()) for name in names}))
    outcome = monitor(catalog, flight_delay, DAY, "live")
    assert "performance is not estimated: every feature of every row that was scored is missing" in outcome.message


def test_what_nobody_thought_of_stops_nothing_else_and_quotes_no_row(
    catalog: Catalog, flight_delay: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("Ada Lovelace, 36")

    monkeypatch.setattr(rows_module, "load_rows", broken)
    _expect_not_estimated(catalog, flight_delay, "ValueError while it was estimated")
    assert "Lovelace" not in str(find_stage("flight_delay", "monitor", DAY))


def test_estimates_can_be_switched_off_and_on_again(catalog: Catalog, air_time: ModelConfig) -> None:
    off = air_time.model_copy(update={"monitor": air_time.monitor.model_copy(update={"estimate": False})})
    _monitored(catalog, off)
    assert not [name for name in _figures("air_time") if name.startswith(("estimated", "concept_drift"))]
    assert rows_of(estimates) == []
    assert monitor(catalog, air_time, DAY, "live").status == "done", "the switch is part of what is monitored"
    assert "estimated.mae" in _figures("air_time")
    assert monitor(catalog, air_time, DAY, "live").status == "unchanged"


def test_the_estimator_that_told_the_models_past_best_is_observed(catalog: Catalog, air_time: ModelConfig) -> None:
    """Ten earlier days, of which direct loss estimation told the truth."""
    days = [DAILY.shift("2013-01-01", number) for number in range(ENOUGH_WINDOWS)]
    for day in days:
        _told(day, doubly_robust=12.0, direct_loss=9.0, realised=9.0)
    assert len(past_windows("air_time", 1, DAY, DAILY)) == ENOUGH_WINDOWS
    assert past_windows("air_time", 2, DAY, DAILY) == [], "another version's say nothing of this one"
    _monitored(catalog, air_time)
    assert {row.estimator for row in rows_of(estimates) if row.partition == DAY and row.is_observed} == {"direct_loss"}
    record = find_stage("air_time", "monitor", DAY)
    assert record is not None and record.detail["estimator"] == "direct_loss"


def test_of_very_many_rows_a_fixed_draw_is_estimated(catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_module, "SAMPLED_ROWS", 200)
    drawn, again = (window_module.Sampled.draw([300, 500]) for _ in range(2))
    assert sum(map(len, drawn.of_day)) == 200 and drawn.total == 800
    assert all(np.array_equal(one, other) for one, other in zip(drawn.of_day, again.of_day, strict=True))
    assert drawn.of_day[0].max() < 300 and drawn.of_day[1].max() < 500
    _monitored(catalog, air_time)
    [observed] = list_observations("air_time", "estimated.mae")
    predictions = find_predictions("air_time", DAY)
    assert predictions is not None and observed.rows == predictions.rows > 200


def test_a_monitoring_that_was_killed_leaves_no_estimate_without_its_observations(
    catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.evergreen.monitoring.estimates import observe

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    score(catalog, air_time, DAY, "live")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(observe, "record_estimates", killed)
        monitor(catalog, air_time, DAY, "live")
    assert rows_of(observations) == rows_of(estimates) == []
    assert monitor(catalog, air_time, DAY, "live").status == "done"
    assert rows_of(estimates)


def test_recent_performance_has_realised_and_estimated_side_by_side(catalog: Catalog, air_time: ModelConfig) -> None:
    ingestion.ingest(catalog.dataset("schedules"), UNLABELLED, "live")
    _monitored(catalog, air_time)
    _monitored(catalog, air_time, UNLABELLED)
    newest, before = recent_performance("air_time", 2)
    assert (newest.partition, before.partition) == (UNLABELLED, DAY)
    assert [each.name for each in newest.metrics][:2] == ["mae", "r2"], "the gate's metrics first"
    assert newest.metrics[0].realised is None and newest.metrics[0].estimated is not None and newest.concept_drift is None
    assert before.metrics[0].realised == _figures("air_time")["performance.mae"] and before.concept_drift is not None


def _monitored(catalog: Catalog, model: ModelConfig, day: Partition = DAY) -> Outcome:
    score(catalog, model, day, "live")
    return monitor(catalog, model, day, "live")


def _expect_not_estimated(catalog: Catalog, model: ModelConfig, reason: str) -> None:
    outcome = _monitored(catalog, model)
    assert outcome.status == "done"
    record = find_stage(model.name, "monitor", DAY)
    assert record is not None
    assert re.match(reason, record.detail["not_estimated"]), record.detail["not_estimated"]
    assert f"performance is not estimated: {record.detail['not_estimated']}" in outcome.message
    figures = _figures(model.name)
    assert "quality.quarantined_share" in figures
    assert not [name for name in figures if name.startswith(("estimated", "concept_drift"))]
    assert rows_of(estimates) == []


def _told(day: Partition, *, realised: float, **by_estimator: float) -> None:
    assert set(by_estimator) == set(ESTIMATORS["regression"])
    told = [RecordedEstimate("air_time", day, name, "mae", value, value - 1, value + 1, 1, False) for name, value in by_estimator.items()]
    with writing() as connection:
        record_estimates(connection, "air_time", day, told)
    record_observations("air_time", day, [Observation("air_time", day, "performance.mae", realised, 1, "live", 100)])


def _figures(model: str, day: Partition = DAY) -> dict[str, float]:
    return {each.metric: each.value for each in list_observations(model, first=day, last=day)}


def _message(model: str, day: Partition = DAY) -> str:
    record = find_stage(model, "monitor", day)
    return record.message if record else ""


def _holdout_path(model: str) -> str:
    serving = champions.champion(model)
    assert serving is not None
    return holdout_path(serving.reference_path)
