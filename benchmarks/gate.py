"""What the gate's intervals cost: the vectorised paired bootstrap beside a loop over scikit-learn's own metrics.

    python -m benchmarks.gate [--json] [--small]

AUC and log-loss of two versions on 100,000 rows, over 1,000 resamples that both sides share. The loop copies the rows of each
resample and measures them; it runs on the first few of the resamples only, and its time is scaled up. The figures must agree to
1e-9 on each of those. Then the same by days, which is how a gate resamples unless it is told otherwise.

And of several classes: all six metrics of 50,000 rows, measured and over 1,000 resamples of rows and of days, beside scikit-learn's own
functions on the probabilities of all classes, called once. Of more classes than are served, those are what is served, written out.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn import metrics

from benchmarks.gate_statistics import CLASSIFIER
from benchmarks.report import Report, arguments, differences, say
from include.evergreen.config import ModelConfig
from include.evergreen.gates.bootstrap import Statistic, Units, draw, replicates
from include.evergreen.gates.resampled import statistic
from include.evergreen.serving.inference import one_thread
from include.evergreen.serving.likeliest import likeliest, spread
from include.evergreen.training.metrics import Measures

DAYS = 28
SEED = 11
METRICS = ("auc", "log_loss")
SAME = 1e-9
SAME_CHANCE = 1e-6  # of chances that were divided by their sum once more, some pairs that were tied are not
SEVERAL = ModelConfig.model_validate(
    {
        "name": "several", "description": "", "owner": "", "task": "multiclass", "rows": "rows",
        "inputs": [{"dataset": "rows", "lag": "0 days"}], "target": {"dataset": "rows", "column": "label"},
        "features": [{"name": "a", "kind": "numeric", "description": ""}],
        "train": {"estimator": "sklearn.linear_model.LogisticRegression", "window": "9 days", "min_history": "8 days", "holdout": "1 day"},
        "gate": {"criteria": [{"kind": "absolute", "metric": "log_loss", "at_most": 1}]},
    }
)  # fmt: skip


@dataclass(frozen=True)
class Form:
    """``looped``: on how many of the resamples the loop runs."""

    rows: int
    resamples: int
    looped: int
    rounds: int
    class_rows: int
    classes: tuple[int, ...]


FULL = Form(rows=100_000, resamples=1000, looped=40, rounds=3, class_rows=50_000, classes=(2, 7, 100, 1000))
SMALL = Form(rows=2_000, resamples=200, looped=10, rounds=1, class_rows=1_000, classes=(2, 50))


def main(given: list[str] | None = None) -> int:
    options = arguments(__doc__ or "").parse_args(given)
    try:
        with one_thread():
            return _measure(SMALL if options.small else FULL).print(as_json=options.json)
    except KeyboardInterrupt:
        say("Stopped. Nothing is left running.")
        return 130


def _measure(form: Form) -> Report:
    truth, days, versions = _holdout(form.rows)
    by_rows = Units.rows(form.rows)
    vectorised_s, loop_s, ours, theirs = [], [], np.empty(0), np.empty(0)
    memory_before = _peak_mb()
    for number in range(1, form.rounds + 1):
        say(f"round {number} of {form.rounds}: {form.resamples} resamples vectorised")
        seconds, ours = _timed(truth, versions, by_rows, form.resamples)
        vectorised_s.append(seconds)
        memory_after = _peak_mb()
        say(f"round {number} of {form.rounds}: {form.looped} resamples by the loop")
        began = time.perf_counter()
        theirs = np.array(list(_looped(truth, versions, form))).T
        loop_s.append((time.perf_counter() - began) * form.resamples / form.looped)
    days_s, _ = _timed(truth, versions, Units.days(days), form.resamples)
    found = differences(ours[:, : form.looped].tolist(), theirs.tolist(), tolerance={"replicates": SAME}, where="replicates")
    figures: dict[str, Any] = {
        "rows": form.rows,
        "resamples": form.resamples,
        "vectorised_s": statistics.median(vectorised_s),
        "loop_s": statistics.median(loop_s),
        "loop_resamples_run": form.looped,
        "vectorised_by_days_s": days_s,
        "largest_difference": float(np.abs(ours[:, : form.looped] - theirs).max()),
        "vectorised_peak_mb_above_start": memory_after - memory_before,
    }
    ratios = {
        "vectorised_over_loop": figures["vectorised_s"] / figures["loop_s"],
        "by_days_over_loop": days_s / figures["loop_s"],
    }
    for count in form.classes:
        of_classes, over_sklearn, differing = _of_classes(form, count)
        figures[f"of {count} classes"] = of_classes
        ratios |= over_sklearn
        found += differing
    return Report("gate", figures, ratios, found)


def _of_classes(form: Form, count: int) -> tuple[dict[str, float], dict[str, float], list[str]]:
    """Seconds, their ratios to one pass of scikit-learn, and where the two differ."""
    random = np.random.default_rng(SEED)
    labels = random.integers(0, count, form.class_rows)
    scores = random.normal(size=(form.class_rows, count))
    scores[np.arange(form.class_rows), labels] += 2 + np.log(count) / 2
    served = likeliest(softmax(scores, axis=1))
    chances = spread(served, count)
    chances /= chances.sum(axis=1, keepdims=True)  # which scikit-learn asks for, to more digits than are kept
    names = tuple(f"class {number:04d}" for number in range(count))
    measures, truth = Measures(SEVERAL, 0.5, classes=names, own_classes=names), labels.astype("float64")
    say(f"{count} classes: scikit-learn, once")
    began = time.perf_counter()
    theirs = _sklearn_of_classes(labels, chances)
    sklearn_s = time.perf_counter() - began
    began = time.perf_counter()
    ours = {metric: measures.measure_one(metric, truth, served) for metric in theirs}
    seconds = {"sklearn_s": sklearn_s, "measured_s": time.perf_counter() - began}
    days = Units.days(random.integers(0, DAYS, form.class_rows))
    for name, units in (("by_days", days), ("by_rows", Units.rows(form.class_rows))):
        say(f"{count} classes: {form.resamples} resamples {name}")
        began = time.perf_counter()
        replicates([statistic(measures, metric, units, truth, served) for metric in theirs], units, resamples=form.resamples, seed=SEED)
        seconds[f"{name}_s"] = time.perf_counter() - began
    timed = ("measured", "by_days", "by_rows")
    ratios = {f"{name}_of_{count}_classes_over_sklearn_once": seconds[f"{name}_s"] / sklearn_s for name in timed}
    return seconds, ratios, differences(ours, theirs, tolerance=dict.fromkeys(theirs, SAME_CHANCE), where=f"{count} classes")


def _sklearn_of_classes(labels: np.ndarray, chances: np.ndarray) -> dict[str, float]:
    every, called = np.arange(chances.shape[1]), chances.argmax(axis=1)
    of_two = chances.shape[1] == 2  # which scikit-learn takes for a positive class and the rest
    ranked = {"y_score": chances[:, 1]} if of_two else {"y_score": chances, "multi_class": "ovr", "labels": every}
    return {
        "log_loss": float(metrics.log_loss(labels, chances, labels=every)),
        "accuracy": float(metrics.accuracy_score(labels, called)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(labels, called)),
        "macro_f1": float(metrics.f1_score(labels, called, average="macro")),
        "weighted_f1": float(metrics.f1_score(labels, called, average="weighted")),
        "auc_ovr": float(metrics.roc_auc_score(labels, **ranked)),
    }


def _holdout(rows: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """The truth (a quarter of it late), each row's day, and two versions' chances, a tenth of which are tied with others."""
    random = np.random.default_rng(SEED)
    signal = random.normal(size=rows)
    truth = (random.random(rows) < 1 / (1 + np.exp(1.3 - signal))).astype("float64")
    versions = []
    for _ in range(2):
        chance = 1 / (1 + np.exp(1.3 - signal - random.normal(0, 0.7, rows)))
        versions.append(np.where(random.random(rows) < 0.1, chance.round(2), chance))
    return truth, random.integers(0, DAYS, rows), versions


def _timed(truth: np.ndarray, versions: list[np.ndarray], units: Units, resamples: int) -> tuple[float, np.ndarray]:
    """The seconds, the preparation of the statistics among them, and each statistic on each resample."""
    began = time.perf_counter()
    of_both: list[Statistic] = [statistic(CLASSIFIER, metric, units, truth, predicted) for predicted in versions for metric in METRICS]
    found = replicates(of_both, units, resamples=resamples, seed=SEED)
    return time.perf_counter() - began, found


def _looped(truth: np.ndarray, versions: list[np.ndarray], form: Form) -> Iterator[list[float]]:
    """What one would write: the rows of each resample, and scikit-learn's metrics of them."""
    done = 0
    for weights in draw(form.rows, form.resamples, SEED):
        for each in weights:
            rows = np.repeat(np.arange(form.rows), each)
            late = truth[rows]
            yield [float(measure(late, predicted[rows])) for predicted in versions for measure in (metrics.roc_auc_score, metrics.log_loss)]
            done += 1
            if done == form.looped:
                return


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
