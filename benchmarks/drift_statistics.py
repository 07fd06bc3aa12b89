"""What the verdicts on drift promise, and what they keep: simulated windows of which it is known whether they drifted.

    python -m benchmarks.drift_statistics [--json] [--small] [--trials N]

Fifty columns of six shapes (normal, lognormal, rounded, two values, heavy tails, seven categories), a reference of fifty days, a window
of one day or a week; five windows share a reference. ``flagged`` is the share of drift-free windows of which any column is said to have
drifted; ``found`` that of windows in which all columns that did, and no others, are named (``named``: all that did, others or not).
``told apart`` is the share of windows that their columns together tell from the reference: of drift-free ones at any AUC, and of those in
which two columns came to correlate, at the default one (``alone``: in which any column is said to have drifted).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from benchmarks.report import Report, arguments, say
from include.evergreen.monitoring.profiles import Profile, profile_partition, profile_reference
from include.evergreen.monitoring.verdicts import Limits, Verdict, judge, judge_together

LIMITS = Limits(numeric=0.1, categorical=0.05)  # the defaults of model.yaml
TOGETHER = 0.55  # likewise
DAYS = 50
WINDOWS_OF_A_REFERENCE = 5
COLUMNS = 50
SHAPES: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda normal: normal,
    np.exp,
    lambda normal: np.round(2 * normal),
    lambda normal: (normal > 0.5).astype(np.float64),
    lambda normal: np.abs(normal) ** 3 * np.sign(normal),
    lambda normal: np.array(list("abcdefg"))[(1.5 * normal + 3).clip(0, 6).astype(int)],
)
KINDS: dict[str, Literal["numeric", "categorical"]] = {
    f"{number}": "categorical" if number % len(SHAPES) == 5 else "numeric" for number in range(COLUMNS)
}
MOVED = ("0", "6", "12")  # of the first shape
ROWS = "rows independent"
ONE_VALUE = "one value a day"
WEEKLY = "a weekly rhythm"
Rows = dict[str, np.ndarray]


@dataclass(frozen=True)
class World:
    """How rows come about, and how many of them: ``reference`` and ``rows`` over all of their days."""

    kind: str
    reference: int
    rows: int
    days: int

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.kind}: {self.rows} rows of {self.days} days, reference of {self.reference}"

    def draw(self, random: np.random.Generator, rows: int, days: int, moved: float = 0.0) -> tuple[Rows, np.ndarray]:
        """Columns by name, and the day of each row."""
        day = np.arange(rows) * days // rows
        columns = {}
        for number, name in enumerate(KINDS):
            normal = random.normal(size=days if self.kind == ONE_VALUE else rows)
            if self.kind == WEEKLY:
                normal += np.sin(2 * np.pi * day / 7 + number)
            normal += moved if name in MOVED else 0.0
            values = SHAPES[number % len(SHAPES)](normal)
            columns[name] = values[day] if self.kind == ONE_VALUE else values
        return columns, day

    def verdict(self, seed: int, change: Callable[[Rows], Rows] = lambda rows: rows, moved: float = 0.0) -> Verdict:
        """Of a window with a reference of its own."""
        return judge(*self.profiles(seed, change, moved), LIMITS)

    def profiles(self, seed: int, change: Callable[[Rows], Rows] = lambda rows: rows, moved: float = 0.0) -> tuple[Profile, Profile]:
        """A reference, which a few windows share, and a window."""
        reference = _reference(self, seed // WINDOWS_OF_A_REFERENCE)
        rows, day = self.draw(np.random.default_rng([1, seed]), self.rows, self.days, moved)
        return reference, window(reference, change(rows), day)


@lru_cache(maxsize=1)
def _reference(world: World, number: int) -> Profile:
    rows, day = world.draw(np.random.default_rng([0, number]), world.reference, DAYS)
    return profile_reference(pa.table(rows), [f"{each:03}" for each in day], KINDS)


def window(reference: Profile, rows: Rows, day: np.ndarray) -> Profile:
    """The profile of a window whose rows are in the order of their days."""
    table, ends = pa.table(rows), np.cumsum(np.bincount(day))
    days = [
        profile_partition(reference, f"window {number}", table.slice(end - count, count))
        for number, (end, count) in enumerate(zip(ends.tolist(), np.bincount(day).tolist(), strict=True))
    ]
    return days[0].merge(*days[1:])


KEPT = 50_000  # rows of a reference, the default of model.yaml
CALM = [
    World(ROWS, KEPT, 1_000, 1),
    World(ROWS, KEPT, 1_000, 7),
    World(ROWS, KEPT, 10_000, 1),
    World(ROWS, KEPT, 10_000, 7),
    World(ROWS, KEPT, 1_000_000, 1),
    World(ONE_VALUE, KEPT, 1_000, 1),
    World(ONE_VALUE, KEPT, 10_000, 7),
    World(WEEKLY, KEPT, 10_000, 7),
]
SHIFTED = [
    World(ROWS, KEPT, 1_000, 1),
    World(ROWS, KEPT, 1_000, 7),
    World(ROWS, KEPT, 10_000, 1),
    World(ROWS, KEPT, 10_000, 7),
    World(ROWS, 5_000, 1_000, 1),
    World(ROWS, 5_000, 10_000, 1),
]
SMALL, SMALL_CHANGED = World(ROWS, 3_000, 1_000, 2), World(ROWS, 1_500, 3_000, 4)
CHANGED = World(ROWS, KEPT, 10_000, 1)
CORRELATED = [World(ROWS, KEPT, 7_000, 7), World(ROWS, KEPT, 10_000, 1)]


def _with(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Rows], Rows]:
    return lambda rows: {**rows, name: change(rows[name])}


def _outliers(count: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: np.concatenate([np.full(count, 1e6), values[count:]])


def _correlated(correlation: float) -> Callable[[Rows], Rows]:
    """Of two columns that keep their distributions."""
    return lambda rows: {**rows, "6": correlation * rows["0"] + np.sqrt(1 - correlation**2) * rows["6"]}


CHANGES: dict[str, tuple[set[str], Callable[[Rows], Rows]]] = {
    "a scale doubled": ({"0"}, _with("0", lambda values: 2 * values)),
    "miles in kilometres": ({"1"}, _with("1", lambda values: 1.609 * values)),
    "gone constant": ({"0"}, _with("0", np.zeros_like)),
    "all missing": ({"0"}, _with("0", lambda values: np.full(len(values), np.nan))),
    "a tenth missing, of none": ({"0"}, _with("0", lambda values: np.where(np.arange(len(values)) % 10, values, np.nan))),
    "a category lost": ({"5"}, _with("5", lambda values: np.where(values == "f", "e", values))),
    "a category new": ({"5"}, _with("5", lambda values: np.where(np.arange(len(values)) % 20, values, "h"))),
    "one absurd value": (set(), _with("0", _outliers(1))),
    "ten absurd values": (set(), _with("0", _outliers(10))),
    "ten absurd values and a shift": ({"0"}, _with("0", lambda values: _outliers(10)(values + 0.25))),
}


def main(given: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--trials", type=int, default=500, help="windows for each world, a tenth for a million rows (default: 500)")
    options = parser.parse_args(given)
    trials = 2 if options.small else options.trials
    figures: dict[str, Any] = {"trials": trials}
    wrong: list[str] = []
    for world in [SMALL] if options.small else CALM:
        count = trials if world.rows < 1_000_000 else max(1, trials // 10)
        flagged, told = [], []
        for profiles in map(world.profiles, range(count)):
            flagged.append(bool(judge(*profiles, LIMITS).drifted))
            told.append(judge_together(*profiles, 0.5).state == "drifted")
        figures |= {f"flagged, {world.name}": float(np.mean(flagged)), f"told apart, {world.name}": float(np.mean(told))}
        say(f"{world.name}: flagged {np.mean(flagged)}, told apart {np.mean(told)}")
    for world in [] if options.small else CORRELATED:
        for correlation in (0.5, 0.8):
            name = f"two columns correlate by {correlation}, {world.name}"
            figures[name] = _told_apart(world, correlation, max(1, trials // 5))
            say(f"{name}: {figures[name]}")
    for world in [] if options.small else SHIFTED:
        found = figures[f"a quarter of a deviation, {world.name}"] = _found(partial(world.verdict, moved=0.25), set(MOVED), trials)
        say(f"a quarter of a deviation, {world.name}: {found}")
    world = SMALL_CHANGED if options.small else CHANGED
    for name, (columns, change) in CHANGES.items():
        figures[name] = _found(partial(world.verdict, change=change), columns, 1 if options.small else max(1, trials // 5))
        say(f"{name}: {figures[name]}")
        if not figures[name]["named"]:
            wrong.append(f"{name}: not found")
    return Report("drift_statistics", figures, {}, wrong).print(as_json=options.json)


def _told_apart(world: World, correlation: float, trials: int) -> dict[str, float]:
    profiles = [world.profiles(seed, _correlated(correlation)) for seed in range(trials)]
    return {
        "told apart": float(np.mean([judge_together(*each, TOGETHER).state == "drifted" for each in profiles])),
        "alone": float(np.mean([bool(judge(*each, LIMITS).drifted) for each in profiles])),
    }


def _found(verdict: Callable[[int], Verdict], expected: set[str], trials: int) -> dict[str, float]:
    named = [{each.column for each in verdict(seed).drifted} for seed in range(trials)]
    return {"found": float(np.mean([each == expected for each in named])), "named": float(np.mean([each >= expected for each in named]))}


if __name__ == "__main__":
    sys.exit(main())
