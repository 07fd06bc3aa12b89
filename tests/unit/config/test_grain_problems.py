"""What a grain cannot be, and what would do instead: refused by `check` before any run, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.config.check import check_catalog
from include.evergreen.foundation.grain import Grain
from tests.unit.shop_of_any_grain import Shape

HOURS = Shape(Grain("hour"), Grain("month"), "lag_hours: 1", "lag_days: 1", 3, 2, 1, 1, "2013-03-08")
DAYS = Shape(Grain(), Grain(), "lag_days: 1", "lag_days: 1", 12, 6, 3, 2, "2013-02-25")
MONTHS = Shape(Grain("month"), Grain("quarter"), "lag_days: 31", "lag_days: 92", 400, 186, 93, 92, "2013-01-01")
WEEKS = Shape(Grain("week"), Grain(), "lag_days: 7", "lag_days: 1", 84, 42, 21, 7, "2013-03-04")
VISITS, RESULTS, PRICES, MODEL = (
    "datasets/visits/dataset.yaml:5", "datasets/results/dataset.yaml:5", "datasets/prices/dataset.yaml:5", "models/takings/model.yaml",
)  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "file", "old", "new", "problem"),
    [
        (HOURS, VISITS, "grain: hour", "grain: day",
         "schedule.grain: '10 * * * *' comes round more than once in the partition 2013-01-01"),
        (HOURS, VISITS, '"10 * * * *"', '"@hourly"', ""),
        (HOURS, VISITS, '"10 * * * *"', '"0,30 * * * *"',
         "schedule.grain: '0,30 * * * *' comes round more than once in the partition 2013-01-01T0000Z"),
        (HOURS, VISITS, "grain: hour", "grain: fortnight", "schedule.grain: 'fortnight' is not allowed; allowed: 15min, 30min, hour"),
        (HOURS, VISITS, "timezone: UTC", "timezone: America/New_York",
         "schedule.timezone: a partition of hour has its key in UTC, so that the hour that happens twice has two; remove timezone"),
        (WEEKS, VISITS, "timezone: UTC", "timezone: New York", "schedule.timezone: 'New York' is no IANA zone; write one such as UTC or"),
        (WEEKS, VISITS, "timezone: UTC", "timezone: America/New_York", ""),
        (WEEKS, VISITS, '"0 6 * * 1"', '"0 6 * * 2"',
         "schedule.cron: '0 6 * * 2' comes round at 2013-01-01, within the week 2012-12-31"),
        (WEEKS, VISITS, '"0 6 * * 1"', '"0 6 * * *"', "schedule.grain: '0 6 * * *' comes round more than once in the partition 2012-12-31"),
        (WEEKS, VISITS, '"0 6 * * 1"', '"0 0 1 */3 *"', "schedule.cron: '0 0 1 */3 *' comes round at 2013-01-01, within"),
        (HOURS, PRICES, "grain: month", "grain: quarter", "schedule.grain: '0 6 3 * *' comes round more than once in"),
        (HOURS, PRICES, '"0 6 3 * *"', '"0 6 31 12 *"', ""),
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_make_partitions_of_its_grain(
    tmp_path: Path, shape: Shape, file: str, old: str, new: str, problem: str
) -> None:
    assert_found(problems(tmp_path, shape, file.partition(":")[0], old, new), f"{tmp_path}/{file}: {problem}" if problem else "")


@pytest.mark.parametrize(
    ("shape", "old", "new", "problem"),
    [
        (HOURS, "results, lag_hours: 1", "results, lag_hours: 0",
         "9: inputs[1].lag_hours: 0 is too few: results is known when its hour ends; use at least 1"),
        (HOURS, "prices, lag_days: 1", "prices, lag_days: 0",
         "10: inputs[2].lag_days: 0 is too few: prices is known when its month ends; use at least 31"),
        (HOURS, "prices, lag_days: 1", "prices, lag_hours: 1",
         "10: inputs[2].lag_hours: is for partitions shorter than a day, and those of prices are of a month; use lag_days"),
        (WEEKS, "results, lag_days: 7", "results, lag_days: 0",
         "9: inputs[1].lag_days: 0 is too few: results is known when its week ends; use at least 7"),
        (WEEKS, "results, lag_days: 7", "results, lag_days: 1", ""),  # what is begun of a week is a week
        (WEEKS, "min_days: 42", "min_days: 42, schedule: {cron: '0 6 * * 2', start: 2013-06-01}",
         "16: train.schedule.cron: '0 6 * * 2' comes round at 2013-01-01, within the week 2012-12-31"),
        (HOURS, "min_days: 2", "min_days: 2, schedule: {cron: '0 6 * * 2', start: 2013-06-01}", ""),
        (WEEKS, "column: taken", "column: taken, within_days: 50",
         "16: train.window_days: 84 is too few: labels come within 50 days"),
    ],
)  # fmt: skip
def test_a_model_that_waits_for_what_is_not_known(tmp_path: Path, shape: Shape, old: str, new: str, problem: str) -> None:
    assert_found(problems(tmp_path, shape, MODEL, old, new), f"{tmp_path}/{MODEL}:{problem}" if problem else "")


RULE = "metric: performance.mae, above: 0.0001, k: 1, n: 1"
CHAMPION = ("kind: absolute, metric: mae, at_most: 20", "kind: champion, metric: mae, must: not_worse, margin: 1")
STOPPED = "estimator: sklearn.ensemble.HistGradientBoostingRegressor, early_stop: {days: %d}"
TUNED = "estimator: sklearn.linear_model.Ridge, search: {alpha: {uniform: [0, 1]}}, tune: {candidates: 2, folds: %d}"


@pytest.mark.parametrize(
    ("shape", "old", "new", "problem"),
    [
        (MONTHS, "min_days: 186, holdout_days: 93", "min_days: 14, holdout_days: 7",
         "16: train.min_days: 14 is 1 month, all of which holdout_days (7) keeps from fitting; use at least 62"),
        (WEEKS, "min_days: 42, holdout_days: 21", "min_days: 13, holdout_days: 8", "16: train.min_days: 13 is 2 weeks, all of which"),
        (HOURS, "min_days: 2", "min_days: 2", ""),
        (DAYS, "estimator: sklearn.linear_model.Ridge", TUNED % 3,
         "16: train.tune.folds: 3 needs more days to fit on than the 3 days (min_days - holdout_days) that there may be; give fewer"),
        (WEEKS, "estimator: sklearn.linear_model.Ridge", TUNED % 3, "16: train.tune.folds: 3 needs more weeks to fit on than the 3 weeks"),
        (HOURS, "estimator: sklearn.linear_model.Ridge", TUNED % 3, ""),  # a day is left, which has 24
        (DAYS, "estimator: sklearn.linear_model.Ridge", STOPPED % 3,
         "16: train.early_stop.days: 3 leaves none of the 3 days (min_days - holdout_days) that there may be to fit on; give fewer"),
        (WEEKS, "estimator: sklearn.linear_model.Ridge", STOPPED % 15, "16: train.early_stop.days: 15 leaves none of the 3 weeks"),
        (WEEKS, "estimator: sklearn.linear_model.Ridge", STOPPED % 14, ""),
        (HOURS, RULE, f"{RULE.replace('k: 1, n: 1', 'k: 3, n: 3')}, within_days: 1", ""),
        (DAYS, RULE, f"{RULE.replace('k: 1, n: 1', 'k: 3, n: 3')}, within_days: 2",
         "22: retrain.rules[0].within_days: 2 has at most 2 observed days, and k asks for 3; use at least 3"),
        (WEEKS, RULE, f"{RULE.replace('k: 1, n: 1', 'k: 2, n: 3')}, within_days: 7",
         "22: retrain.rules[0].within_days: 7 has at most 1 observed week, and k asks for 2; use at least 14"),
        (DAYS, "retrain:", "retrain:\n  cooldown_days: 7\n  max_per_week: 1",
         "22: retrain.max_per_week: 1 is never exceeded: cooldown_days (7) allows 1 in a week. Remove it"),
        (DAYS, "retrain:", "retrain:\n  cooldown_days: 1\n  max_per_week: 4",
         "22: retrain.max_per_week: 4 is never exceeded: cooldown_days (1) allows 4 in a week. Remove it, or give less than 4"),
        (DAYS, "retrain:", "retrain:\n  cooldown_days: 0\n  max_per_week: 7", "22: retrain.max_per_week: 7 is never exceeded"),
        (HOURS, "retrain:", "retrain:\n  cooldown_days: 0\n  max_per_week: 7", ""),
        (WEEKS, "retrain:", "retrain:\n  cooldown_days: 0\n  max_per_week: 2", "22: retrain.max_per_week: 2 is never exceeded"),
        (HOURS, *CHAMPION, ""),  # 24 hours show how hours differ
        (MONTHS, "holdout_days: 93", "holdout_days: 31", ""),
    ],
)  # fmt: skip
def test_settings_in_days_are_counted_in_partitions(tmp_path: Path, shape: Shape, old: str, new: str, problem: str) -> None:
    assert_found(problems(tmp_path, shape, MODEL, old, new), f"{tmp_path}/{MODEL}:{problem}" if problem else "")


def test_one_month_does_not_show_how_months_differ(tmp_path: Path) -> None:
    text = MONTHS.declare(tmp_path).model_path("takings").read_text()
    (tmp_path / MODEL).write_text(text.replace(*CHAMPION).replace("holdout_days: 93", "holdout_days: 31"))
    (problem,) = check_catalog(Catalog(tmp_path))
    assert "train.holdout_days: 31 does not show how months differ, so champion would never be evaluated; use 155 or more" in problem


@pytest.mark.parametrize("known", ["{first: arrival}", "{hours_after_partition: 1, hours_after_end: 1}"])
def test_knowledge_is_told_from_the_beginning_or_from_the_end(tmp_path: Path, known: str) -> None:
    (problem,) = problems(tmp_path, WEEKS, "datasets/results/dataset.yaml", "{hours_after_end: 0}", known)
    assert "knowledge: give exactly one of hours_after_partition and hours_after_end" in problem


def assert_found(found: list[str], beginning: str) -> None:
    assert [line[: len(beginning)] for line in found] == ([beginning] if beginning else [])


def problems(folder: Path, shape: Shape, file: str, old: str, new: str) -> list[str]:
    """What `check` says of a shape in which one thing is another."""
    catalog = shape.declare(folder)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    return check_catalog(Catalog(catalog.root))
