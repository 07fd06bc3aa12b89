"""What the gate's intervals promise, and what they keep: simulated holdouts of which the truth is known.

    python -m benchmarks.gate_statistics [--json] [--trials N]

Two versions predict late flights on holdouts of some days, a week or a month. Neither is better: both see the same signal, each with its
own noise, and (``alike`` rows) each with its own error on each day. So the true difference of every metric is 0 by symmetry.
Then ten nights of candidates that lose a little each: what a comparator stops, and what it blocks of equals.

For each way to resample and each interval: how often `better` is said of no difference (nominal .05), how often the two-sided
interval holds the truth (nominal .90), and of not_worse, the power beside what a normal approximation of the true spread promises.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.report import Report, arguments, say
from include.evergreen.config.gate import ChampionCriterion
from include.evergreen.config.measuring import Metrics
from include.evergreen.gates.bootstrap import MIN_UNITS, Statistic, Units, interval, replicates, surely_better
from include.evergreen.gates.comparators import Comparator
from include.evergreen.gates.criteria import judge_against_champion
from include.evergreen.gates.resampled import statistic
from include.evergreen.gates.scored import Rival, Scored
from include.evergreen.training.metrics import Measures

CONFIDENCE = 0.95  # one-sided, as in a gate; so an interval should hold the truth in 90 of 100 cases
RESAMPLES = 1000
METRICS = ("auc", "log_loss", "mae")
Interval = tuple[float, float]
Found = dict[str, dict[str, float]]


@dataclass(frozen=True)
class World:
    """``day_effect``: the standard deviation of a version's error that a whole day shares, on the scale of the logit (or the target)."""

    days: int
    rows_a_day: int
    day_effect: float

    def holdout(self, random: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray], list[np.ndarray]]:
        """Each row's day, the truth by task, and two versions' logits (also taken for a regression's values)."""
        day = np.repeat(np.arange(self.days), self.rows_a_day)
        signal = random.normal(0, 0.8, len(day)) + random.normal(0, self.day_effect, self.days)[day]
        late = (random.random(len(day)) < 1 / (1 + np.exp(1.1 - signal))).astype("float64")
        value = signal + random.normal(0, 1, len(day))
        seen = [signal + random.normal(0, 0.5, len(day)) + random.normal(0, self.day_effect, self.days)[day] for _ in range(2)]
        return day, {"classification": late, "regression": value}, seen


WORLDS = {
    "two days, rows of a day alike": World(2, 800, 0.3),
    "three days, rows of a day alike": World(3, 800, 0.3),
    "four days, rows of a day alike": World(4, 800, 0.3),
    "five days, rows of a day alike": World(5, 800, 0.3),
    "a week, rows independent": World(7, 800, 0.0),
    "a week, rows of a day alike": World(7, 800, 0.3),
    "four weeks, rows independent": World(28, 200, 0.0),
    "four weeks, rows of a day alike": World(28, 200, 0.3),
}


COURSES = ((0.0, 0.025), (0.01, 0.05))  # what a night loses of its AUC, and the margin of not_worse
LIKE = 0.9  # correlation of two versions' scores for a row: retrainings of one model are alike


def _measures(task: str) -> Measures:
    model: Any = SimpleNamespace(name="simulated", task=task, metrics=Metrics(), gate=SimpleNamespace(criteria=()))
    return Measures(model, 0.5)


CLASSIFIER = _measures("classification")
REGRESSOR = _measures("regression")


