"""What `check --explain` foretells is what then happens."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.span import Span
from include.evergreen.operations.timetable import explain, first_training, timetable
from include.evergreen.registry.champions import champion
from include.evergreen.scoring.readiness import inputs_of
from include.evergreen.scoring.score import score
from include.evergreen.training.take_snapshot import take_snapshot
from tests.unit.late_labels import MODEL as LATE
from tests.unit.late_labels import declare as declare_late
from tests.unit.shop_of_any_grain import MODEL, Shape, deliver_all

SHAPES = {
    "hours, prices of the month before": Shape(Grain("hour"), Grain("month"), "lag: 1 hour", "lag: 1 month", 3, 2, 1, 1, "2013-03-10"),
    "days of New York": Shape(Grain("day", "America/New_York"), Grain(), "lag: 1 day", "lag: 1 day", 12, 6, 3, 2, "2013-03-07"),
    "shifts": Shape(Grain("0 6,18 * * *", "Europe/Berlin"), Grain("6 hours"), "lag: 1 partition", "lag: 6 hours", 6, 3, 2, 1, "2013-03-26"),
    "half months": Shape(Grain("0 0 1,16 * *"), Grain("week"), "lag: 1 partition", "lag: 1 week", 150, 90, 45, 31, "2013-01-01"),
    "weeks": Shape(Grain("week"), Grain(), "lag: 1 week", "lag: 1 day", 84, 42, 21, 7, "2013-03-04"),
    "months, prices of the quarter before": Shape(
        Grain("month"), Grain("quarter"), "lag: 1 month", "lag: 1 quarter", 400, 186, 93, 92, "2013-01-01"
    ),
    "days whose rows come the morning after": Shape(
        Grain(), Grain(), "lag: 1 day", "lag: 0 days", 12, 6, 3, 2, "2013-02-25", "hours_after_end: 6", "hours_after_end: 6"
    ),
}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_first_training_is_the_first_that_finds_enough(shape: Shape, tmp_path: Path) -> None:
    catalog = shape.declare(tmp_path / "include")
    model = catalog.model(MODEL)
    as_of = first_training(catalog, model)
    assert as_of is not None
    deliver_all(catalog, shape.grain.start(as_of))
    before = shape.grain.shift(as_of, -1)
    with pytest.raises(DataError, match="train.min_history asks for"):
        take_snapshot(catalog, model, before)
    assert take_snapshot(catalog, model, as_of).rows > 0


def test_labels_that_come_late_put_the_first_training_off(tmp_path: Path) -> None:
    catalog = declare_late(tmp_path)
    model = catalog.model(LATE)
    of_the_same_day = model.model_copy(update={"target": model.target.model_copy(update={"within": Span(0, "day")})})
    first = first_training(catalog, model)
    assert (first, first_training(catalog, of_the_same_day)) == ("2024-01-12", "2024-01-07")


def test_a_window_that_never_has_enough_has_no_first_training(tmp_path: Path) -> None:
    catalog = SHAPES["weeks"].declare(tmp_path)
    prices = catalog.dataset_path("prices")
    prices.write_text(prices.read_text().replace("end: 2016-12-31", "end: 2013-04-01"))  # four weeks of rows, and six are asked for
    model = catalog.model(MODEL)
    assert first_training(catalog, model) is None
    assert "    none is possible: the schedules make too few partitions" in explain(catalog, model, dt.datetime(2013, 4, 1, tzinfo=dt.UTC))


@pytest.mark.usefixtures("trained")
def test_what_a_scoring_reads_is_what_it_is_told_to_read() -> None:
    catalog = Catalog()
    model, day = catalog.model("flight_delay"), Partition("2013-01-20")
    told = timetable(catalog, model, day)
    assert score(catalog, model, day, "live").status == "done"
    version = champion("flight_delay")
    assert version is not None
    assert [(read.dataset, read.newest) for read in told.inputs] == inputs_of(version).keys(day)
    assert told.moment == dt.datetime(2013, 1, 20, 5, tzinfo=dt.UTC)


def test_it_says_when_a_partition_is_read_scored_measured_and_trained_on(tmp_path: Path) -> None:
    shape = SHAPES["days of New York"]
    catalog = shape.declare(tmp_path)
    lines = explain(catalog, catalog.model(MODEL), dt.datetime(2013, 3, 11, 3, 30, tzinfo=dt.UTC))  # still the tenth in New York
    assert lines == [
        "takings: regression of visits. A partition is a day of America/New_York; all times are UTC.",
        "  Partition 2013-03-10, for example: 2013-03-10 05:00 to 2013-03-11 04:00",
        "    scored as of 2013-03-10 05:00: its features see what was known then",
        "      visits 2013-03-10 (features may look back to 2013-02-08): known from 2013-03-10 05:00, ingested at 2013-03-11 10:00",
        "      results 2013-03-09 (features may look back to 2013-02-26): known from 2013-03-10 05:00, ingested at 2013-03-10 10:00",
        "      prices 2013-03-09 (features may look back to 2013-02-26): known from 2013-03-10 00:00, ingested at 2013-03-10 06:00",
        "    starts when the last of them is ingested: 2013-03-11 10:00",
        "    labels: taken of results 2013-03-10: known from 2013-03-11 04:00, ingested at 2013-03-11 10:00",
        "    performance is measured when the last of them is ingested: 2013-03-11 10:00",
        "  Trainings read 12 days before as_of; 6 days must have rows, inputs and labels, and the newest 3 days are the holdout",
        "    the first possible is as of 2013-03-14",
        "    started by hand, or by a rule that fires",
        "    rule: performance.mae>0.0001 (1 of 1)",
    ]


def test_it_says_how_long_a_partition_of_a_cron_expression_is(tmp_path: Path) -> None:
    catalog = SHAPES["shifts"].declare(tmp_path)
    lines = explain(catalog, catalog.model(MODEL), dt.datetime(2013, 3, 30, 20, tzinfo=dt.UTC))
    assert lines[:2] == [
        "takings: regression of visits. A partition is a period from one time of '0 6,18 * * *' to the next, of Europe/Berlin; all times "
        "are UTC.",
        "  Partition 2013-03-30T1800, for example: 2013-03-30 17:00 to 2013-03-31 04:00",
    ]
    prices = "      prices 2013-03-30T0600Z (features may look back to 2013-03-24T1200Z): known from 2013-03-30 12:00, ingested at"
    assert any(line.startswith(prices) for line in lines), lines


def test_it_says_what_becomes_of_rows_without_a_label(tmp_path: Path) -> None:
    catalog = declare_late(tmp_path)
    text = "\n".join(explain(catalog, catalog.model(LATE), dt.datetime(2024, 2, 1, 12, tzinfo=dt.UTC)))
    assert "labels: disputed of chargebacks 2024-02-01 to 2024-02-06" in text
    assert "a row that has none by then is negative" in text


def test_it_says_that_labels_beside_the_rows_may_come_with_a_later_delivery() -> None:
    catalog = Catalog(Path(__file__).parents[2] / "shapes" / "labels_beside_rows")
    text = explain(catalog, catalog.model("churn"), dt.datetime(2022, 7, 1, tzinfo=dt.UTC))
    assert "      beside the rows: if a later delivery brings them, all that needs labels starts with that delivery" in text


@pytest.mark.parametrize(
    ("now", "example"), [("2012-01-01", "2013-03-10T0000Z"), ("2013-05-01T0730", "2013-05-01T0700Z"), ("2020-01-01", "2016-12-31T2300Z")]
)
def test_the_example_is_of_now_or_of_the_end_of_the_schedule_that_is_nearer(tmp_path: Path, now: str, example: str) -> None:
    catalog = SHAPES["hours, prices of the month before"].declare(tmp_path)
    moment = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    assert explain(catalog, catalog.model(MODEL), moment)[1].startswith(f"  Partition {example}, for example")
