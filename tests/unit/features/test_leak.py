"""Nothing that became known later may reach a feature, a training row, or what a training run is."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from pandas.testing import assert_frame_equal

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.partitions import current_partitions
from include.evergreen.features import feature_frame
from include.evergreen.features.columns import TARGET
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.features.reader import PARTITION_COLUMN
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.foundation.span import Span
from include.evergreen.training.take_snapshot import take_snapshot
from tests.unit.flights import NEW_YORK, january, republish, reversed_rows

pytestmark = pytest.mark.usefixtures("flights")
DAY = january(20)
YESTERDAY = january(19)


@pytest.fixture(params=["air_time", "flight_delay"])
def model(request: pytest.FixtureRequest, catalog: Catalog) -> ModelConfig:
    return catalog.model(request.param)


def test_no_feature_of_a_scored_day_knows_what_came_later(catalog: Catalog, model: ModelConfig) -> None:
    before = _features(catalog, model)
    assert _tamper_with_all_that_was_unknown_on(catalog, DAY) == {
        "outcomes": [january(20), january(21)],  # the day's own among them
        "weather": [january(20), january(21)],
        "schedules": [january(21)],
    }
    _assert_same_to_the_last_bit(before, _features(catalog, model))


def test_a_correction_of_the_past_that_came_later_reaches_no_feature(catalog: Catalog, model: ModelConfig) -> None:
    before = _features(catalog, model)
    later = NEW_YORK.start(DAY) + dt.timedelta(microseconds=1)
    for dataset, newest in (("outcomes", YESTERDAY), ("weather", YESTERDAY), ("schedules", DAY)):
        for day in DAILY.between(january(10), newest):
            republish(dataset, day, _tampered, knowledge_time=later)
    _assert_same_to_the_last_bit(before, _features(catalog, model))


def test_a_model_that_asks_for_the_days_own_outcomes_does_not_get_them(catalog: Catalog, model: ModelConfig) -> None:
    inputs = tuple(each.model_copy(update={"lag": Span(0, "day")}) for each in model.inputs)
    greedy = model.model_copy(update={"inputs": inputs})
    before = _features(catalog, greedy)
    _tamper_with_all_that_was_unknown_on(catalog, DAY)
    _assert_same_to_the_last_bit(before, _features(catalog, greedy))


@pytest.mark.parametrize("dataset", ["outcomes", "weather"])
def test_what_was_known_of_yesterday_does_change_features(catalog: Catalog, model: ModelConfig, dataset: str) -> None:
    before = _features(catalog, model)
    republish(dataset, YESTERDAY, _tampered)
    assert frame_digest(before) != frame_digest(_features(catalog, model))


def test_the_days_own_schedule_does_change_features(catalog: Catalog, model: ModelConfig) -> None:
    before = _features(catalog, model)
    republish("schedules", DAY, _tampered)
    assert frame_digest(before) != frame_digest(_features(catalog, model))


def test_no_training_run_knows_what_came_later(catalog: Catalog, model: ModelConfig) -> None:
    before = take_snapshot(catalog, model, DAY, window=Span(14, "day"))
    _tamper_with_all_that_was_unknown_on(catalog, DAY)
    after = take_snapshot(catalog, model, DAY, window=Span(14, "day"))
    assert after.digest == before.digest
    _assert_same_to_the_last_bit(before.frame(), after.frame())


def test_the_newest_truth_reaches_the_target_of_its_own_day_and_no_feature(catalog: Catalog, model: ModelConfig) -> None:
    before = take_snapshot(catalog, model, DAY, window=Span(14, "day")).frame()
    republish("outcomes", YESTERDAY, _turned_around)
    after = take_snapshot(catalog, model, DAY, window=Span(14, "day")).frame()
    _assert_same_to_the_last_bit(before.drop(columns=TARGET), after.drop(columns=TARGET))
    changed = before[TARGET] != after[TARGET]
    assert changed.any()
    assert set(before.loc[changed, PARTITION_COLUMN]) == {str(YESTERDAY)}


def test_older_truth_does_change_a_training_run(catalog: Catalog, model: ModelConfig) -> None:
    before = take_snapshot(catalog, model, DAY, window=Span(14, "day"))
    republish("outcomes", january(15), _tampered)
    assert take_snapshot(catalog, model, DAY, window=Span(14, "day")).digest != before.digest


def test_training_and_scoring_give_the_same_features_for_the_same_rows(catalog: Catalog, model: ModelConfig) -> None:
    trained_on = take_snapshot(catalog, model, DAY).frame()
    names = model.feature_names
    for day in (january(2), january(8), YESTERDAY):
        rows, scored = feature_frame(catalog, model, day, PartitionCache(day, model=model))
        known = trained_on[trained_on[PARTITION_COLUMN] == str(day)]
        with_truth = scored.loc[_has_truth(model, rows, day)].reset_index(drop=True)
        _assert_same_to_the_last_bit(with_truth, known[names].reset_index(drop=True))


def test_features_do_not_depend_on_the_order_of_the_days_rows(catalog: Catalog, model: ModelConfig) -> None:
    before = _features(catalog, model)
    republish("schedules", DAY, reversed_rows)
    _assert_same_to_the_last_bit(before, reversed_rows(_features(catalog, model)))


def test_features_do_not_depend_on_the_order_of_the_rows_that_they_look_back_at(catalog: Catalog, model: ModelConfig) -> None:
    before = _features(catalog, model)
    for dataset in ("outcomes", "weather", "schedules"):
        for day in DAILY.between(january(12), YESTERDAY):
            republish(dataset, day, reversed_rows)
    assert_frame_equal(before, _features(catalog, model), check_exact=False, rtol=1e-12)


def _features(catalog: Catalog, model: ModelConfig) -> pd.DataFrame:
    return feature_frame(catalog, model, DAY, PartitionCache(DAY, model=model))[1]


def _tamper_with_all_that_was_unknown_on(catalog: Catalog, day: Partition) -> dict[str, list[Partition]]:
    touched: dict[str, list[Partition]] = {}
    for dataset in catalog.dataset_names():
        for version in current_partitions(dataset):
            if version.knowledge_time > NEW_YORK.start(day):
                republish(dataset, version.partition, _tampered)
                touched.setdefault(dataset, []).append(version.partition)
    return touched


def _tampered(frame: pd.DataFrame) -> pd.DataFrame:
    """Other numbers in every cell, other words in every other column, and rows that are gone."""
    for column in frame.columns:
        if is_numeric_dtype(frame[column]) and not is_bool_dtype(frame[column]):
            frame[column] = frame[column].fillna(1) * 3 + 7
    frame["origin"] = frame["origin"].map({"EWR": "JFK", "JFK": "LGA", "LGA": "EWR"})
    return frame.iloc[::3].reset_index(drop=True)


def _turned_around(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Who was late was early, and the other way round; nobody new has a truth, and nobody loses it."""
    return outcomes.assign(arr_delay=16 - outcomes["arr_delay"], air_time=500 - outcomes["air_time"])


def _has_truth(model: ModelConfig, rows: pd.DataFrame, day: Partition) -> pd.Series:
    cache = PartitionCache(DAY, model=model)
    keys = ["carrier", "flight", "origin"]
    labels = cache.frame(cache.known("outcomes", DAY, day, day)[0], DAY)[[*keys, model.target.column]]
    return rows[keys].merge(labels, on=keys, how="left")[model.target.column].notna()


def _assert_same_to_the_last_bit(before: pd.DataFrame, after: pd.DataFrame) -> None:
    assert_frame_equal(before, after, check_exact=True)
    assert frame_digest(before) == frame_digest(after)
