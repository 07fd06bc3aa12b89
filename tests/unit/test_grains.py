"""Models of every grain: hours, days of a time zone, weeks, months and quarters keep the promises that days keep."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.evergreen.config import Catalog
from include.evergreen.config.check import check_catalog
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import current_partition
from include.evergreen.features.columns import feature_column
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring import list_observations, monitor
from include.evergreen.monitoring.triggers import tripped
from include.evergreen.operations.diagnose import why
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.operations.missed import missed_work
from include.evergreen.operations.reproduce import reproduce
from include.evergreen.registry import champions
from include.evergreen.scoring import readiness
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state import storage
from include.evergreen.testkit import CHECKS, examine
from include.evergreen.training.take_snapshot import take_snapshot
from tests.unit.shop_of_any_grain import MODEL, SHOPS, Shape, deliver, deliver_all, frame_of

HOUR, DAY, WEEK, MONTH, QUARTER, NEW_YORK = (
    Grain("hour"), Grain(), Grain("week"), Grain("month"), Grain("quarter"), Grain("day", "America/New_York"),
)  # fmt: skip
SHIFT = Grain("0 6,18 * * *", "Europe/Berlin")
SHAPES = {
    "half-hours, prices of the day before": Shape(Grain("30min"), DAY, "lag: 1 hour", "lag: 1 day", 3, 2, 1, 1, "2013-03-10"),
    "hours, prices of the hour before": Shape(HOUR, HOUR, "lag: 1 hour", "lag: 1 hour", 3, 2, 1, 1, "2013-03-08"),
    "hours, prices of the month before": Shape(HOUR, MONTH, "lag: 1 hour", "lag: 1 month", 3, 2, 1, 1, "2013-03-10"),
    "days, prices of the hour before": Shape(DAY, HOUR, "lag: 1 day", "lag: 1 hour", 12, 6, 3, 2, "2013-02-25"),
    "days of New York, prices of the hour before": Shape(NEW_YORK, HOUR, "lag: 1 day", "lag: 1 hour", 12, 6, 3, 2, "2013-02-25"),
    "days of New York, prices of UTC's day": Shape(NEW_YORK, DAY, "lag: 1 day", "lag: 1 day", 12, 6, 3, 2, "2013-02-25"),
    "weeks, prices of the day before": Shape(WEEK, DAY, "lag: 1 week", "lag: 1 day", 84, 42, 21, 7, "2013-03-04"),
    "months, prices of the quarter before": Shape(MONTH, QUARTER, "lag: 1 month", "lag: 1 quarter", 400, 186, 93, 92, "2013-01-01"),
    "days whose rows come the morning after": Shape(
        DAY, DAY, "lag: 1 day", "lag: 0 days", 12, 6, 3, 2, "2013-02-25", "hours_after_end: 6", "hours_after_end: 6"
    ),
    "days of which all is told a day ahead": Shape(
        DAY, HOUR, "lag: 2 days", "lag: 8 hours", 12, 6, 3, 2, "2013-02-25", "hours_after_partition: -8", "hours_after_partition: -7"
    ),
    "weeks from Sunday, prices of the shift before": Shape(
        Grain("week from Sunday", "America/New_York"), SHIFT, "lag: 1 week", "lag: 12 hours", 84, 42, 21, 7, "2013-03-03"
    ),
    "six hours of New York, prices of the week from Saturday before": Shape(
        Grain("6 hours", "America/New_York"), Grain("week from Saturday"), "lag: 6 hours", "lag: 1 week", 7, 3, 2, 7, "2013-03-04"
    ),
    "shifts of Berlin, prices of the six hours before": Shape(
        SHIFT, Grain("6 hours"), "lag: 1 partition", "lag: 6 hours", 6, 3, 2, 1, "2013-03-26"
    ),
    "half months, prices of the week before": Shape(
        Grain("0 0 1,16 * *"), WEEK, "lag: 1 partition", "lag: 1 week", 150, 90, 45, 31, "2013-01-01"
    ),
    "quarters": Shape(QUARTER, QUARTER, "lag: 1 quarter", "lag: 1 quarter", 1000, 368, 184, 92, "2013-01-01"),
}
AS_OF = {
    "30min": "2013-03-13T0630Z",
    "hour": "2013-03-12T0600Z",
    "day": "2013-03-12",
    "week": "2013-06-03",
    "month": "2014-06-01",
    "quarter": "2016-01-01",
    "week from Sunday": "2013-06-02",
    "6 hours": "2013-03-12T0600",
    "0 6,18 * * *": "2013-04-02T0600",
    "0 0 1,16 * *": "2013-06-16",
}


OVER_A_CHANGE = "six hours of New York, prices of the week from Saturday before"  # the clock is put forward two days before as_of
LIVED = ["months, prices of the quarter before", OVER_A_CHANGE]  # others, hours among them: tests/unit/test_shapes.py
IN_ANOTHER_PROCESS = "nothing_but_the_rows_decides"  # a cold one, of more than a second each
EXAMINED = [
    OVER_A_CHANGE,
    "hours, prices of the month before",
    "days of New York, prices of the hour before",
    "days of which all is told a day ahead",
]


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Shape:
    return SHAPES[request.param]


@pytest.fixture
def catalog(shape: Shape, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path / "include"))
    return shape.declare(tmp_path / "include")


@pytest.fixture
def as_of(shape: Shape) -> Partition:
    return Partition(AS_OF[shape.grain.unit])


@pytest.mark.parametrize("shape", SHAPES if os.environ.get("EVERGREEN_ALL_SHAPES") else LIVED, indirect=True)
def test_a_model_is_trained_serves_and_is_watched(shape: Shape, catalog: Catalog, as_of: Partition) -> None:
    assert check_catalog(catalog) == []
    grain, model, visits, results = shape.grain, catalog.model(MODEL), catalog.dataset("visits"), catalog.dataset("results")
    deliver_all(catalog, max(grain.start(as_of), model.moment(as_of)))

    snapshot = take_snapshot(catalog, model, as_of)
    frame = snapshot.frame()
    window = grain.between(grain.minus(as_of, Span(shape.window, "day")), grain.shift(as_of, -1))
    assert set(frame["partition"]) <= set(window)
    ended = [each for each in window if model.moment(each) <= grain.start(as_of) and results.known_from(each) <= grain.start(as_of)]
    assert frame["partition"].max() == ended[-1], "what could have been scored and judged by then is learnt from"
    assert frame[feature_column("price")].notna().all()

    done = run_cycle(catalog, model, as_of, reason="the first", actor="a person")
    assert (done.decision.verdict, done.scored.status, done.monitored.status) == ("blessed", "done", "done")
    assert (done.snapshot.digest, done.version.as_of) == (snapshot.digest, as_of)
    assert champions.champion_for(MODEL, as_of).version == 1
    assert champions.champion_for(MODEL, grain.shift(as_of, -1)) is None
    assert find_predictions(MODEL, as_of).rows == SHOPS
    assert reproduce(catalog, MODEL, 1).is_identical

    if current_partition("results", as_of) is None:
        deliver(results, as_of, origin="live")
        assert readiness.monitoring(MODEL, as_of, model.labels).is_due
    assert monitor(catalog, model, as_of, "live").status in ("done", "unchanged")
    assert [each.partition for each in list_observations(MODEL, "performance.mae")] == [as_of]
    assert tripped(model) is not None

    following = grain.shift(as_of, 1)
    assert not readiness.scoring(MODEL, following, moment=model.moment(following)).is_due
    assert any(f"visits/{following}" in line for line in why(catalog, model, following))
    deliver_all(catalog, model.moment(following))
    deliver(visits, following, origin="live")
    assert readiness.scoring(MODEL, following, moment=model.moment(following)).is_due
    assert score(catalog, model, following, "live").status == "done"

    corrected = frame_of(visits, following).assign(size=0.0)
    deliver(visits, following, corrected, origin="live")
    assert [(each.stage, each.partition) for each in missed_work(catalog, since=grain.start(as_of)) if each.stage == "score"] in (
        [],
        [("score", following)],
    )
    assert readiness.scoring(MODEL, following, moment=model.moment(following)).is_due, "the correction was known at the scoring moment"
    assert score(catalog, model, following, "live").status == "done"
    assert not readiness.scoring(MODEL, following, moment=model.moment(following)).is_due

    assert take_snapshot(catalog, model, as_of).digest == snapshot.digest, "what came since was not known"


@pytest.mark.parametrize(
    ("shape", "check"),
    [
        (shape, check)
        for shape in (SHAPES if os.environ.get("EVERGREEN_ALL_SHAPES") else EXAMINED)
        for check in CHECKS
        if os.environ.get("EVERGREEN_ALL_SHAPES") or check != IN_ANOTHER_PROCESS or shape == OVER_A_CHANGE
    ],
    indirect=["shape"],
)
def test_features_see_nothing_that_was_not_known(catalog: Catalog, check: str) -> None:
    assert examine(catalog, MODEL, check) == []


SHORT = [Grain("hour"), Grain("6 hours", "America/New_York"), Grain("8 hours", "Australia/Lord_Howe"), SHIFT, NEW_YORK]
LONG = [Grain("0 6 * * 1-5", "Europe/London"), Grain("week from Sunday", "Europe/London"), Grain("0 0 1,16 * *", "Asia/Kathmandu"), MONTH]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Rows and prices of any grain, over a change of the clocks, with lags of some partitions."""
    grain = draw(st.sampled_from(SHORT + LONG))
    prices = draw(st.sampled_from(SHORT + LONG if grain in SHORT else SHORT[1:] + LONG))
    lengths = (4, 2, 1, 1) if grain in SHORT else (62, 45, 20, 31)
    lag, prices_lag = (f"lag: {draw(st.integers(1, 3))} partitions" for _ in range(2))
    start = draw(st.dates(dt.date(2013, 3, 5), dt.date(2013, 4, 10)))
    return Shape(grain, prices, lag, prices_lag, *lengths, start.isoformat())


