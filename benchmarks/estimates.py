"""How well performance is estimated before labels come: simulated windows of which it is known how they shifted.

    python -m benchmarks.estimates [--json] [--small] [--windows N] [--seed N] [--task TASK]

Three models of each task (linear, boosted trees, a forest) that were fitted once, a reference of 3,000 rows that they were not fitted on,
and windows of 1,000 rows: of the same world, or with a covariate shift (a mean moved by half a deviation or a whole one, a spread grown by
half or doubled, two features become correlated, four rows in ten of a segment of its own). Labels follow the features as they always did.
*Ours* is what monitoring would record: the default, until ten windows of a world have labels, and then the estimator that told best.
Beside it stand each estimator alone (for a classification ``cbpe`` without weights), and the *constant*: the reference's performance.
``mae`` is the mean absolute error against the realised metric, in units of CBPE's (of a regression, of direct loss estimation's),
averaged over the metrics; so ``ratios.ours_over_cbpe`` is ours. ``coverage`` is the share of drift-free windows whose realised metric
lies in the interval of nominal .95: rows independent, and days that differ, by the days of the reference. ``flagged`` is the share of
windows for which concept drift is suspected: of drift-free ones, and under label drift without any shift of the features.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge

from benchmarks.report import Report, arguments, say
from include.evergreen.config import ModelConfig
from include.evergreen.monitoring.estimates.choice import ESTIMATORS, PastWindow, choose_estimator
from include.evergreen.monitoring.estimates.concept_drift import greatest_surprise
from include.evergreen.monitoring.estimates.estimate import Estimate
from include.evergreen.monitoring.estimates.estimators import estimate_all
from include.evergreen.monitoring.estimates.rows import Reference, Rows
from include.evergreen.serving.likeliest import likeliest
from include.evergreen.training.metrics import Measures

FEATURES = ("a", "b", "c", "d", "e", "f")
FITTED_ROWS = 4_000
REFERENCE_ROWS, REFERENCE_DAYS = 3_000, 14
WINDOW_ROWS = 1_000
DAY_EFFECT = 0.3  # standard deviation of a day's own part of the log odds, of several classes of those of the first, or of the target
LABEL_DRIFT = 0.7  # of the log odds, or of the target
CLASSES = 5
Shift = Callable[[np.random.Generator, np.ndarray], None]
FITTED: dict[str, dict[str, Callable[[], Any]]] = {
    "classification": {
        "linear": LogisticRegression,
        "boosted": lambda: HistGradientBoostingClassifier(max_iter=60, random_state=0),
        "forest": lambda: RandomForestClassifier(50, min_samples_leaf=10, random_state=0),
    },
    "multiclass": {
        "linear": LogisticRegression,
        "boosted": lambda: HistGradientBoostingClassifier(max_iter=40, random_state=0),
        "forest": lambda: RandomForestClassifier(50, min_samples_leaf=10, random_state=0),
    },
    "regression": {
        "linear": Ridge,
        "boosted": lambda: HistGradientBoostingRegressor(max_iter=80, random_state=0),
        "forest": lambda: RandomForestRegressor(40, min_samples_leaf=5, random_state=0),
    },
}


def _mean(by: float) -> Shift:
    def shift(random: np.random.Generator, rows: np.ndarray) -> None:
        rows[:, 0] += by

    return shift


def _spread(factor: float) -> Shift:
    def shift(random: np.random.Generator, rows: np.ndarray) -> None:
        rows[:, 2:4] *= factor

    return shift


def _correlated(random: np.random.Generator, rows: np.ndarray) -> None:
    rows[:, 3] = 0.8 * rows[:, 3] + 0.6 * rows[:, 2]


def _segment(random: np.random.Generator, rows: np.ndarray) -> None:
    rows[random.random(len(rows)) < 0.4, :2] += (1.5, -1.5)


SHIFTS: dict[str, Shift] = {
    "a mean moved by a half": _mean(0.5),
    "a mean moved by one": _mean(1.0),
    "two spreads grown by a half": _spread(1.5),
    "two spreads doubled": _spread(2.0),
    "two features correlated": _correlated,
    "a new segment": _segment,
}


def _unchanged(random: np.random.Generator, rows: np.ndarray) -> None:
    pass


@dataclass(frozen=True)
class World:
    """How features and labels come about. ``by_days``: the labels of a day have a part in common."""

    task: str
    by_days: bool = False
    window_days: int = 1

    def draw(
        self, random: np.random.Generator, rows: int, days: int = 1, shift: Shift = _unchanged, drift: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, labels, and the day of each row."""
        features = random.normal(size=(rows, len(FEATURES)))
        features[:, 5] = features[:, 5] > 0
        shift(random, features)
        day = np.arange(rows) * days // rows
        extra = drift + (random.normal(0, DAY_EFFECT, days)[day] if self.by_days else 0.0)
        if self.task == "classification":
            return features, (random.random(rows) < 1 / (1 + np.exp(-_log_odds(features) - extra))).astype("float64"), day
        if self.task == "multiclass":
            scores = _scores(features)
            scores[:, 0] += extra
            upto = np.cumsum(softmax(scores, axis=1), axis=1)
            return features, (random.random(rows)[:, None] > upto[:, :-1]).sum(axis=1).astype("float64"), day
        return features, _level(features) + extra + _noise(features) * random.normal(size=rows), day

    def predict(self, model: str, features: np.ndarray) -> np.ndarray:
        fitted = _fitted(self.task, model)
        if self.task == "multiclass":
            return likeliest(fitted.predict_proba(features))
        predicted: np.ndarray = fitted.predict_proba(features)[:, 1] if self.task == "classification" else fitted.predict(features)
        return predicted


