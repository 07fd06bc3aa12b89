"""Holdout results for a model card: calibration, feature importance, distribution of predictions. Aggregates only.

No figure here stands for fewer than `MIN_CATEGORY_ROWS` rows, so that a card can be given away and outlive an erasure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from include.evergreen.config.classes import MOST_NAMED, recalled_class
from include.evergreen.features.columns import PARTITION, TARGET, features_of
from include.evergreen.gates.bootstrap import Units
from include.evergreen.gates.criteria import metric_interval, share_interval
from include.evergreen.gates.scored import Scored
from include.evergreen.serving.inference import as_fitted, one_thread
from include.evergreen.serving.likeliest import decided, values
from include.evergreen.training.fit_job import split_by_time
from include.evergreen.training.metrics import Measures
from include.evergreen.training.pipeline import MIN_CATEGORY_ROWS, predict

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

MOST_BINS = 10
HISTOGRAM_BINS = 20
IMPORTANCE_ROWS = 2000
IMPORTANCE_REPEATS = 2, 5  # at least, and at most
IMPORTANCE_PREDICTIONS = 400  # of the sample, unless the least repeats take more
Z = 1.959964  # of a normal distribution, for 95%


@dataclass(frozen=True)
class Metric:
    """A metric on the holdout, with its interval where the rows allow one."""

    name: str
    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Bin:
    """Rows with near predictions: the means of what was predicted and of what came, and a 95% interval of the latter."""

    predicted: float
    observed: float
    rows: int
    low: float
    high: float

    @property
    def is_off(self) -> bool:
        """Whether the prediction lies outside of the interval of what came."""
        return not self.low <= self.predicted <= self.high


@dataclass(frozen=True)
class Importance:
    """How much worse a metric gets when one feature's values change places: mean and standard deviation over the repeats."""

    feature: str
    mean: float
    spread: float


@dataclass(frozen=True)
class Histogram:
    """Shares of rows between ``edges`` (one more than shares); what lies outside counts to the first and the last."""

    edges: tuple[float, ...]
    predicted: tuple[float, ...]
    observed: tuple[float, ...] = ()


@dataclass(frozen=True)
class ClassShares:
    """Which share of the rows is of a class: of those fitted on, of the holdout's, and how many of these are called so.

    ``recall`` is the share of its own rows that are called so; ``instead`` is what most of the others are called, with their share of its
    rows, and None where these are too few to be shown.
    """

    name: str
    fit: float
    holdout: float
    called: float
    recall: float
    instead: tuple[str, float] | None


@dataclass(frozen=True)
class Holdout:
    """``fit_mean`` and ``mean`` are the target's means over the rows fitted on and the holdout; of a classification, shares.

    Of several classes they are the share of the commonest one fitted on; ``predicted_mean``, ``bins`` and ``histogram`` are of how likely
    the likeliest class of a row is, and ``classes`` says of each class how many rows it has.
    """

    first: str
    last: str
    fit_first: str
    fit_days: int
    fit_rows: int
    days: int
    rows: int
    fit_mean: float
    mean: float
    predicted_mean: float
    metrics: tuple[Metric, ...]
    resampled: str
    bins: tuple[Bin, ...]
    importances: tuple[Importance, ...]
    importance_metric: str
    importance_rows: int
    histogram: Histogram
    classes: tuple[ClassShares, ...] = ()


