"""Realised performance: intervals that hold the truth as often as they say, and slices."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.check import check_catalog
from include.evergreen.config.metrics import metrics_by_slice, metrics_of, parse_sliced
from include.evergreen.config.monitoring import Rule
from include.evergreen.data.partitions import current_partition, read_partition
from include.evergreen.features.columns import keys_of
from include.evergreen.monitoring import list_observations, monitor, realised
from include.evergreen.monitoring.realised import measure_realised
from include.evergreen.monitoring.window import load_window
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.training.metrics import Measures
from tests.unit.flights import january

DAY = january(20)
KEYS = ["carrier", "flight", "origin"]
TRIALS = 120


def of_rows(labels: np.ndarray, predicted: np.ndarray, day: np.ndarray | None = None) -> realised._Rows:
    days = np.zeros(len(labels), dtype=int) if day is None else day
    return realised._Rows(labels, predicted, days, pd.DataFrame(index=range(len(labels))))


@pytest.mark.parametrize(("rows", "days"), [(300, 1), (5100, 1), (300, 7), (300, 3)])
def test_the_interval_holds_the_true_figure_about_95_times_in_100(rows: int, days: int, air_time: ModelConfig) -> None:
    """Of one day rows are drawn, of several whole days, whose rows are alike."""
    random = np.random.default_rng(0)
    measures, held = Measures(air_time, 0.5), 0
    day = np.arange(rows) * days // rows
    for _ in range(TRIALS):
        errors = random.normal(size=rows) + (random.normal(size=days)[day] if days > 1 else 0)
        low, high = realised._intervals(measures, {"bias": float(errors.mean())}, of_rows(np.zeros(rows), errors, day))["bias"]
        held += low <= 0 <= high
    assert 0.89 <= held / TRIALS <= 0.99


def test_a_draw_of_many_rows_gives_the_interval_of_all_of_them(flight_delay: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    predicted = random.uniform(size=4500)
    labels = (random.uniform(size=4500) < predicted).astype("float64")
    rows, measures = of_rows(labels, predicted), Measures(flight_delay, 0.5)
    measured = {name: value for name, value in measures.measure(labels, predicted).items() if name in ("auc", "log_loss", "accuracy", "f1")}
    whole = realised._intervals(measures, measured, rows)
    monkeypatch.setattr(realised, "MOST_ROWS", 1500)
    of_a_draw = realised._intervals(measures, measured, rows)
    for name, value in measured.items():
        width = whole[name][1] - whole[name][0]
        assert whole[name][0] < value < whole[name][1]
        assert of_a_draw[name] == pytest.approx(whole[name], abs=0.15 * width)


def test_a_single_row_has_figures_and_no_interval(air_time: ModelConfig) -> None:
    figures, failed = realised._figures(Measures(air_time, 0.5), ["mae", "r2"], of_rows(np.ones(1), np.zeros(1)))
    assert (figures, failed) == ([realised.Figure("performance.mae", 1.0, 1)], {})


@pytest.mark.usefixtures("trained")
@pytest.mark.sqlite_only
def test_each_slice_is_observed_over_its_own_rows_and_the_figures_of_all_rows_have_intervals(
    catalog: Catalog, air_time: ModelConfig
) -> None:
    model = air_time.model_copy(update={"monitor": air_time.monitor.model_copy(update={"slices": ("origin", "carrier")})})
    score(catalog, model, DAY, "live")
    message = monitor(catalog, model, DAY, "live").message
    observed = {each.metric: each for each in list_observations("air_time")}
    mae = observed["performance.mae"]
    assert mae.low is not None and mae.high is not None and mae.low < mae.value < mae.high
    assert all(observed[f"performance.{name}"].low is not None for name in metrics_of(model))
    assert "[" not in message
    rows = labelled()
    assert metrics_by_slice(model) == ["mae", "r2"], "those that its gate names, and no hundreds"
    for origin in ("EWR", "JFK", "LGA"):
        own, figure = rows[rows["origin"] == origin], observed[f"performance.mae[origin={origin}]"]
        assert figure.value == pytest.approx((own["prediction"] - own["air_time"]).abs().mean())
        assert figure.rows == len(own)
        assert figure.low is not None and figure.high is not None and figure.low < figure.value < figure.high
    sliced = {name for name in observed if "[carrier=" in name}
    assert 0 < len(sliced) <= 10 * 2
    assert all(observed[name].rows >= 30 for name in sliced)
    assert parse_sliced(model, "performance.mae[carrier=UA]") is not None


@pytest.mark.usefixtures("trained")
@pytest.mark.sqlite_only
def test_slices_that_are_declared_anew_are_observed_of_a_day_that_was_monitored_and_its_report_stays(
    catalog: Catalog, air_time: ModelConfig
) -> None:
    score(catalog, air_time, DAY, "live")
    monitor(catalog, air_time, DAY, "live")
    scored = find_predictions("air_time", DAY)
    assert scored is not None
    model = air_time.model_copy(update={"monitor": air_time.monitor.model_copy(update={"slices": ("origin", "no such feature")})})
    before, after = (load_window(catalog, each, scored) for each in (air_time, model))
    assert before.report_path(before.reference()) == after.report_path(after.reference())
    assert before.input_digest() != after.input_digest()
    names = {each.name for each in measure_realised(catalog, after).figures} - {
        each.name for each in measure_realised(catalog, before).figures
    }
    assert {name.partition("[")[2] for name in names} == {"origin=EWR]", "origin=JFK]", "origin=LGA]"}, "a version has no feature of later"


def test_check_knows_slices_and_says_what_is_missing(tmp_path: Path) -> None:
    include = tmp_path / "include"
    for folder in ("datasets", "models"):
        shutil.copytree(PROJECT_ROOT / "include" / folder, include / folder)
    path = include / "models" / "air_time" / "model.yaml"
    text = path.read_text()
    rule = "\n    - {metric: 'performance.mae[origin=JFK]', above: 20, k: 2, n: 3}"
    path.write_text(text.replace("  rules:", f"  rules:{rule}", 1))
    [problem] = check_catalog(Catalog(include))
    assert "performance is not observed by origin; add it: monitor.slices: [origin]" in problem
    path.write_text(text.replace("monitor: {", "monitor: {slices: [origin], ").replace("  rules:", f"  rules:{rule}", 1))
    assert check_catalog(Catalog(include)) == []
    path.write_text(text.replace("monitor: {", "monitor: {slices: [distance, orign], "))
    assert [problem.partition("; ")[0].split(": ", 2)[2] for problem in check_catalog(Catalog(include))] == [
        "distance is numeric, and no two rows may have the same value", "unknown feature 'orign'",
    ]  # fmt: skip


def test_a_name_is_read_as_that_of_a_slice_by_the_features_that_there_are(air_time: ModelConfig) -> None:
    odd = air_time.features[0].model_copy(update={"name": "origin=a"})
    model = air_time.model_copy(update={"features": (*air_time.features, odd)})
    for feature, value in (("origin=a", "b]"), ("origin", "b=[c]")):
        sliced = parse_sliced(model, f"performance.mae[{feature}={value}]")
        assert sliced is not None and dataclasses.astuple(sliced) == ("mae", feature, value)
    for name in ("performance.mae", "drift.origin", "performance.mae[other=a]", "estimated.mae[origin=a]"):
        assert parse_sliced(model, name) is None
    assert Rule(metric="performance.mae[origin=JFK]", above=1, k=1, n=1).metric


def labelled() -> pd.DataFrame:
    predictions, labels = find_predictions("air_time", DAY), current_partition("outcomes", DAY)
    assert predictions is not None and labels is not None
    frame = predictions.frame()
    return keys_of(frame, KEYS).join(frame["prediction"]).merge(read_partition(labels), on=KEYS).dropna(subset=["air_time"])
