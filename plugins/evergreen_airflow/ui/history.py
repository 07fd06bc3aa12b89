"""The layout of a bar chart that shows one metric of a dataset by partition, with the current partition highlighted.

templates/history.html renders it as SVG with attributes and classes only, because the page's policy allows no inline style.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from include.evergreen.foundation.grain import Partition

MIN_HEIGHT = 2.0  # of a bar for a value above zero, so that one row in a million is visible


@dataclass(frozen=True)
class Point:
    """One partition's value.

    :param day: the partition
    :param value: a count
    :param note: shown after the value
    :param hollow: whether its bar is drawn without a fill
    """

    day: Partition
    value: int
    note: str = ""
    hollow: bool = False


@dataclass(frozen=True)
class Bar:
    """A bar: its rectangle, the ``slot`` around it that reacts to the mouse, and its ``label``."""

    x: float
    y: float
    width: float
    height: float
    slot_x: float
    slot_width: float
    day: Partition
    here: bool
    hollow: bool
    label: str


@dataclass(frozen=True)
class Chart:
    """A chart with one bar for each partition.

    :param name: what the values count
    :param points: the earlier partitions, oldest first, and then the current one
    :param width: width of the plot, in units of the SVG's view box
    :param height: height of the plot, in the same units
    """

    name: str
    points: Sequence[Point]
    width: float = 600.0
    height: float = 120.0

    @property
    def highest(self) -> int:
        """The largest value."""
        return max(point.value for point in self.points)

    @property
    def before(self) -> list[int]:
        """The values of the earlier partitions, oldest first."""
        return [point.value for point in self.points[:-1]]

    @property
    def caption(self) -> str:
        """This partition's value and the median of the earlier ones."""
        here = f"{self.points[-1].value:,} in this partition"
        if not self.before:
            return f"{here}; no earlier partition was validated"
        count = len(self.before)
        return f"{here}; the median of the {count} previous {'partition' if count == 1 else 'partitions'} is {median(self.before):,g}"

    @property
    def median_y(self) -> float | None:
        """The y position of the median line, or None without earlier partitions or if all values are zero."""
        return self._y(median(self.before)) if self.before and self.highest else None

    @property
    def bars(self) -> list[Bar]:
        """The bars, from left to right."""
        slot = self.width / max(len(self.points), 12)  # so that a few bars are not too wide
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
                label=f"{point.day}: {point.value:,}{f' ({point.note})' if point.note else ''}",
            )
            for number, point in enumerate(self.points)
        ]

    def _y(self, value: float) -> float:
        if not value:
            return self.height
        return self.height - max(MIN_HEIGHT, value / self.highest * self.height)
