"""How often a canary is rolled back: simulated roll-outs of which it is known how much worse the version is.

    python -m benchmarks.canaries [--json] [--small] [--rollouts N]

A version serves 5, then 25, then 50% of a thousand rows a day, seven days a step; days differ. It is judged by the log loss, each
night by which labels came, as the product does it (*ours*), and as a script would (*nightly*: Welch's t-test of the rows' losses, at 5%
each night). ``rolled_back`` is the share of roll-outs that ended so, which of equal versions is a mistake; ``days`` the median of those
that did; ``before_a_step`` the share that ended before the seventh day; ``thousand_rows_served`` how many rows the version served in a
roll-out, in the mean.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.estimates import declared
from benchmarks.report import Report, arguments, say
from include.evergreen.config.gate import ChampionCriterion
from include.evergreen.gates.bootstrap import Units
from include.evergreen.gates.scored import Scored
from include.evergreen.promotion.rollout_plan import LEAST_DAYS, RolloutPlan, judge_canary
from include.evergreen.training.metrics import Measures

CRITERION = ChampionCriterion(kind="champion", metric="log_loss", margin=0.01, must="not_worse")
PLAN = RolloutPlan(shares=(0.05, 0.25, 0.5), partitions=7, criterion=CRITERION, resample="days", resamples=1_000)
ROWS = 1_000  # a day
DAY_EFFECT = 0.4  # standard deviation of a day's own part of the log odds
WORSE = {"equal": 0.0, "a little worse": 0.5, "worse": 0.7, "far worse": 1.5, "broken": 3.0}  # deviation of the noise in its log odds
MISTAKES = 0.05  # of equal versions, at the gate's confidence of .95


@dataclass(frozen=True)
class Step:
    """The rows of one step: their day from 0 on, label, and prediction, and which of them the version served."""

    day: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    is_version: np.ndarray

    @classmethod
    def drawn(cls, random: np.random.Generator, share: float, noise: float) -> Step:
        day = np.repeat(np.arange(PLAN.partitions), ROWS)
        odds = random.normal(0, 1.2, len(day)) + random.normal(0, DAY_EFFECT, PLAN.partitions)[day]
        label = (random.random(len(day)) < 1 / (1 + np.exp(-odds))).astype(np.float64)
        is_version = random.random(len(day)) < share
        told = 0.8 * odds + is_version * random.normal(0, 1, len(day)) * noise
        return cls(day, label, 1 / (1 + np.exp(-told)), is_version)

    def until(self, days: int) -> Step:
        among = self.day < days
        return Step(self.day[among], self.label[among], self.predicted[among], self.is_version[among])


@dataclass(frozen=True)
class Ended:
    """A roll-out: after how many days it was rolled back (None: never), and how many rows the version served."""

    days: int | None
    served: int


def main(given: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--rollouts", type=int, default=400, help="of each kind of version (default: 400)")
    options = parser.parse_args(given)
    rollouts = 2 if options.small else options.rollouts
    measures = Measures(declared("classification", PLAN.resample), 0.5)
    figures: dict[str, Any] = {"rollouts": rollouts}
    ratios: dict[str, float] = {}
    wrong: list[str] = []
    for name, noise in {each: WORSE[each] for each in ("equal", "broken")}.items() if options.small else WORSE.items():
        ours = [_ended(seed, noise, partial(_is_worse, measures)) for seed in range(rollouts)]
        nightly = [_ended(seed, noise, _is_worse_by_rows) for seed in range(rollouts)]
        figures[name] = {"ours": _summary(ours), "nightly": _summary(nightly)}
        say(f"{name}: {figures[name]}")
        mistaken, theirs = (figures[name][side]["rolled_back"] for side in ("ours", "nightly"))
        if name == "equal" and theirs:
            ratios["mistakes_ours_over_nightly"] = mistaken / theirs
        if name == "equal" and stats.binom.sf(round(mistaken * rollouts) - 1, rollouts, MISTAKES) < 0.001:
            wrong.append(f"of equal versions {mistaken:.3f} are rolled back, and {MISTAKES} are allowed")
        if name == "broken" and mistaken < 1:
            wrong.append(f"of broken versions {mistaken:.3f} are rolled back")
    return Report("canaries", figures, ratios, wrong).print(as_json=options.json)


def _ended(seed: int, noise: float, is_worse: Callable[[Step, int, int], bool]) -> Ended:
    random, served = np.random.default_rng(seed), 0
    for number, share in enumerate(PLAN.shares):
        step = Step.drawn(random, share, noise)
        for days in range(LEAST_DAYS, PLAN.partitions + 1):
            seen = step.until(days)
            if is_worse(seen, days, seed):
                return Ended(number * PLAN.partitions + days, served + int(seen.is_version.sum()))
        served += int(step.is_version.sum())
    return Ended(None, served)


def _is_worse(measures: Measures, seen: Step, days: int, seed: int) -> bool:
    scored = Scored(measures, seen.label, seen.predicted, Units.days(seen.day.astype(str)), PLAN.resamples, seed=seed)
    return judge_canary(PLAN.canary_criterion(days), scored.within(seen.is_version, 0), scored.within(~seen.is_version, 1))[1]


def _is_worse_by_rows(seen: Step, days: int, seed: int) -> bool:
    loss = -np.log(np.where(seen.label > 0, seen.predicted, 1 - seen.predicted))
    found = stats.ttest_ind(loss[seen.is_version], loss[~seen.is_version], equal_var=False, alternative="greater")
    return bool(found.pvalue < 1 - CRITERION.confidence)


def _summary(ended: list[Ended]) -> dict[str, float | None]:
    days = [each.days for each in ended if each.days is not None]
    return {
        "rolled_back": len(days) / len(ended),
        "days": float(np.median(days)) if days else None,
        "before_a_step": sum(each < PLAN.partitions for each in days) / len(ended),
        "thousand_rows_served": float(np.mean([each.served for each in ended])) / 1000,
    }


if __name__ == "__main__":
    sys.exit(main())
