"""Judges a candidate beside the champion on the same rows: what plain.night does before it promotes.

Differences are judged by the worse end of an interval over resamples of whole days, drawn in pairs. A resample is a weight for each
day, so that no row is copied: sums are added up by day once, and an area under the curve is counted by pairs of days.
"""

import json
import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import metrics

from .serve import main as serve

SERVE = Path(__file__).with_name("serve.py")
FORKED = "EVERGREEN_BENCHMARK_FORKED"  # set by the test suite
RESAMPLES, MIN_DAYS, MIN_SLICE_ROWS, SHOWN_SLICES, BINS = 1000, 5, 100, 50, 10
SHOWN = 0.975  # of each end of an interval that nothing is judged by
COMPARED = ("auc", "log_loss")  # with the champion
SUPERIOR = 0.75  # of alpha, at which *better* is judged
Interval = tuple[float, float] | None
Predict = Callable[[pd.DataFrame], np.ndarray]
Metric = Callable[[np.ndarray, np.ndarray], float]


class Forked:
    """In place of a clean process, where no time is measured: it has imported all."""

    def __init__(self, model: Path, folder: str) -> None:
        self.process = multiprocessing.get_context("fork").Process(target=serve, args=(str(model), folder))
        self.process.start()

    def communicate(self) -> tuple[bytes, bytes]:
        self.process.join()
        return b"", b"what it raised is on stderr"

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode


class CleanProcess:
    """Loads the stored model and scores the rows while the criteria are judged."""

    def __init__(self, model: Path, rows: pd.DataFrame) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.process: Forked | subprocess.Popen[bytes]
        rows.to_parquet(Path(self.folder.name) / "rows.parquet")
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if FORKED in os.environ:
            self.process = Forked(model, self.folder.name)
        else:
            self.process = subprocess.Popen([sys.executable, SERVE, model, self.folder.name], env=clean, stderr=subprocess.PIPE)

    def judged(self, predicted: np.ndarray) -> dict[str, Any]:
        """It must have predicted the same, bit for bit."""
        with self.folder as folder:
            _, errors = self.process.communicate()
            if self.process.returncode:
                return found("serving", "equal_predictions", None, 1.0, False, words=errors.decode()[-300:])
            same = float((np.load(Path(folder) / "predictions.npy") == predicted).mean())
        return found("serving", "equal_predictions", same, 1.0, same == 1.0)


class Scored:
    """Predictions on some rows; ``days`` are numbers from 0, or None where each row is resampled by itself."""

    def __init__(self, truth: np.ndarray, predicted: np.ndarray, days: np.ndarray | None, seed: int) -> None:
        self.truth, self.predicted, self.days, self.seed = truth, predicted, days, seed
        self.count = len(truth) if days is None else int(days.max()) + 1
        random = np.random.default_rng(seed).integers(0, self.count, size=(RESAMPLES, self.count))
        numbered = random + np.arange(RESAMPLES)[:, None] * self.count
        self.weights = np.bincount(numbered.ravel(), minlength=random.size).reshape(random.shape).astype("float64")

    def among(self, chosen: np.ndarray) -> "Scored":
        days = None
        if self.days is not None:
            distinct, numbers = np.unique(self.days[chosen], return_inverse=True)
            days = numbers if len(distinct) >= MIN_DAYS else None
        return Scored(self.truth[chosen], self.predicted[chosen], days, self.seed)

    def by_unit(self, column: np.ndarray) -> np.ndarray:
        return column if self.days is None else np.bincount(self.days, weights=column, minlength=self.count)

    def means(self, column: np.ndarray) -> np.ndarray:
        """The mean of a column of figures a row, in each resample."""
        means: np.ndarray = self.weights @ self.by_unit(column) / (self.weights @ self.by_unit(np.ones(len(column))))
        return means

    def aucs(self) -> np.ndarray:
        """The share of pairs in the right order, ties by half: the pairs of each two days are counted once."""
        assert self.days is not None
        late = self.truth == 1
        scores, days = self.predicted[late], self.days[late]
        pairs = np.empty((self.count, self.count))
        for day in range(self.count):
            others = np.sort(self.predicted[~late & (self.days == day)])
            right = np.searchsorted(others, scores, side="left") + np.searchsorted(others, scores, side="right")
            pairs[:, day] = np.bincount(days, weights=right / 2, minlength=self.count)
        drawn = self.weights @ pairs
        aucs: np.ndarray = (drawn * self.weights).sum(axis=1)
        return aucs / (self.weights @ self.by_unit(late.astype("float64")) * (self.weights @ self.by_unit((~late).astype("float64"))))

    def replicates(self, metric: str) -> np.ndarray:
        return self.aucs() if metric == "auc" else self.means(losses(self.truth, self.predicted))

    def value(self, metric: str) -> float:
        return (
            float(metrics.roc_auc_score(self.truth, self.predicted))
            if metric == "auc"
            else float(losses(self.truth, self.predicted).mean())
        )

    def interval(self, drawn: np.ndarray, confidence: float) -> Interval:
        return interval(drawn, self.count, confidence)


