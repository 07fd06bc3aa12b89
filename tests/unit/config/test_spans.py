"""Windows and waits in declarations: how they are said, what became of the older keys, and that no record's digest changes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.base import RECORDED
from include.evergreen.config.check import check_catalog
from include.evergreen.config.models import Input
from include.evergreen.config.training import Weights
from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.span import Span
from include.evergreen.training.recipes import DECLARED, signature_digest
from tests.unit.config.conftest import Change

OLDER: dict[str, Any] = {
    "name": "takings", "description": "x", "owner": "x", "task": "classification", "rows": "visits",
    "inputs": [
        {"dataset": "visits"}, {"dataset": "results", "lag_days": 2, "window_days": 40}, {"dataset": "loads", "lag_hours": 3},
        {"dataset": "shops", "max_age_days": 8},
    ],
    "target": {"dataset": "results", "column": "taken", "positive": True, "within_days": 60, "absent": "negative"},
    "features": [{"name": "size", "kind": "numeric", "description": "x"}],
    "train": {
        "estimator": "sklearn.ensemble.HistGradientBoostingClassifier", "window_days": 90, "min_days": 20, "holdout_days": 9,
        "weights": {"half_life_days": 30}, "early_stop": {"days": 4},
    },
    "gate": {"criteria": [{"kind": "absolute", "metric": "auc", "at_least": 0.5}]},
    "monitor": {"window_days": 3, "performance_days": 7},
}  # fmt: skip
RECIPE = "086c37596d17f4a26fc79c800f6b404f9c3248a54e88ab26d99f7575a86fb00e"  # these two were made by the commit before there were spans
SIGNATURE = "5a998601e26e9f9efe990eea28ddc908a5f9c0e72ec1730108f95292aa4fb6a6"


def test_what_was_recorded_in_days_is_read_and_its_digests_stay() -> None:
    model = ModelConfig.model_validate(OLDER, context=RECORDED)
    assert (model.inputs[1].lag, model.inputs[2].lag, model.inputs[3].max_age) == (Span(2, "day"), Span(3, "hour"), Span(8, "day"))
    assert (model.train.min_history, model.target.within) == (Span(20, "day"), Span(60, "day"))
    declared = model.model_dump(mode="json", include=set(DECLARED), exclude_defaults=True, context=RECORDED)
    drift = model.monitor.model_dump(exclude={"performance_window", "estimate", "slices"}, context=RECORDED)
    assert (document_digest(declared), signature_digest(model)) == (RECIPE, SIGNATURE)
    assert drift["window_days"] == 3 and "window" not in drift
    again = ModelConfig.model_validate({**OLDER, **declared}, context=RECORDED)
    assert again.model_copy(update={"monitor": model.monitor}) == model


def test_a_span_in_another_unit_is_recorded_as_it_is_said() -> None:
    said = Input.model_validate({"dataset": "sales", "lag": "1 partition", "window": "2 quarters"})
    written = said.model_dump(mode="json", exclude_defaults=True, context=RECORDED)
    assert written == {"dataset": "sales", "lag": "1 partition", "window": "2 quarters"}
    assert Input.model_validate(written, context=RECORDED) == said


@pytest.mark.parametrize(("days", "half_life"), [(30.0, Span(30, "day")), (2.5, Span(3600, "minute"))])
def test_a_half_life_that_was_no_whole_number_is_read_to_the_minute(days: float, half_life: Span) -> None:
    assert Weights.model_validate({"half_life_days": days}, context=RECORDED).half_life == half_life


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("window: 60 days", "window_days: 60", "12: train.window_days: is now window: write `window: 60 days`"),
        ("window: 60 days", "min_days: 20", "12: train.min_days: is now min_history: write `min_history: 20 days`"),
        ("{dataset: sales}", "{dataset: sales, lag_days: 1}", "7: inputs[0].lag_days: is now lag: write `lag: 1 day`"),
        ("{dataset: sales}", "{dataset: sales, lag_hours: 2}", "7: inputs[0].lag_hours: is now lag: write `lag: 2 hours`"),
        ("window: 60 days", "weights: {half_life_days: 2.5}",
         "12: train.weights.half_life_days: is now half_life: write `half_life: 3600 minutes`"),
        ("window: 60 days", "window_days: sixty",
         "12: train.window_days: is now window, a length such as 60 days; write `window: 60 days`, with your"),
        ("retrain:\n", "retrain:\n  cooldown_days: 3\n", "18: retrain.cooldown_days: is now cooldown: write `cooldown: 3 days`"),
        ("window: 60 days", "window: 60", "12: train.window: '60' is no number with a unit; write it such as 60 days or 60 partitions"),
        ("window: 60 days", "window: 0 days", "12: train.window: 0 days is nothing; allowed: from 1 day on"),
        ("window: 60 days", "window: 11 years", "12: train.window: 11 years is too long; allowed: up to 3660 days, or 100000 partitions"),
        ("window: 60 days", "window: 2 months",
         "12: train.window: 2 months is no whole number of days, which the partitions of sales are; write 62 days"),
        ("window: 60 days", "holdout: 36 hours",
         "12: train.holdout: 36 hours is no whole number of days, which the partitions of sales are; write 2 days"),
        ("window: 60 days", "weights: {half_life: 2 months}",
         "12: train.weights.half_life: 2 months are not all of one length; write 62 days"),
        ("retrain:\n", "monitor: {window: 40 partitions}\nretrain:\n",
         "17: monitor.window: 40 partitions is too long: partitions of sales are days"),
        ("retrain:\n", "retrain:\n  max_cooldown: 6 days\n",
         "18: retrain.max_cooldown: 6 days is less than cooldown (7 days), which it is to prolong"),
        ("retrain:\n", "max_champion_age: 1 quarter\nretrain:\n", "17: max_champion_age: 1 quarter is no whole number of days"),
        ("column: amount}", "column: amount, within: 1 week}", ""),
        ("window: 60 days", "window: 60 partitions", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_what_could(include: Path, change_model: Change, old: str, new: str, problem: str) -> None:
    path = change_model(old, new)
    beginning = f"{path}:{problem}"
    assert [line[: len(beginning)] for line in check_catalog(Catalog(include))] == ([beginning] if problem else [])


@pytest.mark.parametrize(
    ("call", "written"),
    [
        ('read.trailing(rows, "sales", days=7, group_by="shop")', "days=7 is now span: write span='7 days'"),
        ('read.window("sales", 1)', "1 is now span: write span='1 day'"),
        ('read.window("sales", days=DAYS)', "days=DAYS is now span: write span='60 days'"),
        ('read.window("sales", span="7 days")', ""),
        ("dt.timedelta(days=7)", ""),
    ],
)
def test_days_in_features_are_refused_with_the_line(include: Path, call: str, written: str) -> None:
    path = Catalog(include).features_path("revenue")
    path.write_text(f"def features(read):\n    return {call}\n")
    assert check_catalog(Catalog(include)) == ([f"{path}:2: {written}"] if written else [])


@pytest.mark.skipif(shutil.which("sed") is None, reason="sed is not installed")
def test_the_command_of_the_guide_writes_all_of_them(include: Path, change_model: Change, change_dataset: Change) -> None:
    change_model("{dataset: sales}", "{dataset: sales, lag_days: 1, window_days: 40}")
    change_model("column: amount}", "column: amount, within_days: 2}")
    change_model(
        "  window: 60 days",
        "  window_days: 60\n  min_days: 20\n  holdout_days: 9\n  weights: {half_life_days: 30}\n  early_stop: {days: 3, rounds: 9}",
    )
    change_model("linear_model.Ridge", "ensemble.HistGradientBoostingRegressor")
    change_model("n: 1}", "n: 1, within_days: 5}")
    change_model(
        "retrain:\n",
        "max_champion_age_days: 30\nmonitor: {window_days: 1, performance_days: 7}\nretrain:\n  cooldown_days: 3\n  max_cooldown_days: 9\n",
    )
    model = Catalog(include).model_path("revenue")
    dataset = change_dataset(
        "keys: [shop]",
        "keys: [shop]\nvolume: {window_partitions: 28, min_partitions: 1}\nreferences:\n  - {columns: [shop], dataset: sales, lag_days: 1, "
        "days: 7}",
    )
    features = Catalog(include).features_path("revenue")
    features.write_text('def features(read):\n    return read.trailing(read.rows(), "sales", days=1, group_by=dt.timedelta(days=1))\n')
    script = PROJECT_ROOT / "tools/lengths_of_time.sed"
    subprocess.run(["sed", "-E", "-i", "-f", str(script), str(model), str(dataset)], check=True)
    subprocess.run(["sed", "-E", "-i", "-f", str(script), str(features)], check=True)
    declared = Catalog(include).model("revenue")
    assert (declared.inputs[0].lag, declared.train.early_stop and declared.train.early_stop.holdout) == (Span(1, "day"), Span(3, "day"))
    assert Catalog(include).dataset("sales").references[0].window == Span(7, "day")
    assert [line for line in check_catalog(Catalog(include)) if "is now" in line] == [
        f"{features}:2: days=1 is now span: write span='1 day'"
    ]
