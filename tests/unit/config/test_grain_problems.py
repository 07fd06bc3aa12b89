"""What a grain cannot be, and what would do instead: refused by `check` before any run, with file and line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog
from include.evergreen.config.check import check_catalog
from include.evergreen.foundation.grain import Grain
from tests.unit.shop_of_any_grain import Shape

HOURS = Shape(Grain("hour"), Grain("month"), "lag: 1 hour", "lag: 1 month", 3, 2, 1, 1, "2013-03-08")
DAYS = Shape(Grain(), Grain(), "lag: 1 day", "lag: 1 day", 12, 6, 3, 2, "2013-02-25")
MONTHS = Shape(Grain("month"), Grain("quarter"), "lag: 1 month", "lag: 1 quarter", 400, 186, 93, 92, "2013-01-01")
WEEKS = Shape(Grain("week"), Grain(), "lag: 1 week", "lag: 1 day", 84, 42, 21, 7, "2013-03-04")
NEW_YORK = Shape(Grain("day", "America/New_York"), Grain(), "lag: 1 day", "lag: 1 day", 12, 6, 3, 2, "2013-02-25")
BERLIN = "Europe/Berlin"
QUARTERS_OF_A_DAY = Shape(Grain("6 hours", BERLIN), Grain(), "lag: 6 hours", "lag: 1 day", 6, 3, 2, 1, "2013-03-20")
SHIFTS = Shape(Grain("0 6,18 * * *", BERLIN), Grain(), "lag: 12 hours", "lag: 1 day", 6, 3, 2, 1, "2013-03-20")
HALF_MONTHS = Shape(Grain("0 0 1,16 * *"), Grain("week from Sunday"), "lag: 1 partition", "lag: 1 week", 150, 60, 30, 31, "2013-03-01")
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
         "schedule.timezone: a partition of hour has its key in UTC, so that the hour that happens twice has two; remove timezone, or use "
         "grain: 2 hours or longer"),
        (WEEKS, VISITS, "timezone: UTC", "timezone: New York", "schedule.timezone: 'New York' is no IANA zone; write one such as UTC or"),
        (WEEKS, VISITS, "timezone: UTC", "timezone: America/New_York", ""),
        (WEEKS, VISITS, '"0 6 * * 1"', '"0 6 * * 2"',
         "schedule.cron: '0 6 * * 2' comes round at 2013-01-01, within the week 2012-12-31"),
        (WEEKS, VISITS, '"0 6 * * 1"', '"0 6 * * *"', "schedule.grain: '0 6 * * *' comes round more than once in the partition 2012-12-31"),
        (WEEKS, VISITS, '"0 6 * * 1"', '"0 0 1 */3 *"', "schedule.cron: '0 0 1 */3 *' comes round at 2013-01-01, within"),
        (HOURS, PRICES, "grain: month", "grain: quarter", "schedule.grain: '0 6 3 * *' comes round more than once in"),
        (HOURS, PRICES, '"0 6 3 * *"', '"0 6 31 12 *"', ""),
        (HOURS, VISITS, "grain: hour", "grain: 6h", "schedule.grain: '6h' is not allowed; allowed: 15min, 30min, hour, 2 hours, 3 hours"),
        (HOURS, VISITS, "grain: hour", "grain: 5 hours", "schedule.grain: '5 hours' is not allowed; did you mean '"),
        (WEEKS, VISITS, "grain: week", "grain: week from sunday",
         "schedule.grain: 'week from sunday' is not allowed; did you mean 'week from Sunday'?"),
        (WEEKS, VISITS, "grain: week", "grain: week from Sunday",
         "schedule.cron: '0 6 * * 1' comes round at 2013-01-07, within the week 2013-01-06; let it come round when one begins, such as "
         "'0 6 * * 7', with run_offset: -1"),
        (HALF_MONTHS, PRICES, '"0 6 * * 0"', '"0 6 * * 7"', ""),
        (QUARTERS_OF_A_DAY, VISITS, "grain: 6 hours", "grain: 12 hours",
         "schedule.grain: '0 */6 * * *' comes round more than once in the partition 2013-01-01T0000 (Tue 00:00 and Tue 06:00); use grain: "
         "6 hours"),
        (QUARTERS_OF_A_DAY, VISITS, '"0 */6 * * *"', '"30 */6 * * *"', ""),
        (QUARTERS_OF_A_DAY, VISITS, '"0 */6 * * *"', '"0 1-23/6 * * *"',
         "schedule.cron: '0 1-23/6 * * *' comes round at 2013-01-01T0100, within the 6-hour period 2013-01-01T0000"),
        (QUARTERS_OF_A_DAY, VISITS, '"0 */6 * * *"', '"0 6,18 * * *"', ""),
        (QUARTERS_OF_A_DAY, VISITS, 'cron: "0 */6 * * *", run_offset: -1, start: 2013-03-20, end: 2016-12-31, grain: 6 hours',
         'cron: "0 */2 * * *", start: 2013-03-20, end: 2016-12-31, grain: 2 hours',
         "schedule.cron: '0 */2 * * *' comes round at 02:00, which 2013-03-31 does not have in Europe/Berlin: its run would get another "
         "key"),
        (SHIFTS, VISITS, 'grain: "0 6,18 * * *"', 'grain: "0 0,12 * * *"',
         "schedule.grain: '0 0,12 * * *' comes round when each 12-hour period begins; write 12 hours"),
        (SHIFTS, VISITS, 'grain: "0 6,18 * * *"', 'grain: "0,10 6,18 * * *"',
         "schedule.grain: '0,10 6,18 * * *' comes round after 10 minutes; partitions last 15 minutes or longer"),
        (SHIFTS, VISITS, 'grain: "0 6,18 * * *"', "grain: 0 0 30 2 *", "schedule.grain: '0 0 30 2 *' names a date that never comes"),
        (SHIFTS, VISITS, 'grain: "0 6,18 * * *"', "grain: 0 25 * * *", "schedule.grain: '0 25 * * *' is not a cron expression"),
        (SHIFTS, VISITS, 'cron: "0 6,18 * * *"', 'cron: "30 6,18 * * *"', ""),
        (SHIFTS, VISITS, 'cron: "0 6,18 * * *"', 'cron: "0 7,19 * * *"',
         "schedule.cron: '0 7,19 * * *' comes round at 2013-01-01T0700, within the period 2013-01-01T0600; let it come round when one "
         "begins, such as '0 6,18 * * *'"),
        (SHIFTS, VISITS, 'cron: "0 6,18 * * *"', 'cron: "0 * * * *"',
         "schedule.grain: '0 * * * *' comes round more than once in the partition 2012-12-31T1800"),
        (HALF_MONTHS, VISITS, 'cron: "0 0 1,16 * *"', 'cron: "0 6 1,16 * *"', ""),
        (HALF_MONTHS, VISITS, 'cron: "0 0 1,16 * *"', 'cron: "0 6 1 * *"', ""),
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_make_partitions_of_its_grain(
    tmp_path: Path, shape: Shape, file: str, old: str, new: str, problem: str
) -> None:
    assert_found(problems(tmp_path, shape, file.partition(":")[0], old, new), f"{tmp_path}/{file}: {problem}" if problem else "")


@pytest.mark.parametrize(
    ("shape", "old", "new", "problem"),
    [
        (HOURS, "results, lag: 1 hour", "results, lag: 0 hours",
         "9: inputs[1].lag: 0 hours is too short: results is known when its hour ends; use at least 1 hour"),
        (HOURS, "prices, lag: 1 month", "prices, lag: 0 months",
         "10: inputs[2].lag: 0 months is too short: prices is known when its month ends; use at least 1 month"),
        (HOURS, "prices, lag: 1 month", "prices, lag: 1 hour",
         "10: inputs[2].lag: 1 hour is no whole number of months, which the partitions of prices are; write 1 month"),
        (WEEKS, "results, lag: 1 week", "results, lag: 0 days",
         "9: inputs[1].lag: 0 days is too short: results is known when its week ends; use at least 1 week"),
        (WEEKS, "results, lag: 1 week", "results, lag: 7 days", ""),
        (WEEKS, "results, lag: 1 week", "results, lag: 1 partition", ""),
        (WEEKS, "results, lag: 1 week", "results, lag: 8 days",
         "9: inputs[1].lag: 8 days is no whole number of weeks, which the partitions of results are; write 2 weeks"),
        (WEEKS, "min_history: 6 weeks", "min_history: 6 weeks, schedule: {cron: '0 6 * * 2', start: 2013-06-01}",
         "16: train.schedule.cron: '0 6 * * 2' comes round at 2013-01-01, within the week 2012-12-31"),
        (HOURS, "min_history: 2 days", "min_history: 2 days, schedule: {cron: '0 6 * * 2', start: 2013-06-01}", ""),
        (WEEKS, "column: taken", "column: taken, within: 7 weeks",
         "16: train.window: 12 weeks is too short: labels come within 7 weeks"),
    ],
)  # fmt: skip
def test_a_model_that_waits_for_what_is_not_known(tmp_path: Path, shape: Shape, old: str, new: str, problem: str) -> None:
    assert_found(problems(tmp_path, shape, MODEL, old, new), f"{tmp_path}/{MODEL}:{problem}" if problem else "")


@pytest.mark.parametrize(
    ("shape", "old", "new", "problem"),
    [
        (SHIFTS, "results, lag: 12 hours", "results, lag: 8 hours",
         "9: inputs[1].lag: 8 hours is no whole number of periods, which the partitions of results are; write 1 partition"),
        (SHIFTS, "results, lag: 12 hours", "results, lag: 1 day", ""),
        (SHIFTS, "results, lag: 12 hours", "results, lag: 0 partitions",
         "9: inputs[1].lag: 0 partitions is too short: results is known when its period ends; use at least 1 partition"),
        (SHIFTS, "{window: 12 partitions", "{window: 6 days", ""),
        (SHIFTS, "{window: 12 partitions", "{window: 1 month",
         "16: train.window: 1 month is no whole number of periods, which the partitions of visits are; write 61 partitions"),
        (HALF_MONTHS, "{window: 10 partitions", "{window: 1 year", ""),
        (HALF_MONTHS, "{window: 10 partitions", "{window: 100 days",
         "16: train.window: 100 days is no whole number of periods, which the partitions of visits are; write 7 partitions"),
        (HALF_MONTHS, "prices, lag: 1 week", "prices, lag: 8 days",
         "10: inputs[2].lag: 8 days is no whole number of weeks, which the partitions of prices are; write 2 weeks"),
        (QUARTERS_OF_A_DAY, "results, lag: 6 hours", "results, lag: 4 hours",
         "9: inputs[1].lag: 4 hours is no whole number of 6-hour periods, which the partitions of results are; write 6 hours"),
        (QUARTERS_OF_A_DAY, "min_history: 3 days", "min_history: 3 days, schedule: {cron: '0 2 * * *', start: 2013-06-01}",
         "16: train.schedule.cron: '0 2 * * *' comes round at 2013-01-01T0200, within the 6-hour period 2013-01-01T0000"),
        (NEW_YORK, "min_history: 6 days", "min_history: 6 days, schedule: {cron: '30 2 * * *', run_offset: -1, start: 2013-06-01}",
         "16: train.schedule.cron: '30 2 * * *' comes round at 02:30, which 2014-03-09 does not have in America/New_York"),
        (QUARTERS_OF_A_DAY, "min_history: 3 days", "min_history: 3 days, schedule: {cron: '0 6 * * 1', start: 2013-06-01}", ""),
    ],
)  # fmt: skip
def test_lengths_of_partitions_that_are_no_plain_units(tmp_path: Path, shape: Shape, old: str, new: str, problem: str) -> None:
    assert_found(problems(tmp_path, shape, MODEL, old, new), f"{tmp_path}/{MODEL}:{problem}" if problem else "")


def test_times_that_happen_twice_by_the_clock_of_a_zone(tmp_path: Path) -> None:
    old = 'cron: "0 6,18 * * *", run_offset: -1, start: 2013-03-20, end: 2016-12-31, grain: "0 6,18 * * *"'
    new = 'cron: "45 * * * *", start: 2013-04-01, grain: 45 * * * *'
    assert_found(
        problems(tmp_path, SHIFTS, "datasets/visits/dataset.yaml", f"{old}, timezone: {BERLIN}", f"{new}, timezone: {BERLIN}"),
        f"{tmp_path}/{VISITS}: schedule.cron: '45 * * * *' comes round at 02:45, which 2013-10-27 has twice in {BERLIN}: both runs would",
    )


RULE = "metric: performance.mae, above: 0.0001, k: 1, n: 1"
CHAMPION = ("kind: absolute, metric: mae, at_most: 20", "kind: champion, metric: mae, must: not_worse, margin: 1")
STOPPED = "estimator: sklearn.ensemble.HistGradientBoostingRegressor, early_stop: {holdout: %s}"
TUNED = "estimator: sklearn.linear_model.Ridge, search: {alpha: {uniform: [0, 1]}}, tune: {candidates: 2, folds: %d}"


@pytest.mark.parametrize(
    ("shape", "old", "new", "problem"),
    [
        (MONTHS, "min_history: 6 months, holdout: 3 months", "min_history: 1 month, holdout: 1 month",
         "16: train.min_history: 1 month has 1 month, all of which holdout (1 month) keeps from fitting; use at least 2 months"),
        (MONTHS, "{window: 13 months", "{window: 5 months",
         "16: train.window: 5 months has 5 months, and min_history (6 months) asks for 6"),
        (MONTHS, "{window: 13 months", "{window: 400 days",
         "16: train.window: 400 days is no whole number of months, which the partitions of visits are; write 13 months"),
        (MONTHS, "{window: 13 months", "{window: 2 years", ""),
        (MONTHS, "{window: 13 months", "{window: 9000 partitions",
         "16: train.window: 9000 partitions is too long: partitions of visits are"),
        (WEEKS, "min_history: 6 weeks, holdout: 3 weeks", "min_history: 14 days, holdout: 2 weeks",
         "16: train.min_history: 14 days has 2 weeks, all"),
        (HOURS, "min_history: 2 days", "min_history: 2 days", ""),
        (DAYS, "estimator: sklearn.linear_model.Ridge", TUNED % 3,
         "16: train.tune.folds: 3 needs more days to fit on than the 3 days (min_history - holdout) that there may be; give fewer"),
        (WEEKS, "estimator: sklearn.linear_model.Ridge", TUNED % 3, "16: train.tune.folds: 3 needs more weeks to fit on than the 3 weeks"),
        (HOURS, "estimator: sklearn.linear_model.Ridge", TUNED % 3, ""),  # a day is left, which has 24
        (DAYS, "estimator: sklearn.linear_model.Ridge", STOPPED % "3 days",
         "16: train.early_stop.holdout: 3 days leaves none of the 3 days (min_history - holdout) that there may be to fit on; give less"),
        (WEEKS, "estimator: sklearn.linear_model.Ridge", STOPPED % "3 weeks",
         "16: train.early_stop.holdout: 3 weeks leaves none of the 3 weeks"),
        (WEEKS, "estimator: sklearn.linear_model.Ridge", STOPPED % "2 weeks", ""),
        (HOURS, RULE, f"{RULE.replace('k: 1, n: 1', 'k: 3, n: 3')}, within: 1 day", ""),
        (DAYS, RULE, f"{RULE.replace('k: 1, n: 1', 'k: 3, n: 3')}, within: 2 days",
         "22: retrain.rules[0].within: 2 days has at most 2 observed days, and k asks for 3; use at least 3 days"),
        (WEEKS, RULE, f"{RULE.replace('k: 1, n: 1', 'k: 2, n: 3')}, within: 7 days",
         "22: retrain.rules[0].within: 7 days has at most 1 observed week, and k asks for 2; use at least 2 weeks"),
        (DAYS, "retrain:", "retrain:\n  cooldown: 7 days\n  max_per_week: 1",
         "22: retrain.max_per_week: 1 is never exceeded: cooldown (7 days) allows 1 in a week. Remove it"),
        (DAYS, "retrain:", "retrain:\n  cooldown: 1 day\n  max_per_week: 4",
         "22: retrain.max_per_week: 4 is never exceeded: cooldown (1 day) allows 4 in a week. Remove it, or give less than 4"),
        (DAYS, "retrain:", "retrain:\n  cooldown: 0 days\n  max_per_week: 7", "22: retrain.max_per_week: 7 is never exceeded"),
        (HOURS, "retrain:", "retrain:\n  cooldown: 0 days\n  max_per_week: 7", ""),
        (WEEKS, "retrain:", "retrain:\n  cooldown: 0 days\n  max_per_week: 2", "22: retrain.max_per_week: 2 is never exceeded"),
        (HOURS, *CHAMPION, ""),  # 24 hours show how hours differ
        (MONTHS, "holdout: 3 months", "holdout: 1 month", ""),
    ],
)  # fmt: skip
def test_spans_that_do_not_go_together_in_partitions(tmp_path: Path, shape: Shape, old: str, new: str, problem: str) -> None:
    assert_found(problems(tmp_path, shape, MODEL, old, new), f"{tmp_path}/{MODEL}:{problem}" if problem else "")


def test_one_month_does_not_show_how_months_differ(tmp_path: Path) -> None:
    text = MONTHS.declare(tmp_path).model_path("takings").read_text()
    (tmp_path / MODEL).write_text(text.replace(*CHAMPION).replace("holdout: 3 months", "holdout: 1 month"))
    (problem,) = check_catalog(Catalog(tmp_path))
    assert "train.holdout: 1 month does not show how months differ, so champion would never be evaluated; use 5 months or more" in problem


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


@pytest.mark.parametrize(
    ("cron", "lost"),
    [('"30 2 * * *"', "'30 2 * * *' comes round at 02:30, which 2013-03-10 does not have in America/New_York"), ('"30 3 * * *"', "")],
)
def test_a_night_s_run_at_an_hour_that_clocks_are_put_forward_over(tmp_path: Path, cron: str, lost: str) -> None:
    """Airflow would give the run of that night its own day as key, and the day before none."""
    include = tmp_path / "include"
    shutil.copytree(PROJECT_ROOT / "include" / "datasets", include / "datasets")
    path = include / "datasets" / "weather" / "dataset.yaml"
    path.write_text(path.read_text().replace('"0 0 * * *"', cron))
    found = check_catalog(Catalog(include))
    assert [problem.startswith(f"{path}:9: schedule.cron: {lost}") for problem in found] == ([True] if lost else [])


def test_a_reference_to_partitions_of_another_length(tmp_path: Path) -> None:
    shape = HOURS
    found = problems(tmp_path, shape, "datasets/visits/dataset.yaml", "keys:", "references: [{columns: [shop], dataset: prices}]\nkeys:")
    told = "references[0].dataset: the partitions of prices are months and those of this dataset hours"
    assert any(told in problem for problem in found), found