def examine(
    measures: Measures, pipeline: Pipeline, frame: pd.DataFrame, criteria: Sequence[dict[str, Any]], *, run_key: str, first: str | None
) -> Holdout:
    """The figures of ``pipeline`` on the holdout of ``frame``, a training frame; the gate's own bins where ``criteria`` hold some.

    The metrics' intervals are the gate's own, to the last bit: the same resamples, drawn by ``run_key``.

    :param measures: how the version is measured, with the model as its recipe declares it
    :param pipeline: the version's own fitted pipeline
    :param frame: the rows that the training read, fitted on and holdout
    :param criteria: the criteria of the version's decision, as recorded
    :param run_key: the key of the version's training run
    :param first: the first partition of the version's holdout, as its training recorded it
    :returns: the figures, none of which stands for fewer than `MIN_CATEGORY_ROWS` rows
    """
    model = measures.model
    fit_rows, holdout = split_by_time(model, frame, first)
    features = features_of(holdout, model.feature_names)
    measures = measures.among(holdout[TARGET])
    labels = measures.labels(holdout[TARGET])
    units = Units.days(holdout[PARTITION].to_numpy()) if model.gate.resample == "days" else Units.rows(len(holdout))
    with one_thread():
        predicted = predict(pipeline, model, features)
        importances, metric, rows = _importances(measures, pipeline, features, labels)
    scored = Scored(measures, labels, predicted, units, model.gate.resamples, seed=int(run_key[:12], 16))
    fitted, metrics, classes = fit_rows[TARGET], list(scored.metrics), tuple[ClassShares, ...]()
    if model.task == "multiclass":
        classes = _class_shares(measures, fitted, labels, predicted)
        metrics = [name for name in metrics if _is_of_many(measures, name, labels)]
        labels, predicted = (decided(predicted) == labels).astype("float64"), values(predicted)[:, 0]
        fitted = (fitted == fitted.mode()[0]).astype("float64")
    shares = model.task != "regression"
    return Holdout(
        first=str(holdout[PARTITION].min()),
        last=str(holdout[PARTITION].max()),
        fit_first=str(fit_rows[PARTITION].min()),
        fit_days=fit_rows[PARTITION].nunique(),
        days=holdout[PARTITION].nunique(),
        fit_rows=len(fit_rows),
        rows=len(holdout),
        fit_mean=float(fitted.mean()),
        mean=float((holdout[TARGET] == fit_rows[TARGET].mode()[0]).mean() if classes else labels.mean()),
        predicted_mean=float(predicted.mean()),
        metrics=tuple(Metric(name, scored.metrics[name], metric_interval(scored, name)) for name in metrics),
        resampled=units.word,
        bins=tuple(_judged_bins(criteria) or make_bins(labels, predicted, shares=shares)),
        importances=tuple(importances),
        importance_metric=metric,
        importance_rows=rows,
        histogram=make_histogram(labels, predicted, shares=shares),
        classes=classes,
    )


def _is_of_many(measures: Measures, metric: str, labels: np.ndarray) -> bool:
    """Whether no figure of a metric is one of too few rows: the recall of a class is of those of the class."""
    text = recalled_class(metric)
    return text is None or int((labels == measures.classes.index(text)).sum()) >= MIN_CATEGORY_ROWS


def _class_shares(measures: Measures, fitted: pd.Series, labels: np.ndarray, predicted: np.ndarray) -> tuple[ClassShares, ...]:
    """The commonest classes first; those of too few rows are left out."""
    called = decided(predicted)
    counts = [np.bincount(each.astype("int64"), minlength=len(measures.classes) + 1) for each in (measures.labels(fitted), labels, called)]
    shown = [number for number in range(len(measures.classes)) if min(counts[0][number], counts[1][number]) >= MIN_CATEGORY_ROWS]
    shares = []
    for number in sorted(shown, key=lambda number: -counts[0][number])[:MOST_NAMED]:
        calls = np.bincount(called[labels == number].astype("int64"), minlength=len(measures.classes))
        recall, calls[number] = float(calls[number] / calls.sum()), 0
        other = int(calls.argmax())
        instead = (measures.classes[other], float(calls[other] / counts[1][number])) if calls[other] >= MIN_CATEGORY_ROWS else None
        fit, holdout, named = (float(count[number] / max(1, count.sum())) for count in counts)
        shares.append(ClassShares(measures.classes[number], fit, holdout, named, recall, instead))
    return tuple(shares)