@settings(
    max_examples=60 if os.environ.get("EVERGREEN_ALL_SHAPES") else 6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(shapes())
def test_whatever_the_grains_zones_and_lags_what_was_not_known_changes_no_feature(home: Path, tmp_path: Path, drawn: Shape) -> None:
    folder = tmp_path / frame_digest(pd.DataFrame({"drawn": [str(drawn)]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERGREEN_INCLUDE", str(folder))
        catalog = drawn.declare(folder)
        assert check_catalog(catalog) == []
        assert examine(catalog, MODEL, "what_was_not_known_changes_no_feature") == []


@pytest.mark.parametrize("shape", ["hours, prices of the month before", "months, prices of the quarter before"], indirect=True)
def test_a_partition_is_ingested_from_its_source_under_its_key(shape: Shape, catalog: Catalog, as_of: Partition) -> None:
    visits = catalog.dataset("visits")
    landing = Settings.from_environment().home / "landing" / "visits"
    landing.mkdir(parents=True)
    frame_of(visits, as_of).to_csv(landing / f"{as_of}.csv", index=False)
    version, _ = ingestion.ingest(visits, as_of, "live")
    assert (version.partition, version.rows, version.knowledge_time) == (as_of, SHOPS, shape.grain.start(as_of))
    assert storage.exists(version.path) and f"/{as_of}/" in version.path
    within = "2013-03-12T0615Z" if shape.grain.unit == "hour" else "2014-06-15"
    with pytest.raises(ConfigError, match=f"is not an? {shape.grain.unit}, such as"):
        ingestion.ingest(visits, Partition(within), "live")
