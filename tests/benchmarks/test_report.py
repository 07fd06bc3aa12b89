"""A benchmark says what it measured, on what, and never how much quicker something is that did another thing."""

from __future__ import annotations

import json

import pytest

from benchmarks.report import Report, differences

TOLERANCE = {"drift": 1e-9}
SAME = {"rows": {"weather": 72}, "drift": {"carrier": 0.1}, "verdict": "blessed", "predictions": [0.25, 0.5]}


def test_json_is_one_object_on_stdout_with_name_figures_ratios_and_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert Report("night", {"script_s": 12.34567, "nights": {"first": [1.0, 2]}}, {"a_over_b": 1.023456}).print(as_json=True) == 0
    printed = capsys.readouterr().out
    document = json.loads(printed)
    assert printed.count("\n") == 1
    assert list(document) == ["name", "figures", "ratios", "machine"]
    assert document["figures"] == {"script_s": 12.35, "nights": {"first": [1.0, 2]}}
    assert document["ratios"] == {"a_over_b": 1.023}
    assert set(document["machine"]) == {"cores", "memory_gb", "python", "platform"}


@pytest.mark.parametrize("as_json", [True, False])
def test_sides_that_differ_get_no_ratio_and_fail(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    report = Report("night", {"script_s": 12.0}, {"scheduler_over_script": 0.5}, ["2013-02-02.rows: 1 here, 2 there"])
    assert report.print(as_json=as_json) == 1
    printed = capsys.readouterr()
    assert "scheduler_over_script" not in printed.out
    assert "2013-02-02.rows: 1 here, 2 there" in printed.err
    if as_json:
        assert json.loads(printed.out)["ratios"] == {}


def test_the_table_shows_nested_figures_and_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    Report("parse", {"task_runs_s": {"train": 1.5}}, {"a_over_b": 2.0}).print(as_json=False)
    printed = capsys.readouterr().out
    assert "task_runs_s.train" in printed
    assert "a_over_b" in printed


def test_equal_results_do_not_differ() -> None:
    assert differences(SAME, {**SAME, "drift": {"carrier": 0.1 + 1e-10}}, tolerance=TOLERANCE) == []
    assert differences({"auc": float("nan")}, {"auc": float("nan")}, tolerance={}) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": {"weather": 71}}, "rows.weather: 72 here, 71 there"),
        ({"rows": {"outcomes": 72}}, "rows: only one side has outcomes, weather"),
        ({"drift": {"carrier": 0.1 + 1e-8}}, "drift.carrier: 0.1 here"),
        ({"verdict": "rejected"}, "verdict: 'blessed' here, 'rejected' there"),
        ({"predictions": [0.25]}, "predictions: 2 here, 1 there"),
        ({"predictions": [0.25, 0.5 + 1e-15]}, "predictions: 0.5 here"),
        ({"predictions": [0.5, 0.25]}, "(the first of 2 that differ)"),
        ({"predictions": [0.25, float("nan")]}, "predictions: 0.5 here, nan there"),
    ],
)
def test_each_difference_is_named(change: dict[str, object], words: str) -> None:
    found = differences(SAME, {**SAME, **change}, tolerance=TOLERANCE)
    assert len(found) == 1
    assert words in found[0]