def _log_odds(x: np.ndarray) -> np.ndarray:
    value: np.ndarray = 1.2 * x[:, 0] - 0.8 * x[:, 1] + x[:, 2] * x[:, 3] + 0.8 * np.maximum(x[:, 0], 0) * x[:, 1] - 0.5 * np.abs(x[:, 4])
    return value


def _scores(x: np.ndarray) -> np.ndarray:
    """Of five classes, from a half to a fifteenth of the rows."""
    return np.stack(
        [
            1 + 0.5 * x[:, 0],
            _log_odds(x),
            0.8 * x[:, 1] + x[:, 2] * x[:, 3],
            0.8 * x[:, 2] - x[:, 4] + 0.4 * x[:, 5],
            -0.8 + 0.8 * np.abs(x[:, 3]) - 0.5 * x[:, 0],
        ],
        axis=1,
    )


def _level(x: np.ndarray) -> np.ndarray:
    value: np.ndarray = 3 * x[:, 0] - 2 * x[:, 1] + 1.5 * x[:, 2] * x[:, 3] + 2 * np.maximum(x[:, 0], 0) * x[:, 1] + np.sin(2 * x[:, 4])
    return value


def _noise(x: np.ndarray) -> np.ndarray:
    value: np.ndarray = 0.5 + 0.8 * np.abs(x[:, 4]) + 0.8 * x[:, 5] + 0.3 * np.maximum(x[:, 0], 0)
    return value


@cache
def _fitted(task: str, model: str) -> Any:
    features, labels, _ = World(task).draw(np.random.default_rng(0), FITTED_ROWS)
    return FITTED[task][model]().fit(features, labels)


@cache
def declared(task: str, resample: str) -> ModelConfig:
    """The least that a model of the task declares."""
    two_classes = {"positive_above": 0} if task == "classification" else {}
    metric = {"classification": "auc", "multiclass": "log_loss", "regression": "mae"}[task]
    return ModelConfig.model_validate(
        {
            "name": "simulated", "description": "", "owner": "", "task": task, "rows": "rows",
            "inputs": [{"dataset": "rows", "lag": "0 days"}], "target": {"dataset": "rows", "column": "label", **two_classes},
            "features": [{"name": name, "kind": "numeric", "description": ""} for name in FEATURES],
            "train": {"estimator": "sklearn.linear_model.Ridge", "window": "10 days", "min_history": "8 days", "holdout": "1 day"},
            "gate": {"criteria": [{"kind": "absolute", "metric": metric, "at_least": 0}], "resample": resample},
        }
    )  # fmt: skip