def main(given: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--trials", type=int, default=1000, help="holdouts for each world (default: 1000)")
    options = parser.parse_args(given)
    figures: dict[str, Any] = {"trials": options.trials, "resamples": RESAMPLES}
    for number, (name, world) in enumerate(WORLDS.items()):
        say(name)
        figures[name] = simulate(world, trials=options.trials, seed=number)
    for loss, margin in COURSES:
        say(f"ten nights that lose {loss} each, with a margin of {margin}")
        figures[f"ten nights, loss {loss}, margin {margin}"] = _courses(options.trials // 10, loss, margin)
    return Report("gate_statistics", figures, {}).print(as_json=options.json)


def simulate(
    world: World, *, trials: int, seed: int, metrics: tuple[str, ...] = METRICS, ways: tuple[str, ...] = ("days", "rows")
) -> Found:
    """For each metric, way to resample and interval: ``better`` and ``covered`` (shares), ``power`` and ``promised``.

    Rows take a hundred times as long as days to resample, so they are in every tenth trial.
    """
    random = np.random.default_rng(seed)
    found: dict[str, list[tuple[float, Interval]]] = {}
    for trial in range(trials):
        day, truths, seen = world.holdout(random)
        for way in ways:
            if way == "rows" and trial % 10:
                continue
            units = Units.days(day) if way == "days" else Units.rows(len(day))
            pairs = {}
            for metric in metrics:
                task = "regression" if metric == "mae" else "classification"
                given = seen if task == "regression" else [1 / (1 + np.exp(1.1 - each)) for each in seen]
                measures = REGRESSOR if task == "regression" else CLASSIFIER
                pairs[metric] = [statistic(measures, metric, units, truths[task], each) for each in given]
            every = replicates([each for pair in pairs.values() for each in pair], units, resamples=RESAMPLES, seed=trial)
            for metric, pair, (one, other) in zip(pairs, pairs.values(), every.reshape(len(pairs), 2, -1), strict=True):
                for name, outcome in _intervals(pair, one - other, units).items():
                    found.setdefault(f"{metric}, {way}, {name}", []).append(outcome)
    return {name: _figures(each) for name, each in found.items()}


@dataclass(frozen=True)
class Night:
    """A night's candidate and holdout, of which ``predict`` gives any version's predictions: ``aucs`` are the true ones by version."""

    aucs: np.ndarray
    day: np.ndarray
    labels: np.ndarray
    shared: np.ndarray
    seed: int

    def predict(self, version: int) -> np.ndarray:
        """Scores of the version: like those of the others, but for its own error, with exactly its AUC in the long run."""
        own = np.random.default_rng((self.seed, version)).normal(size=len(self.labels))
        distance = math.sqrt(2) * stats.norm.ppf(self.aucs[version])
        scores = distance * self.labels + math.sqrt(LIKE) * self.shared + math.sqrt(1 - LIKE) * own
        return np.asarray(stats.norm.cdf(scores))


@dataclass(frozen=True)
class Outcome:
    """What some nights come to: how many candidates were not blessed, and the true AUC of the champion that serves then."""

    blocked: int
    champion_auc: float


def creep(seed: int, count: int, *, loss: float, rows_a_day: int = 200) -> list[Night]:
    """Nights on which each candidate's true AUC is by ``loss`` lower than that of the night before, from .75 on; version 0 serves."""
    aucs = 0.75 - loss * np.arange(count + 1)
    random = np.random.default_rng(seed)
    day = np.repeat(np.arange(7), rows_a_day)
    holdouts = [((random.random(len(day)) < 0.3).astype("float64"), random.normal(size=len(day))) for _ in range(count)]
    return [Night(aucs, day, labels, shared, 1000 * seed + number) for number, (labels, shared) in enumerate(holdouts)]


def nights(course: list[Night], *, guarded: bool, margin: float = 0.05) -> Outcome:
    """Judge the candidate of each night, who is promoted when it passes, as the gate does: with the comparator, or without."""
    criterion = ChampionCriterion(kind="champion", metric="auc", margin=margin)
    champion, blocked = 0, 0
    carried = {0: 0}  # by version: the comparator that its decision named
    for number, night in enumerate(course, start=1):
        candidate = Scored(CLASSIFIER, night.labels, night.predict(number), Units.days(night.day), 400, night.seed)
        rivals = {
            version: Rival(version, candidate.predicting(night.predict(version)), np.ones(len(night.labels), dtype=bool))
            for version in {champion, carried[champion]}
        }
        comparator = Comparator(carried[champion], rivals[carried[champion]] if guarded and carried[champion] != champion else None)
        evidence = SimpleNamespace(candidate=candidate, champion=rivals[champion], comparators={"auc": comparator}, why_no_champion="")
        result = judge_against_champion(criterion, evidence)  # type: ignore[arg-type]
        if result.verdict == "passed":
            champion, carried[number] = number, result.details.get("comparator", champion)
        else:
            blocked += 1
    return Outcome(blocked, float(course[0].aucs[champion]))


def _courses(count: int, loss: float, margin: float) -> dict[str, float]:
    """Of ``count`` courses of ten nights, without a comparator and with it: the share not blessed, and the champion's true AUC."""
    courses = [creep(seed, 10, loss=loss) for seed in range(count)]
    found: dict[str, float] = {}
    for name in ("alone", "guarded"):
        outcomes = [nights(course, guarded=name == "guarded", margin=margin) for course in courses]
        found[f"{name}_blocked"] = float(np.mean([outcome.blocked for outcome in outcomes])) / 10
        found[f"{name}_auc"] = float(np.mean([outcome.champion_auc for outcome in outcomes]))
        found[f"{name}_lowest_auc"] = min(outcome.champion_auc for outcome in outcomes)
    return found


def _figures(found: list[tuple[float, Interval]]) -> dict[str, float]:
    """``trials``: of how many the rest are shares.

    ``power`` is that of not_worse by a margin of 2.5 true standard errors; ``promised`` what a normal interval of true width has.
    """
    values = np.array([value for value, _ in found])
    low, high = np.array([between for _, between in found]).T
    spread = math.sqrt(float((values**2).mean()))  # about the true difference, which is 0
    margin = 2.5 * spread
    return {
        "trials": len(found),
        "better": float((low > 0).mean()),
        "covered": float(((low <= 0) & (high >= 0)).mean()),
        "power": float((low >= -margin).mean()),
        "promised": float(stats.norm.cdf(2.5 - stats.norm.ppf(CONFIDENCE))),
        "width": float(np.median(high - low)),
    }


def _intervals(pair: list[Statistic], drawn: np.ndarray, units: Units) -> dict[str, tuple[float, Interval]]:
    """The difference, and each kind of interval of it."""
    whole = np.ones((1, units.count), dtype=np.int64)
    value = float(pair[0](whole)[0] - pair[1](whole)[0])
    expanded = interval(drawn, units.count, confidence=CONFIDENCE)
    stricter = surely_better(drawn, units.count, confidence=CONFIDENCE)
    assert expanded is not None and stricter is not None
    found = {"expanded percentile": expanded, "as better is judged": stricter}
    if units.count < MIN_UNITS:  # there, both are Student's by the jackknife
        return {name: (value, between) for name, between in found.items()}
    found |= {
        "percentile": _quantiles(drawn, 1 - CONFIDENCE, CONFIDENCE),
        "BCa": _bca(drawn, value, lambda weights: pair[0](weights) - pair[1](weights), units),
    }
    return {name: (value, between) for name, between in found.items()}


def _bca(drawn: np.ndarray, value: float, difference: Callable[[np.ndarray], np.ndarray], units: Units) -> Interval:
    """Efron's bias-corrected and accelerated interval; rows are left out in twenty blocks, as one by one changes nothing."""
    blocks = np.arange(units.count) % min(units.count, 20)
    left_out = difference(np.stack([(blocks != block).astype(np.int64) for block in range(blocks.max() + 1)]))
    apart = left_out.mean() - left_out
    acceleration = float((apart**3).sum() / (6 * (apart**2).sum() ** 1.5)) if apart.any() else 0.0
    bias = stats.norm.ppf(np.clip(((drawn < value).mean() + (drawn <= value).mean()) / 2, 1e-3, 1 - 1e-3))
    ends = []
    for level in (1 - CONFIDENCE, CONFIDENCE):
        shifted = bias + stats.norm.ppf(level)
        ends.append(float(stats.norm.cdf(bias + shifted / (1 - acceleration * shifted))))
    return _quantiles(drawn, *ends)


def _quantiles(drawn: np.ndarray, low: float, high: float) -> Interval:
    found = np.quantile(drawn, [low, high])
    return float(found[0]), float(found[1])


if __name__ == "__main__":
    sys.exit(main())