def losses(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    clipped = predicted.clip(1e-7, 1 - 1e-7)
    return -np.where(truth == 1, np.log(clipped), np.log1p(-clipped))


def interval(drawn: np.ndarray, count: int, confidence: float) -> Interval:
    """The expanded percentile interval (Hesterberg 2015, section 5.3)."""
    tail = stats.norm.cdf(math.sqrt(count / (count - 1)) * stats.t.ppf(1 - confidence, count - 1))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def judge(
    holdout: pd.DataFrame,
    candidate: np.ndarray,
    champion: np.ndarray,
    earlier: dict[str, np.ndarray],
    base_rate: float,
    predict: Predict,
    seed: int,
) -> tuple[list[Any], list[str]]:
    """What each criterion finds, in their order, and by which metrics the earlier champion is surely worse than this one.

    ``earlier``: by metric, what the best champion so far predicts, where it is another one. ``base_rate`` is the share of late flights
    among those fitted on.
    """
    truth = holdout["target"].to_numpy()
    _, days = np.unique(holdout["day"].to_numpy().astype(str), return_inverse=True)
    ours, theirs, constant = (Scored(truth, each, days, seed) for each in (candidate, champion, np.full(len(truth), base_rate)))
    best, surpassed = {}, []
    for metric in COMPARED:
        other = Scored(truth, earlier[metric], days, seed) if metric in earlier else theirs
        low, high = surely_better(other, theirs, metric) if metric in earlier else (0.0, 0.0)
        best[metric] = other if low > 0 else theirs
        surpassed += [metric] if high < 0 else []
    criteria = [
        judge_bound(ours, "auc", at_least=0.55),
        judge_bound(ours, "log_loss", at_most=0.65),
        judge_difference("baseline", ours, constant, "auc", margin=0.0, confidence=0.8),
        *(judge_difference("champion", ours, best[metric], metric, margin=-0.05, confidence=0.95) for metric in COMPARED),
        judge_slices(ours, theirs, holdout["origin"], "origin", "auc", at_least=0.45),
        judge_slices(ours, theirs, holdout["dest"], "dest", "log_loss", at_most=0.9),
        judge_calibration(ours, at_most=0.15),
        judge_behaviour(predict, holdout),
    ]
    return criteria, surpassed


def surely_better(other: Scored, champion: Scored, metric: str) -> Interval:
    """The interval of what the other one gains: above 0 it is surely better, below 0 surely worse."""
    sign = 1 if metric == "auc" else -1
    return champion.interval(sign * (other.replicates(metric) - champion.replicates(metric)), 1 - SUPERIOR * 0.05)


def judge_bound(scored: Scored, metric: str, at_least: float = -math.inf, at_most: float = math.inf) -> dict[str, Any]:
    value, bound = scored.value(metric), at_least if at_least > -math.inf else at_most
    between = scored.interval(scored.replicates(metric), SHOWN)
    return found("absolute", metric, value, bound, at_least <= value <= at_most, between)


def judge_difference(kind: str, ours: Scored, theirs: Scored, metric: str, margin: float, confidence: float) -> dict[str, Any]:
    """``margin``: the gain that is asked for; negative: the loss that is allowed."""
    sign = 1 if metric == "auc" else -1
    drawn = ours.replicates(metric) - theirs.replicates(metric)
    between = ours.interval(drawn, confidence if margin < 0 else 1 - SUPERIOR * (1 - confidence))
    assert between is not None
    gain = between[0] if sign > 0 else -between[1]
    passed = gain > margin if margin >= 0 else gain >= margin
    return found(kind, metric, ours.value(metric) - theirs.value(metric), sign * margin, passed, between)


def judge_slices(
    ours: Scored, theirs: Scored, column: pd.Series, by: str, metric: str, at_least: float = -math.inf, at_most: float = math.inf
) -> dict[str, Any]:
    """By the worst of the slices that are large enough."""
    texts = column.to_numpy(dtype=str)
    slices = [measured_slice(ours, theirs, texts == name, f"{by}={name}", metric) for name in np.unique(texts)]
    judged = {each["slice"]: each for each in slices if each["judged"]}
    worst = (min if metric == "auc" else max)(judged.values(), key=lambda each: each["value"])
    details = {
        "slices": [
            {name: value for name, value in each.items() if name != "worse"}
            for each in sorted(slices, key=lambda each: -each["rows"])[:SHOWN_SLICES]
        ],
        "worse_than_champion": [name for name, each in judged.items() if each["worse"]],
    }
    bound = at_least if at_least > -math.inf else at_most
    return found("slices", metric, worst["value"], bound, at_least <= worst["value"] <= at_most, worst["interval"], **details)


def measured_slice(ours: Scored, theirs: Scored, chosen: np.ndarray, name: str, metric: str) -> dict[str, Any]:
    rows = int(chosen.sum())
    if rows < MIN_SLICE_ROWS:  # shown, and not judged
        values = [float(losses(each.truth[chosen], each.predicted[chosen]).mean()) for each in (ours, theirs)]
        return {"slice": name, "rows": rows, "value": values[0], "interval": None, "champion": values[1], "judged": False, "worse": False}
    one, other = ours.among(chosen), theirs.among(chosen)
    drawn = one.replicates(metric)
    apart = one.interval(drawn - other.replicates(metric), 0.95)
    assert apart is not None
    return {
        "slice": name, "rows": rows, "value": one.value(metric), "interval": one.interval(drawn, SHOWN), "champion": other.value(metric),
        "judged": True, "worse": apart[1] < 0 if metric == "auc" else apart[0] > 0,
    }  # fmt: skip


def judge_calibration(scored: Scored, at_most: float) -> dict[str, Any]:
    """Over bins of equally many rows, the mean of |mean prediction - mean truth|."""
    edges = np.unique(np.quantile(scored.predicted, np.linspace(0, 1, BINS + 1)[1:-1]))
    numbers = np.searchsorted(edges, scored.predicted, side="right")
    bins, drawn, value = [], np.zeros(RESAMPLES), 0.0
    for number in range(len(edges) + 1):
        chosen = numbers == number
        rows, late = int(chosen.sum()), int(scored.truth[chosen].sum())
        drawn += np.abs(scored.means(np.where(chosen, scored.predicted - scored.truth, 0.0)))
        if rows:
            said = float(scored.predicted[chosen].mean())
            ends = stats.binomtest(late, rows).proportion_ci(method="wilson")
            bins.append({"predicted": said, "observed": late / rows, "rows": rows, "interval": (float(ends.low), float(ends.high))})
            value += rows * abs(said - late / rows) / len(numbers)
    return found("calibration", "calibration_error", value, at_most, value <= at_most, scored.interval(drawn, SHOWN), bins=bins)


def judge_behaviour(predict: Predict, rows: pd.DataFrame) -> dict[str, Any]:
    """What anybody expects of the model: on a mile more, an unknown airline, a later hour, a calm morning."""
    before = predict(rows)
    calm = rows.assign(departure_hour=6.0, cancelled_rate_1d=0.0, precip_1d=0.0)
    mile = float((np.abs(predict(rows.assign(distance=rows["distance"] + 1)) - before) <= 0.01).mean())
    unknown = float((np.abs(predict(rows.assign(carrier="ZZ")) - before) <= 0.5).mean())
    later = float((predict(rows.assign(departure_hour=rows["departure_hour"] + 3)) >= before).mean())
    morning = float(predict(calm).mean())
    passed = sum([mile >= 1.0, unknown >= 1.0, later >= 0.95, morning <= 0.4])
    return found("behaviour", "checks_passed", float(passed), 4.0, passed == 4, checks=[mile, unknown, later, morning])


def found(
    kind: str, metric: str, value: float | None, threshold: float, passed: bool, between: Interval = None, **details: Any
) -> dict[str, Any]:
    judged = {"value": value, "threshold": threshold, "verdict": "passed" if passed else "failed", "interval": between}
    return json.loads(json.dumps({"kind": kind, "metric": metric, **judged, "details": details}))
