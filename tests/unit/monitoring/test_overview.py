"""A window at a glance, from kept profiles alone."""

from __future__ import annotations

import pytest

from include.evergreen import monitoring
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data import ingestion
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring import overview as module
from include.evergreen.monitoring.overview import window_overview
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state import storage
from tests.unit.flights import change_landing, january

pytestmark = [pytest.mark.usefixtures("trained"), pytest.mark.sqlite_only]
DAY, BEFORE = january(22), january(21)


@pytest.fixture(autouse=True)
def the_day_before_stands_for_the_week_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WEEK", Span(1, "day"))


@pytest.fixture
def monitored(catalog: Catalog, air_time: ModelConfig) -> None:
    """Two days; on the second, all flights are as long."""
    change_landing("schedules", DAY, lambda rows: rows.assign(distance="4000"))
    ingestion.ingest(catalog.dataset("schedules"), DAY, "live")
    for day in (BEFORE, DAY):
        _monitor(catalog, air_time, day)


def test_it_says_what_drifted_what_was_a_week_before_and_reads_no_predictions(
    catalog: Catalog, air_time: ModelConfig, monitored: None
) -> None:
    for day in (BEFORE, DAY):
        scored = find_predictions("air_time", day)
        assert scored is not None
        storage.remove(scored.path)
    found = window_overview(catalog, air_time, DAY)
    assert (found.partition, found.partition_before, found.version, found.days) == (DAY, BEFORE, 1, 1)
    distance = next(column for column in found.columns if column.verdict.column == "distance")
    assert distance.verdict.state == "drifted"
    assert distance.before is not None and distance.before.state == "alike"
    assert distance.change is not None and distance.change > 1
    assert found.columns[0].verdict.state == "drifted", "ranked"
    for column in found.columns:
        for side in ("reference", "window", "before"):
            assert sum(getattr(bar, side) for bar in column.bars) == pytest.approx(1)
    longest = max(distance.bars, key=lambda bar: bar.window)
    assert longest.window == pytest.approx(1)
    assert longest.name.startswith("from ")
    assert longest.before is not None and longest.before < 0.3


def test_without_a_window_a_week_before_it_says_nothing_of_change(catalog: Catalog, air_time: ModelConfig) -> None:
    _monitor(catalog, air_time, BEFORE)
    found = window_overview(catalog, air_time, BEFORE)
    assert found.rows_before is None
    assert all(column.before is None and column.change is None for column in found.columns)
    assert all(bar.before is None for column in found.columns for bar in column.bars)


def test_a_day_that_was_not_scored_or_whose_profile_is_gone_is_refused_with_what_to_do(catalog: Catalog, air_time: ModelConfig) -> None:
    with pytest.raises(DataError, match="air_time was not scored for 2013-01-22"):
        window_overview(catalog, air_time, DAY)
    _monitor(catalog, air_time, BEFORE)
    scored = find_predictions("air_time", BEFORE)
    assert scored is not None
    storage.remove(f"{scored.path}.profile")
    with pytest.raises(DataError, match="`evergreen rescore air_time --from 2013-01-21 --to 2013-01-21`"):
        window_overview(catalog, air_time, BEFORE)


def _monitor(catalog: Catalog, model: ModelConfig, day: Partition) -> None:
    assert score(catalog, model, day, "live").is_done
    assert monitoring.monitor(catalog, model, day, "live").is_done