@cache
def measures_of(task: str, resample: str) -> Measures:
    classes = tuple(f"class {number}" for number in range(CLASSES)) if task == "multiclass" else ()
    return Measures(declared(task, resample), 0.5, classes=classes, own_classes=classes)


@dataclass
class Told:
    """One window: what each estimator told, the constant, and what was realised."""

    estimates: dict[str, dict[str, Estimate]]
    constant: dict[str, float]
    realised: dict[str, float]

    def value(self, estimator: str) -> dict[str, float]:
        return self.constant if estimator == "constant" else {name: each.value for name, each in self.estimates[estimator].items()}

    @property
    def past(self) -> PastWindow:
        return PastWindow(self.realised, {name: self.value(name) for name in self.estimates})

    def covered(self, estimator: str, measures: Measures) -> dict[str, bool]:
        ends = {name: each.interval(measures.metrics[name]) for name, each in self.estimates[estimator].items()}
        return {name: low <= self.realised[name] <= high for name, (low, high) in ends.items() if name in self.realised}

    def is_flagged(self, estimator: str) -> bool:
        surprise = greatest_surprise(self.estimates[estimator], {name: (value, WINDOW_ROWS) for name, value in self.realised.items()})
        return surprise is not None and surprise.is_suspected


def tell(world: World, model: str, seed: int, shift: Shift = _unchanged, drift: float = 0.0) -> Told:
    """Estimate one window, on a reference of its own; all on the same rows."""
    random = np.random.default_rng(seed)
    measures = measures_of(world.task, "days" if world.by_days else "rows")
    features, labels, day = world.draw(random, REFERENCE_ROWS, REFERENCE_DAYS)
    predicted = world.predict(model, features)
    reference = Reference(_frame(features), predicted, labels, day.astype(str), measures.classes)
    constant = measures.measure(labels, predicted)
    features, labels, _ = world.draw(random, WINDOW_ROWS, world.window_days, shift, drift)
    predicted = world.predict(model, features)
    rows = Rows(_frame(features), predicted, world.window_days, WINDOW_ROWS)
    return Told(estimate_all(measures.model, measures, reference, rows), constant, measures.measure(labels, predicted))


def _frame(features: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(features, columns=list(FEATURES))


@dataclass
class Errors:
    """Absolute errors of each method, by metric."""

    by_method: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, method: str, estimated: dict[str, float], realised: dict[str, float]) -> None:
        for name in estimated.keys() & realised.keys():
            self.by_method.setdefault(method, {}).setdefault(name, []).append(abs(estimated[name] - realised[name]))

    def relative(self, unit: str) -> dict[str, float]:
        """The mean absolute error of each method, in units of that of one of them, averaged over the metrics that all have."""
        means = {method: {name: float(np.mean(each)) for name, each in found.items()} for method, found in self.by_method.items()}
        common = set.intersection(*(set(found) for found in means.values()))
        return {method: float(np.mean([found[name] / means[unit][name] for name in common])) for method, found in means.items()}


def shifted(task: str, windows: int, seed: int, models: list[str], shifts: dict[str, Shift]) -> tuple[Errors, dict[str, float]]:
    """The errors over all worlds, and ours in each of them, in units of the plain estimator's."""
    every, of_worlds = Errors(), {}
    plain = ESTIMATORS[task][1]
    for model in models:
        for name, shift in shifts.items():
            own, past = Errors(), []
            for number in range(windows):
                told = tell(World(task), model, seed + number, shift)
                ours = choose_estimator(task, past)
                past.append(told.past)
                for errors in (every, own):
                    for method in (*ESTIMATORS[task], "constant"):
                        errors.add(method, told.value(method), told.realised)
                    errors.add("ours", told.value(ours), told.realised)
            of_worlds[f"{model}, {name}"] = own.relative(plain)["ours"]
            say(f"{task}, {model}, {name}: {own.relative(plain)}")
    return every, of_worlds