def make_bins(labels: np.ndarray, predicted: np.ndarray, *, shares: bool) -> list[Bin]:
    """At most ten bins of equally many rows, by prediction, with a 95% interval of what came.

    The interval is Wilson's score interval (Wilson 1927, Probable inference, JASA 22) for shares, else the normal one of a mean.

    :param labels: what came, a value for each row
    :param predicted: what was predicted for the same rows
    :param shares: whether the labels are 0 or 1
    :returns: the bins, the lowest predictions first; none when there are too few rows for one
    """
    count = min(MOST_BINS, len(labels) // MIN_CATEGORY_ROWS)
    if count == 0:
        return []
    order = np.argsort(predicted, kind="stable")
    bins = []
    for chosen in np.array_split(order, count):
        mean, rows = float(labels[chosen].mean()), len(chosen)
        half = Z * float(labels[chosen].std(ddof=1)) / math.sqrt(rows)
        low, high = share_interval(labels[chosen]) if shares else (mean - half, mean + half)
        bins.append(Bin(float(predicted[chosen].mean()), mean, rows, low, high))
    return bins


def make_histogram(labels: np.ndarray, predicted: np.ndarray, *, shares: bool) -> Histogram:
    """How the predictions lie and, of a regression, the labels; a bin of fewer than `MIN_CATEGORY_ROWS` rows counts as empty.

    :param labels: what came, a value for each row
    :param predicted: what was predicted for the same rows
    :param shares: whether the predictions are chances, which lie between 0 and 1; else the range is that of the 1st to the 99th percentile,
        so that no single row shows
    :returns: `HISTOGRAM_BINS` bins; ``observed`` is empty for chances
    """
    low, high = (0.0, 1.0) if shares else np.quantile(np.concatenate([labels, predicted]), [0.01, 0.99]).tolist()
    edges = np.linspace(low, high if high > low else low + 1.0, HISTOGRAM_BINS + 1)

    def counted(values: np.ndarray) -> tuple[float, ...]:
        counts = np.histogram(values.clip(edges[0], edges[-1]), edges)[0]
        return tuple((np.where(counts < MIN_CATEGORY_ROWS, 0, counts) / len(values)).tolist())

    return Histogram(tuple(edges.tolist()), counted(predicted), () if shares else counted(labels))


def _judged_bins(criteria: Sequence[dict[str, Any]]) -> list[Bin]:
    """The bins that a criterion of the gate judged, those of too few rows left out."""
    judged = (criterion["details"]["bins"] for criterion in criteria if (criterion.get("details") or {}).get("bins"))
    return [
        Bin(bin_result["predicted"], bin_result["observed"], bin_result["rows"], *bin_result["interval"])
        for bin_result in next(judged, [])
        if bin_result["rows"] >= MIN_CATEGORY_ROWS and bin_result["interval"]
    ]


def _likely(measures: Measures, pipeline: Pipeline, frame: pd.DataFrame, labels: np.ndarray) -> float:
    """Less the log loss, so that more is better."""
    return -float(measures.measure_one("log_loss", labels, predict(pipeline, measures.model, frame)) or 0.0)


def importance_repeats(features: int) -> int:
    """Say how often a card permutes each feature: the less often, the more there are.

    :param features: how many there are
    :returns: the number of permutations
    """
    least, most = IMPORTANCE_REPEATS
    return max(least, min(most, IMPORTANCE_PREDICTIONS // features))


def _importances(measures: Measures, pipeline: Pipeline, features: pd.DataFrame, labels: np.ndarray) -> tuple[list[Importance], str, int]:
    """Permutation importances (Breiman 2001) on a sample of the holdout, the greatest first; the metric's name; the sample's rows."""
    from sklearn.inspection import permutation_importance

    model = measures.model
    scoring: Any
    chosen: np.ndarray = np.random.default_rng(model.train.seed).permutation(len(labels))[:IMPORTANCE_ROWS]
    if model.task == "multiclass":
        metric, scoring = "log_loss", partial(_likely, measures)
    elif model.task == "regression":
        metric, scoring = "mae", "neg_mean_absolute_error"
    else:
        metric, scoring = ("auc", "roc_auc") if len(set(labels[chosen].tolist())) == 2 else ("brier", "neg_brier_score")
    permuted = permutation_importance(
        pipeline,
        as_fitted(features.iloc[chosen]),
        labels[chosen],
        scoring=scoring,
        n_repeats=importance_repeats(len(features.columns)),
        random_state=model.train.seed,
    )
    importances = [
        Importance(name, float(mean), float(spread))
        for name, mean, spread in zip(features.columns, permuted.importances_mean, permuted.importances_std, strict=True)
    ]
    return sorted(importances, key=lambda importance: -importance.mean), metric, len(chosen)
