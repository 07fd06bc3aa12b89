"""Geometry of a card's plots (lines, dots, bars) in view-box units; `card.html.j2` renders them as SVG.

Geometry alone: colours and sizes of text are the style sheet's, so that the page needs no inline style.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from include.evergreen.promotion.cards.holdout import Bin, Histogram
from include.evergreen.promotion.cards.wording import figure

DOT_RADIUS = (3.0, 8.0)  # of the bins with the fewest and the most rows


@dataclass(frozen=True)
class Axis:
    """A range of values laid over ``length`` units."""

    low: float
    high: float
    length: float

    def at(self, value: float) -> float:
        """Where a value lies on the axis.

        :param value: in the unit of the range; one outside of it lies at its end
        :returns: from 0 to ``length``, in units of the view box, with two decimals
        """
        return round((min(max(value, self.low), self.high) - self.low) / (self.high - self.low) * self.length, 2)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where round values lie, and the values."""
        step = round_step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        values = [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return [(self.at(value), f"{value:.4g}") for value in values]


@dataclass(frozen=True)
class Dot:
    """A bin of a calibration plot: its centre, its interval from ``top`` to ``bottom``, and the text that the mouse shows."""

    x: float
    y: float
    radius: float
    top: float
    bottom: float
    is_off: bool
    message: str


@dataclass(frozen=True)
class CalibrationPlot:
    """What was predicted (to the right) against what came (upwards); on the diagonal they agree."""

    bins: Sequence[Bin]
    size: float = 320.0

    @property
    def axis(self) -> Axis:
        """The range of both directions, in round numbers that hold all dots and intervals."""
        values = [value for bin_result in self.bins for value in (bin_result.predicted, bin_result.low, bin_result.high)]
        step = round_step((max(values) - min(values)) / 5)
        low, high = math.floor(min(values) / step) * step, math.ceil(max(values) / step) * step
        return Axis(low, high if high > low else low + step, self.size)  # one bin of one value has no range

    @property
    def dots(self) -> list[Dot]:
        """One dot for each bin; the area grows with the bin's rows."""
        axis, most = self.axis, max(bin_result.rows for bin_result in self.bins)
        smallest, largest = DOT_RADIUS
        return [
            Dot(
                x=axis.at(bin_result.predicted),
                y=round(self.size - axis.at(bin_result.observed), 2),
                radius=round(smallest + (largest - smallest) * math.sqrt(bin_result.rows / most), 2),
                top=round(self.size - axis.at(bin_result.high), 2),
                bottom=round(self.size - axis.at(bin_result.low), 2),
                is_off=bin_result.is_off,
                message=f"predicted {figure(bin_result.predicted)}, observed {figure(bin_result.observed)} "
                f"({figure(bin_result.low)} to {figure(bin_result.high)}), {bin_result.rows:,} rows",
            )
            for bin_result in self.bins
        ]


@dataclass(frozen=True)
class PlotColumn:
    """A column of a histogram, by its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class HistogramPlot:
    """How the predictions lie and, of a regression, what came in their place."""

    histogram: Histogram
    width: float = 420.0
    height: float = 160.0

    @property
    def axis(self) -> Axis:
        """The range of the values, to the right."""
        return Axis(self.histogram.edges[0], self.histogram.edges[-1], self.width)

    @property
    def highest(self) -> float:
        """The share that has the plot's whole height."""
        return max([*self.histogram.predicted, *self.histogram.observed, 1e-9])

    @property
    def columns(self) -> list[PlotColumn]:
        """The shares of the predictions, from left to right."""
        slot = self.width / len(self.histogram.predicted)
        heights = [share / self.highest * self.height for share in self.histogram.predicted]
        return [
            PlotColumn(round(number * slot + 0.5, 2), round(self.height - height, 2), round(slot - 1, 2), round(height, 2))
            for number, height in enumerate(heights)
        ]

    @property
    def outline(self) -> str:
        """The points of a line along the tops of what came; empty where there is none."""
        slot = self.width / max(len(self.histogram.observed), 1)
        points = []
        for number, share in enumerate(self.histogram.observed):
            y = round(self.height - share / self.highest * self.height, 2)
            points += [f"{round(number * slot, 2)},{y}", f"{round((number + 1) * slot, 2)},{y}"]
        return " ".join(points)


@dataclass(frozen=True)
class BarInRow:
    """A bar in a table's row, on a scale that all rows share, with a whisker for an interval and a mark for a comparison."""

    start: float
    width: float
    low: float | None
    high: float | None
    mark: float | None


def bars_in_rows(
    values: Sequence[float],
    intervals: Sequence[tuple[float, float] | None],
    marks: Sequence[float | None] | None = None,
    length: float = 120.0,
) -> list[BarInRow]:
    """One bar for each value, all from zero; negative ones to its left.

    :param values: what the bars show
    :param intervals: the ends of each bar's whisker, in the unit of the values; None draws none
    :param marks: what each bar is compared with, in the same unit
    :param length: the length of the scale, in units of the view box
    :returns: the bars, in the order of the values
    """
    marks = marks or [None] * len(values)
    ends = [0.0, *values, *(end for interval in intervals if interval for end in interval), *(mark for mark in marks if mark is not None)]
    axis = Axis(min(ends), max(ends) if max(ends) > min(ends) else min(ends) + 1.0, length)
    zero = axis.at(0.0)
    return [
        BarInRow(
            start=min(zero, axis.at(value)),
            width=round(max(abs(axis.at(value) - zero), 0.5), 2),
            low=axis.at(interval[0]) if interval else None,
            high=axis.at(interval[1]) if interval else None,
            mark=axis.at(mark) if mark is not None else None,
        )
        for value, interval, mark in zip(values, intervals, marks, strict=True)
    ]


def round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is large enough for the distance between two ticks.

    :param least: what it must be at least
    :returns: the step; 1 when ``least`` is 0 or below
    """
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= least * (1 - 1e-9))