def covered(world: World, windows: int, seed: int, models: list[str]) -> dict[str, Any]:
    """The coverage of the default's intervals by metric, and how often concept drift is suspected without any."""
    default = ESTIMATORS[world.task][0]
    told = [tell(world, model, seed + number) for model in models for number in range(windows)]
    measures = measures_of(world.task, "rows")
    inside: dict[str, list[bool]] = {}
    for each in told:
        for name, value in each.covered(default, measures).items():
            inside.setdefault(name, []).append(value)
    inside = {name: values for name, values in inside.items() if 2 * len(values) > len(told)}  # mape of outcomes near 0 is seldom estimated
    return {
        "coverage": {name: float(np.mean(values)) for name, values in inside.items()},
        "coverage_mean": float(np.mean([np.mean(values) for values in inside.values()])),
        "flagged": float(np.mean([each.is_flagged(default) for each in told])),
    }


def detected(world: World, windows: int, seed: int, models: list[str]) -> float:
    """How often concept drift is suspected when labels drift and no feature does."""
    default = ESTIMATORS[world.task][0]
    return float(
        np.mean([tell(world, model, seed + number, drift=LABEL_DRIFT).is_flagged(default) for model in models for number in range(windows)])
    )


def main(given: list[str] | None = None) -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--windows", type=int, default=500, help="windows in all for each kind of figure (default: 500)")
    parser.add_argument("--seed", type=int, default=1, help="of the first window; another one gives other windows")
    parser.add_argument("--task", choices=list(FITTED), help="this one alone (default: all)")
    options = parser.parse_args(given)
    windows = 2 if options.small else options.windows
    figures: dict[str, Any] = {"windows": windows}
    ratios: dict[str, float] = {}
    wrong: list[str] = []
    for task, fitted in FITTED.items():
        if options.task not in (None, task):
            continue
        models = ["linear"] if options.small else list(fitted)
        shifts = {"two spreads doubled": SHIFTS["two spreads doubled"]} if options.small else SHIFTS
        each = windows if options.small else max(4, windows // len(models) // len(shifts))
        errors, worlds = shifted(task, each, options.seed, models, shifts)
        plain = ESTIMATORS[task][1]
        figures[f"mae, {task}, {each} windows of each world"] = errors.relative(plain)
        figures[f"ours over {plain}, {task}"] = worlds
        of_task = "_multiclass" if task == "multiclass" else ""
        ratios[f"ours_over_{plain}{of_task}"] = errors.relative(plain)["ours"]
        ratios[f"ours_over_constant_{task}"] = errors.relative("constant")["ours"]
        worlds_of_days = [World(task, by_days=True, window_days=days) for days in ((7,) if options.small else (1, 7))]
        for world in (World(task), *worlds_of_days):
            kind = f"{task}, {f'days that differ, a window of {world.window_days}' if world.by_days else 'rows independent'}"
            calm, drifting = (1, 1) if options.small else (max(4, windows // len(models)), max(4, windows // len(models) // 2))
            figures[f"drift-free, {kind}"] = covered(world, calm, options.seed + 10_000, models)
            figures[f"flagged, label drift, {kind}"] = detected(world, drifting, options.seed + 20_000, models)
            say(f"{kind}: {figures[f'drift-free, {kind}']}, label drift {figures[f'flagged, label drift, {kind}']}")
        if ratios[f"ours_over_{plain}{of_task}"] >= 1:
            wrong.append(f"{task}: ours is no better than {plain} ({ratios[f'ours_over_{plain}{of_task}']:.3f} of its error)")
    return Report("estimates", figures, ratios, wrong).print(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
