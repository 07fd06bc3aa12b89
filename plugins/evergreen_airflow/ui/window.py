"""The texts and bars of the page of a monitored window: figures, distributions, and what changed in a week."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evergreen_airflow.ui.versions import Tone

if TYPE_CHECKING:
    from include.evergreen.monitoring.overview import Bar, ColumnOverview, WindowOverview
    from include.evergreen.monitoring.verdicts import ColumnVerdict

WIDTH, HEIGHT = 300.0, 84.0  # of a distribution, in units of its view box
LEAST_SHARE = 0.005  # of a bar in the legend: what is less is written as 0%
LONGEST_NAME = 30  # of a category in the legend; pointing at its bar shows all of it
TONES: dict[str, Tone] = {"drifted": "bad", "alike": "good"}


@dataclass(frozen=True)
class Height:
    """A bar that stands on the lower edge."""

    y: float
    height: float


@dataclass(frozen=True)
class BarView:
    """The bars of both sides, and of a week before, of one part of a distribution; ``message`` is what the mouse shows."""

    x: float
    middle: float
    width: float
    reference: Height
    window: Height
    before: Height | None
    message: str


@dataclass(frozen=True)
class ColumnView:
    """One row of the table, as text.

    :param column: what there is to see
    """

    column: ColumnOverview

    @property
    def name(self) -> str:
        """As it is stored."""
        return self.column.verdict.column

    @property
    def state(self) -> str:
        """The verdict."""
        return self.column.verdict.state

    @property
    def tone(self) -> Tone:
        """Of the verdict."""
        return TONES.get(self.column.verdict.state, "muted")

    @property
    def words(self) -> list[str]:
        """What else is to be said of it."""
        verdict = self.column.verdict
        said = ["the share of missing values"] if verdict.aspect == "missing" and verdict.effect is not None else []
        said += [f"new: {', '.join(list(verdict.new)[:5])}"] if verdict.new and verdict.state == "drifted" else []
        return said + ([f"gone: {', '.join(verdict.vanished[:5])}"] if verdict.vanished else [])

    @property
    def effect(self) -> str:
        """With what matters."""
        return _effect(self.column.verdict)

    @property
    def p_value(self) -> str:
        """Corrected for all comparisons."""
        return "" if self.column.verdict.p_value is None else f"{self.column.verdict.p_value:.2g}"

    @property
    def before(self) -> str:
        """The verdict of a week before, with its effect."""
        before = self.column.before
        return "" if before is None else f"{before.state} {_effect(before)}".strip()

    @property
    def change(self) -> str:
        """Of the effect, in a week."""
        return "" if self.column.change is None else f"{self.column.change:+.3f}"

    @property
    def legend(self) -> str:
        """Of a category, what the bars are, from left to right, with their shares of the window; nobody can tell that from their order."""
        if self.column.is_numeric:
            return ""
        shown = [bar for bar in self.column.bars if max(bar.reference, bar.window) >= LEAST_SHARE]
        return ", ".join(f"{_shortened(bar.name)} {bar.window:.0%}" for bar in shown)

    @property
    def bars(self) -> list[BarView]:
        """Its distribution."""
        bars = self.column.bars
        highest = max([*(max(bar.reference, bar.window, bar.before or 0.0) for bar in bars), 1e-9])
        step = WIDTH / len(bars)
        return [_bar(bar, number * step, step, highest) for number, bar in enumerate(bars)]


@dataclass(frozen=True)
class WindowView:
    """The page.

    :param overview: what there is to see
    """

    overview: WindowOverview

    @property
    def columns(self) -> list[ColumnView]:
        """The rows of the table."""
        return [ColumnView(column) for column in self.overview.columns]

    @property
    def rows(self) -> str:
        """What the window is."""
        days = f" of {self.overview.days} days" if self.overview.days > 1 else ""
        return f"{self.overview.rows:,} rows{days} up to {self.overview.partition}"

    @property
    def has_before(self) -> bool:
        """Whether there is a window to compare with."""
        return self.overview.rows_before is not None

    @property
    def compared(self) -> str:
        """What the window is compared with, or why with none."""
        day = self.overview.partition_before
        if self.overview.rows_before is not None:
            return f"{self.overview.rows_before:,} rows up to {day}."
        return f"Version {self.overview.version} has no profiles of a window up to {day}, so nothing is said of what changed in a week."


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _effect(verdict: ColumnVerdict) -> str:
    return "" if verdict.effect is None else f"{verdict.effect:.3f} (matters from {verdict.limit:g})"


def _bar(bar: Bar, x: float, step: float, highest: float) -> BarView:
    def height(share: float) -> Height:
        tall = share / highest * (HEIGHT - 4)
        return Height(round(HEIGHT - tall, 2), round(tall, 2))

    width = round(step * 0.42, 2)
    message = f"{bar.name}: reference {bar.reference:.1%}, window {bar.window:.1%}"
    if bar.before is not None:
        message += f", a week before {bar.before:.1%}"
    before = None if bar.before is None else height(bar.before)
    return BarView(round(x, 2), round(x + width, 2), width, height(bar.reference), height(bar.window), before, message)
