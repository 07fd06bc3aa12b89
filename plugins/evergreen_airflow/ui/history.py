"""One figure of a dataset by partition, as a chart of bars with this partition marked: where each bar stands and how high.

Drawn by templates/history.html as SVG, with attributes and classes alone: the page's policy allows no inline style.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

LEAST_HEIGHT = 2.0  # of a bar that stands for more than nothing, so that one row of a million is seen


@dataclass(frozen=True)
class Point:
    """A partition's figure. ``note`` says what else is to be known of it; ``hollow`` that it counts for less."""

    day: dt.date
    value: int
    note: str = ""
    hollow: bool = False


@dataclass(frozen=True)
class Bar:
    """A rectangle and the words for it."""

    x: float
    y: float
    width: float
    height: float
    slot_x: float
    slot_width: float
    day: dt.date
    here: bool
    hollow: bool
    words: str


@dataclass(frozen=True)
class Chart:
    """Bars for the partitions before (oldest first) and, the last one, for this one; in units of its own view box."""

    name: str
    points: Sequence[Point]
    width: float = 600.0
    height: float = 120.0

    @property
    def highest(self) -> int:
        return max(point.value for point in self.points)

    @property
    def before(self) -> list[int]:
        return [point.value for point in self.points[:-1]]

    @property
    def words(self) -> str:
        """This partition's figure beside the median of those before."""
        here = f"{self.points[-1].value:,} here"
        if not self.before:
            return f"{here}; no partition before this one was validated"
        count = len(self.before)
        return f"{here}; the median of the {count} {'partition' if count == 1 else 'partitions'} before is {median(self.before):,g}"

    @property
    def median_y(self) -> float | None:
        """Where the line of the median lies; none without partitions before, or with nothing but zeros."""
        return self._y(median(self.before)) if self.before and self.highest else None

    @property
    def bars(self) -> list[Bar]:
        slot = self.width / max(len(self.points), 12)  # two bars must not look like two walls
        return [
            Bar(
                x=round(number * slot + slot * 0.14, 2),
                y=round(self._y(point.value), 2),
                width=round(slot * 0.72, 2),
                height=round(self.height - self._y(point.value), 2),
                slot_x=round(number * slot, 2),
                slot_width=round(slot, 2),
                day=point.day,
                here=number == len(self.points) - 1,
                hollow=point.hollow,
                words=f"{point.day}: {point.value:,}{f' ({point.note})' if point.note else ''}",
            )
            for number, point in enumerate(self.points)
        ]

    def _y(self, value: float) -> float:
        if not value:
            return self.height
        return self.height - max(LEAST_HEIGHT, value / self.highest * self.height)
