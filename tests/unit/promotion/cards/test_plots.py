from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.evergreen.promotion.cards.holdout import Bin
from include.evergreen.promotion.cards.plots import Axis, CalibrationPlot, bars_in_rows, round_step

finite = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.mark.parametrize(("least", "step"), [(0.13, 0.2), (0.2, 0.2), (0.21, 0.5), (6, 10), (100, 100), (0.0011, 0.002), (0, 1)])
def test_steps_are_round(least: float, step: float) -> None:
    assert round_step(least) == pytest.approx(step)


def test_an_axis_is_marked_at_round_values() -> None:
    assert Axis(0.0, 1.0, 320).ticks == [(0, "0"), (64, "0.2"), (128, "0.4"), (192, "0.6"), (256, "0.8"), (320, "1")]
    assert [label for _, label in Axis(20.0, 340.0, 100).ticks] == ["100", "200", "300"]


@given(st.lists(st.tuples(finite, finite, st.floats(0, 100)), min_size=1, max_size=12))
def test_every_dot_and_whisker_of_a_calibration_plot_lies_in_it(bins: list[tuple[float, float, float]]) -> None:
    plot = CalibrationPlot([Bin(predicted, observed, 20, observed - half, observed + half) for predicted, observed, half in bins])
    for dot in plot.dots:
        assert 0 <= dot.x <= plot.size
        assert 0 <= dot.top <= dot.y <= dot.bottom <= plot.size


def test_what_is_predicted_exactly_lies_on_the_diagonal() -> None:
    plot = CalibrationPlot([Bin(0.1, 0.1, 50, 0.05, 0.2), Bin(0.7, 0.7, 100, 0.6, 0.8)])
    assert all(dot.x == pytest.approx(plot.size - dot.y) for dot in plot.dots)
    assert plot.dots[0].radius < plot.dots[1].radius


@given(st.lists(finite, max_size=8))
def test_bars_begin_at_zero_and_keep_to_their_length(values: list[float]) -> None:
    for bar in bars_in_rows(values, [None] * len(values)):
        assert bar.start >= 0
        assert bar.start + bar.width <= 120.51


def test_bars_share_a_scale_with_their_whiskers_and_marks() -> None:
    first, second = bars_in_rows([1.0, 2.0], [(0.5, 1.5), (1.0, 4.0)], [None, 3.0])
    assert (first.width, second.width) == (30.0, 60.0)
    assert (second.low, second.high, second.mark) == (30.0, 120.0, 90.0)
    assert first.mark is None


def test_a_negative_bar_lies_to_the_left_of_zero() -> None:
    better, worse = bars_in_rows([1.0, -1.0], [None, None])
    assert (worse.start, worse.width) == (0.0, 60.0)
    assert better.start == 60.0
