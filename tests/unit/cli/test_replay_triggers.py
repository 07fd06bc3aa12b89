from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from include.evergreen.monitoring import Observation, record_observations
from include.evergreen.monitoring.triggers import list_firings
from tests.unit.cli.conftest import Ask
from tests.unit.flights import january

MODEL = "air_time"  # performance.mae above 20 on 2 of 3 days fires; then it cools down for 7 days


@pytest.fixture
def observed(home: None) -> None:
    for day in range(1, 13):
        figures = [("performance.mae", 30.0 if day in {4, 5, 7, 12} else 10.0), ("performance.rmse", 40.0), ("drift.share", 0.1)]
        record_observations(MODEL, january(day), [Observation(MODEL, january(day), *figure, 1, "backfill", 900) for figure in figures])


def test_it_says_on_which_days_a_rule_would_have_fired_and_fires_nothing(ask: Ask, observed: None) -> None:
    answer = ask("replay-triggers", MODEL)
    assert answer.code == 0
    rows = [line.split() for line in answer.out.splitlines() if line.strip().startswith("2013-")]
    assert [(row[0], row[-1]) for row in rows] == [("2013-01-05", "fire"), ("2013-01-07", "2013-01-12")]
    assert "12 observed days: on 2 days a rule trips, and 1 training would be fired." in answer.out
    assert list_firings(MODEL) == []


def test_a_range_and_json(ask: Ask, observed: None) -> None:
    answer = json.loads(ask("replay-triggers", MODEL, "--from", "2013-01-05", "--to", "2013-01-07", "--json").out)
    assert [(row["partition"], row["held_until"]) for row in answer] == [("2013-01-07", None)]
    assert "1 observed day: no rule trips: 0 trainings" in ask("replay-triggers", MODEL, "--to", "2013-01-01").out


@pytest.mark.parametrize(("name", "magic"), [("triggers.svg", b"<?xml"), ("triggers.png", b"\x89PNG"), ("triggers.pdf", b"%PDF")])
def test_a_picture_shows_the_figures_the_bounds_and_performance(name: str, magic: bytes, ask: Ask, observed: None, tmp_path: Path) -> None:
    assert ask("replay-triggers", MODEL, "--output", str(tmp_path / name)).code == 0
    assert (tmp_path / name).read_bytes().startswith(magic)
    if name.endswith(".svg"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert all(f"<!-- {label} -->" in text for label in ("performance.mae", "drift.share", "performance.rmse"))
        assert "<!-- performance.mae&gt;20 (2 of 3) -->" in text


def test_the_picture_s_axis_is_time(ask: Ask, observed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    drawn: list[object] = []
    plot = Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda axes, x, *values, **given: (drawn.extend(x), plot(axes, x, *values, **given))[1])
    assert ask("replay-triggers", MODEL, "--output", str(tmp_path / "triggers.svg")).code == 0
    assert {type(each) for each in drawn} == {dt.date}, "keys would be drawn side by side, whatever lies between them"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--from", "2013-01-05", "--to", "2013-01-04"), "--to 2013-01-04 is before --from 2013-01-05"),
        (("--output", "triggers.gif"), "a picture's name ends in .svg, .png, .pdf"),
        (("--output", "/nowhere/triggers.svg"), "Name a file in a folder that exists"),
    ],
)
def test_what_cannot_be_replayed_is_told(given: tuple[str, ...], words: str, ask: Ask, observed: None) -> None:
    answer = ask("replay-triggers", MODEL, *given)
    assert answer.code == 2
    assert words in answer.err
