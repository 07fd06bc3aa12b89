"""Where each line, dot and bar of a card's plots stands, in units of their view boxes; `card.html.j2` draws them as SVG.

Geometry alone: colours and sizes of text are the style sheet's, so that the page needs no inline style.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from include.evergreen.promotion.cards.holdout import Bin, Histogram
from include.evergreen.promotion.cards.wording import figure, short

DOT_RADIUS = (3.0, 8.0)  # of the bins with the fewest and the most rows


@dataclass(frozen=True)
class Axis:
    """A range of values laid over ``length`` units."""

    low: float
    high: float
    length: float

    def at(self, value: float) -> float:
        return round((min(max(value, self.low), self.high) - self.low) / (self.high - self.low) * self.length, 2)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where round values lie, and the values."""
        step = round_step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        values = [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return [(self.at(value), short(value)) for value in values]


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    radius: float
    top: float
    bottom: float
    is_off: bool
    words: str


@dataclass(frozen=True)
class CalibrationPlot:
    """What was predicted (to the right) against what came (upwards); on the diagonal they agree."""

    bins: Sequence[Bin]
    size: float = 320.0

    @property
    def axis(self) -> Axis:
        values = [value for each in self.bins for value in (each.predicted, each.low, each.high)]
        step = round_step((max(values) - min(values)) / 5)
        low, high = math.floor(min(values) / step) * step, math.ceil(max(values) / step) * step
        return Axis(low, high if high > low else low + step, self.size)  # one bin of one value has no range

    @property
    def dots(self) -> list[Dot]:
        axis, most = self.axis, max(each.rows for each in self.bins)
        smallest, largest = DOT_RADIUS
        return [
            Dot(
                x=axis.at(each.predicted),
                y=round(self.size - axis.at(each.observed), 2),
                radius=round(smallest + (largest - smallest) * math.sqrt(each.rows / most), 2),
                top=round(self.size - axis.at(each.high), 2),
                bottom=round(self.size - axis.at(each.low), 2),
                is_off=each.is_off,
                words=f"predicted {figure(each.predicted)}, came {figure(each.observed)} "
                f"({figure(each.low)} to {figure(each.high)}), {each.rows:,} rows",
            )
            for each in self.bins
        ]


@dataclass(frozen=True)
class Column:
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
        return Axis(self.histogram.edges[0], self.histogram.edges[-1], self.width)

    @property
    def highest(self) -> float:
        return max([*self.histogram.predicted, *self.histogram.observed, 1e-9])

    @property
    def columns(self) -> list[Column]:
        slot = self.width / len(self.histogram.predicted)
        heights = [share / self.highest * self.height for share in self.histogram.predicted]
        return [
            Column(round(number * slot + 0.5, 2), round(self.height - height, 2), round(slot - 1, 2), round(height, 2))
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
    """One bar for each value, all from zero; negative ones to its left."""
    marks = marks or [None] * len(values)
    ends = [0.0, *values, *(end for each in intervals if each for end in each), *(mark for mark in marks if mark is not None)]
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
    """The smallest of 1, 2 and 5 times a power of ten that is at least ``least``."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= least * (1 - 1e-9))
