"""What cannot be observed of a day is named and recorded, and keeps nothing else of the day, or of another model, from being observed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd
import pytest

from include.evergreen import monitoring
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data import ingestion
from include.evergreen.features.columns import feature_column
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.monitoring import find_monitored, list_observations
from include.evergreen.monitoring.kept_profiles import PROFILE_SUFFIX
from include.evergreen.monitoring.window import load_window
from include.evergreen.registry import champions
from include.evergreen.scoring import score as scoring
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.state import storage
from include.evergreen.state.alerts import open_alerts
from include.evergreen.state.stage_status import find_stage
from tests.unit.flights import change_landing, january, republish

pytestmark = pytest.mark.usefixtures("trained")
DAY, LATER = january(20), january(22)
OF_DRIFT, OF_TRUTH = ("drift", "prediction_drift"), ("performance", "concept_drift")


@pytest.mark.parametrize("damage", [storage.remove, lambda path: storage.write_bytes(path, b"no Parquet")])
def test_without_its_reference_drift_is_not_judged_and_all_else_is_observed(
    catalog: Catalog, air_time: ModelConfig, flight_delay: ModelConfig, damage: Callable[[str], object]
) -> None:
    path = champions.version_number("air_time", 1).reference_path
    kept = storage.read_frame(path)
    whole = _observed(catalog, flight_delay)
    damage(path)
    words = rf"the reference sample of version 1 of air_time.*{re.escape(path)}.*Train air_time again as of 2013-01-17"
    with pytest.raises(DataError, match=words):
        _observed(catalog, air_time)
    figures = _figures("air_time")
    assert {"performance.mae", "estimated.mae", "concept_drift.score", "quality.quarantined_share"} <= set(figures)
    assert not [name for name in figures if name.startswith(OF_DRIFT)]
    _expect_told("air_time", words)
    assert _observed(catalog, flight_delay) == whole
    storage.write_frame(path, kept)
    assert _observed(catalog, air_time).items() > figures.items()
    assert not open_alerts("air_time")


def contradictory(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([rows, rows.head(1).assign(air_time=999.0)], ignore_index=True)


def test_labels_that_contradict_each_other_are_named_and_drift_is_judged(catalog: Catalog, air_time: ModelConfig) -> None:
    republish("outcomes", DAY, contradictory)
    words = "outcomes 2013-01-20 .* has several labels for one row: its rows share carrier, flight, origin"
    with pytest.raises(DataError, match=words):
        _observed(catalog, air_time)
    figures = _figures("air_time")
    assert {"drift.share", "prediction_drift.score", "estimated.mae", "quality.quarantined_share"} <= set(figures)
    assert not [name for name in figures if name.startswith(OF_TRUTH)]
    _expect_told("air_time", words)
    republish("outcomes", DAY, lambda rows: rows.drop_duplicates(["carrier", "flight", "origin"]))
    whole = _observed(catalog, air_time)
    assert "performance.mae" in whole
    republish("outcomes", DAY, contradictory)
    with pytest.raises(DataError, match=words):
        _observed(catalog, air_time)
    assert _figures("air_time") == whole, "what was observed before stays"


def test_labels_of_rows_that_were_never_scored_are_named_at_ingestion_and_change_no_figure(
    catalog: Catalog, air_time: ModelConfig, caplog: pytest.LogCaptureFixture
) -> None:
    for dataset in ("schedules", "outcomes"):
        ingestion.ingest(catalog.dataset(dataset), LATER, "live")
    before = _observed(catalog, air_time, LATER)
    change_landing("outcomes", LATER, lambda rows: pd.concat([rows, rows.head(1).assign(flight="9999", air_time="600")]))
    ingestion.ingest(catalog.dataset("outcomes"), LATER, "live")
    assert re.search(r"on_fail warn: reference\(.*dataset=schedules\): 1 row, such as .*, 9999, ", caplog.text)
    assert _observed(catalog, air_time, LATER) == before


@pytest.mark.parametrize(
    ("name", "change", "aspect"),
    [("distance", lambda column: column.astype(str) + " miles", "missing"), ("carrier", lambda column: range(len(column)), "values")],
)
def test_a_feature_that_comes_in_another_type_has_drifted_and_the_others_are_judged(
    catalog: Catalog, air_time: ModelConfig, name: str, change: Callable[[pd.Series], object], aspect: str
) -> None:
    whole = _observed(catalog, air_time)
    predictions = find_predictions("air_time", DAY)
    assert predictions is not None
    column, frame = feature_column(name), predictions.frame()
    storage.write_frame(predictions.path, frame.assign(**{column: change(frame[column])}))
    storage.remove(f"{predictions.path}{PROFILE_SUFFIX}")  # that of the rows as they were
    window = load_window(catalog, air_time, predictions)
    verdict = window.verdict()
    assert [each.column for each in verdict.drifted] == [column]
    assert verdict.columns[column].aspect == aspect
    others = {each: of.effect for each, of in verdict.columns.items() if each != column}
    assert others["wind_speed_1d"] == whole["drift.wind_speed_1d"]


def _observed(catalog: Catalog, model: ModelConfig, day: Partition = DAY) -> dict[str, float]:
    assert scoring.score(catalog, model, day, "live").is_done
    assert monitoring.monitor(catalog, model, day, "live").is_done
    return _figures(model.name, day)


def _figures(model: str, day: Partition = DAY) -> dict[str, float]:
    return {each.metric: each.value for each in list_observations(model, first=day, last=day)}


def _expect_told(model: str, words: str) -> None:
    record = find_stage(model, "monitor", DAY)
    assert record is not None
    assert record.status == "failed"
    assert re.search(words, record.detail["message"])
    assert [alert.key for alert in open_alerts(model)] == [f"monitor/{model}"]
    assert find_monitored(model, DAY) is None
