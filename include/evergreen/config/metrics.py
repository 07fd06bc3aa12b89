"""What a metric is: its name, task, range, which way is better, and words; the team's own beside ours.

How each is measured is in `training.metrics`, how it is resampled in `gates.resampled`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, log, sqrt
from typing import TYPE_CHECKING, Any, Final, Literal

from include.evergreen.config.classes import MOST_NAMED, MOST_RANKED, is_nameable, recall_name, recalled_class
from include.evergreen.foundation.apart import set_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.evergreen.config.models import ModelConfig

Better = Literal["higher", "lower", "zero"]
Baseline = Literal["mean", "median", "quantile", "decision", ""]


@dataclass(frozen=True)
class Metric:
    """One metric of a model.

    ``undefined``: rows, besides none at all, that do not define it. ``needs``: the key of ``metrics`` in model.yaml without which a model
    has no such metric. ``is_of_decisions``: it depends on the decision threshold. ``baseline``: the same answer for every row with which
    it is compared by a `BaselineCriterion` (``decision``: the better of calling every row positive and none); empty: there is none.
    ``is_estimated``: it is also estimated of rows without labels, being a function of sums over the rows or of their order.
    """

    name: str
    better: Better
    range: tuple[float, float]
    words: str
    undefined: str = ""
    needs: str = ""
    is_of_decisions: bool = False
    baseline: Baseline = "mean"
    is_estimated: bool = True

    @property
    def better_words(self) -> str:
        """Which values are better, for people: ``higher is better``."""
        return "nearer to 0 is better" if self.better == "zero" else f"{self.better} is better"

    @property
    def judged_name(self) -> str:
        """What is compared: the metric, or its size where the nearest to 0 is best."""
        return f"|{self.name}|" if self.better == "zero" else self.name

    @property
    def sign(self) -> float:
        """What makes a `judged` value one of which more is better: 1, or -1."""
        return 1.0 if self.better == "higher" else -1.0

    def judged(self, value: Any) -> Any:
        """Turn a value into the one that is compared: its size where the nearest to 0 is best.

        :param value: a number or an array of them
        :returns: the same, or without signs
        """
        return abs(value) if self.better == "zero" else value


ONE_CLASS: Final = "rows of one class only"
_CLASSIFICATION: Final = (
    Metric("auc", "higher", (0, 1), "How often a positive row gets a higher probability than a negative one: 0.5 is random, 1 is perfect.",
           ONE_CLASS),
    Metric("log_loss", "lower", (0, inf), "The mean penalty on predicted probabilities: 0 is perfect; confident errors cost most."),
    Metric("brier", "lower", (0, 1), "The mean squared difference between the probability and the outcome (0 or 1): 0 is perfect."),
    Metric("accuracy", "higher", (0, 1), "How often its decision is right.", is_of_decisions=True, baseline="decision"),
    Metric("average_precision", "higher", (0, 1),
           "The precision, averaged over all thresholds (area under the precision-recall curve): of a random order it is the share of "
           "positive rows, 1 is perfect.", "no positive row"),
    Metric("precision", "higher", (0, 1), "Of the rows that it calls positive, the share that are.", "no row that is called positive",
           is_of_decisions=True, baseline="decision"),
    Metric("recall", "higher", (0, 1), "Of the positive rows, the share that it calls so.", "no positive row", is_of_decisions=True,
           baseline=""),
    Metric("f1", "higher", (0, 1), "The harmonic mean of precision and recall: 1 is perfect.", "no row that is positive or called so",
           is_of_decisions=True, baseline="decision"),
    Metric("balanced_accuracy", "higher", (0, 1),
           "The mean of the shares of positive and of negative rows that it decides rightly: 0.5 is random, 1 is perfect.", ONE_CLASS,
           is_of_decisions=True, baseline="decision"),
    Metric("mcc", "higher", (-1, 1), "The correlation of its decisions with the outcomes (Matthews): 0 is random, 1 is perfect.", ONE_CLASS,
           is_of_decisions=True, baseline="decision"),
    Metric("cost", "lower", (0, inf), "The mean cost of a row, by the declared costs of false positives and false negatives.",
           needs="costs", is_of_decisions=True, baseline="decision"),
)  # fmt: skip
_MULTICLASS: Final = (
    Metric("log_loss", "lower", (0, inf),
           "The mean penalty on the probability of the right class: 0 is perfect; confident errors cost most."),
    Metric("accuracy", "higher", (0, 1), "How often its likeliest class is the right one.", is_of_decisions=True),
    Metric("balanced_accuracy", "higher", (0, 1),
           "The mean over the classes of the share of its rows that it calls so: as many rows or few, each class weighs the same.",
           ONE_CLASS, is_of_decisions=True),
    Metric("macro_f1", "higher", (0, 1),
           "The mean over the classes of the harmonic mean of precision and recall: each class weighs the same.", is_of_decisions=True),
    Metric("weighted_f1", "higher", (0, 1), "The same, each class weighing as many rows as it has.", is_of_decisions=True),
    Metric("auc_ovr", "higher", (0, 1),
           "The mean over the classes of how often a row of the class gets a higher probability of it than another row: 0.5 is random, 1 "
           "is perfect.", ONE_CLASS),
)  # fmt: skip
_REGRESSION: Final = (
    Metric("mae", "lower", (0, inf), "The mean size of its errors, in the target's unit.", baseline="median"),
    Metric("rmse", "lower", (0, inf), "The typical size of its errors, large ones weighing more, in the target's unit."),
    Metric("r2", "higher", (-inf, 1),
           "The share of the target's variance that it explains: 1 is all, 0 is no better than predicting the mean.",
           "a single row"),
    Metric("median_absolute_error", "lower", (0, inf), "The size that half of its errors do not exceed, in the target's unit.",
           baseline="median", is_estimated=False),
    Metric("bias", "zero", (-inf, inf), "The mean of prediction minus outcome, in the target's unit: above 0 it predicts too much.",
           baseline=""),
    Metric("mape", "lower", (0, inf), "The mean size of its errors as a share of the outcome; errors at small outcomes weigh most.",
           "a row whose target is 0", baseline="median"),
    Metric("smape", "lower", (0, 2),
           "The mean size of its errors as a share of the mean of prediction and outcome: 0 is perfect, 2 the worst.",
           baseline="median"),
    Metric("wape", "lower", (0, inf), "The sum of the sizes of its errors as a share of the sum of the sizes of the outcomes.",
           "targets that are all 0", baseline="median"),
    Metric("pinball", "lower", (0, inf), "The mean pinball loss of the declared quantile, in the target's unit: 0 is perfect.",
           needs="quantile", baseline="quantile"),
)  # fmt: skip
METRICS: Final[dict[str, dict[str, Metric]]] = {
    "classification": {metric.name: metric for metric in _CLASSIFICATION},
    "multiclass": {metric.name: metric for metric in _MULTICLASS},
    "regression": {metric.name: metric for metric in _REGRESSION},
}
"""Task -> name -> the metric, the one that tuning takes by default first."""
PERFORMANCE: Final = "performance."  # before a metric's name: an observation of what was realised
ESTIMATED: Final = "estimated."  # likewise, of what is estimated before labels come
MULTIVARIATE: Final = "drift.multivariate"  # of all columns together
PREDICTION_DRIFT: Final = "prediction_drift.score"
TARGET_DRIFT: Final = "target_drift.score"  # is observed once labels have arrived
CONCEPT_DRIFT: Final = "concept_drift.score"
QUARANTINED_SHARE: Final = "quality.quarantined_share"
MISSING_SHARE: Final = "quality.missing_share"
FAILED_CHECKS: Final = "quality.failed_checks"
FRESHNESS: Final = "freshness.hours"
VOLUME: Final = "volume.rows"
RELATIVE_VOLUME: Final = "volume.relative"
SCORING_SPEED: Final = "scoring.seconds_per_1000_rows"
TRAINING_AGE: Final = "training.age_days"
NEW_ROWS: Final = "training.new_rows"
NEW_LABELS: Final = "training.new_labels"
OF_SUPPLY: Final = (
    QUARANTINED_SHARE, MISSING_SHARE, FAILED_CHECKS, FRESHNESS, VOLUME, RELATIVE_VOLUME, SCORING_SPEED, TRAINING_AGE, NEW_ROWS, NEW_LABELS,
)  # fmt: skip
"""What is observed of the data of a partition, of its scoring, and of what has come since the model was trained."""
NEW_CLASS_SHARE: Final = "labels.new_class_share"  # of labelled rows, those of a class that the version does not know
LABEL_SHARE: Final = "labels.share"  # is observed where labels come late, and no rule watches it
JENSEN_SHANNON: Final = (0, sqrt(log(2)))  # of the distance, by natural logarithms: the same, and nothing in common


def metrics_of(model: ModelConfig, classes: Sequence[str] = ()) -> dict[str, Metric]:
    """Find the metrics that a model has.

    :param model: the model as it is declared, or as a recipe declares it
    :param classes: those that a version of it has learned, if it is of several
    :returns: by name: ours for its task, without those that need what it does not declare, then its own; of several classes the recall of
        each, if they are at most `MOST_NAMED`, and of those that the gate or a rule names
    """
    ours = {
        name: metric for name, metric in METRICS[model.task].items() if not metric.needs or getattr(model.metrics, metric.needs) is not None
    }
    if model.task == "multiclass" and len(model.target.class_texts or tuple(classes)) > MOST_RANKED:
        ours["auc_ovr"] = replace(ours["auc_ovr"], is_estimated=False)
    ours |= {recall_name(text): _recall(text) for text in _recalled(model, classes)}
    return ours | {
        own.name: Metric(own.name, own.better, (-inf, inf), own.description, is_estimated=False)
        for own in model.metrics.own
        if own.name not in ours
    }


def _recalled(model: ModelConfig, classes: Sequence[str]) -> list[str]:
    """The classes whose recall is measured."""
    if model.task != "multiclass":
        return []
    declared = model.target.class_texts
    each = declared or tuple(classes)
    named = (recalled_class(name) for name in _named_metrics(model))
    wanted = [*(each if len(each) <= MOST_NAMED else ()), *(text for text in named if text is not None)]
    return [text for text in dict.fromkeys(wanted) if is_nameable(text) and (not declared or text in declared)]


def _recall(text: str) -> Metric:
    return Metric(recall_name(text), "higher", (0, 1), f"Of the rows of {text}, the share that it calls so.", f"no row of {text}",
                  is_of_decisions=True, baseline="")  # fmt: skip


def missing_metric(model: ModelConfig, name: str) -> str:
    """Say why a model has no metric of a name, and what to do.

    :param model: the model as it is declared
    :param name: of no metric of `metrics_of`
    :returns: to be read after the key that names it
    """
    from include.evergreen.config.wording import did_you_mean, listed

    known = METRICS[model.task].get(name)
    if known is not None:
        return f"{name} needs metrics.{known.needs}; declare it, or choose another metric"
    text = recalled_class(name)
    if model.task == "multiclass" and text is not None:
        if not is_nameable(text):
            return f"{name!r} names no class: it takes letters, digits, _, -, . and spaces, 60 at most; choose another metric"
        return (
            f"{text!r} is none of target.classes; {did_you_mean(text, model.target.class_texts)}allowed: {listed(model.target.class_texts)}"
        )
    other = next((task for task, metrics in METRICS.items() if name in metrics), "")
    of_other = f"it is a metric of a {other}; " if other else did_you_mean(name, metrics_of(model))
    return f"unknown metric of a {model.task} {name!r}; {of_other}allowed: {listed(metrics_of(model))}"


def drift_name(feature: str) -> str:
    """Name the observation of a feature's drift.

    :param feature: its name, as model.yaml declares it
    :returns: ``drift.FEATURE``; ``drift.feature:share`` of a feature called ``share``, as ``drift.share`` is that of drifted features, and
        likewise of one called ``multivariate``
    """
    return f"drift.{set_apart(feature, is_ours=f'drift.{feature}' in ('drift.share', MULTIVARIATE))}"


@dataclass(frozen=True)
class Sliced:
    """What the observation of one slice is about: a metric, over the rows that have ``value`` in a feature."""

    metric: str
    feature: str
    value: str

    @property
    def name(self) -> str:
        """The name of the observation: ``performance.auc[origin=JFK]``."""
        return f"{PERFORMANCE}{self.metric}[{self.feature}={self.value}]"


def parse_sliced(model: ModelConfig, name: str) -> Sliced | None:
    """Read the name of an observation as that of one slice.

    :param model: the model as it is declared, whose features may have any name
    :param name: of an observation, or what somebody takes for one
    :returns: its parts; None when it is not of that form, or of no feature of the model
    """
    metric, bracket, rest = name.partition("[")
    if not (bracket and metric.startswith(PERFORMANCE) and rest.endswith("]")):
        return None
    features = [feature.name for feature in model.features if rest.startswith(f"{feature.name}=")]
    if not features:
        return None
    feature = max(features, key=len)
    return Sliced(metric.removeprefix(PERFORMANCE), feature, rest[len(feature) + 1 : -1])


def is_sliced(name: str) -> bool:
    """Whether an observation is of one slice alone.

    :param name: of an observation
    :returns: whether it is of performance and names a slice
    """
    return name.startswith(PERFORMANCE) and name.endswith("]")


def metrics_by_slice(model: ModelConfig) -> list[str]:
    """List the metrics that are observed by slice: of all, a model with many slices would have hundreds of figures a day.

    :param model: the model as it is declared
    :returns: those that its gate and its rules name, else the first of its task
    """
    known = metrics_of(model)
    return [name for name in dict.fromkeys(_named_metrics(model)) if name in known] or [next(iter(known))]


def _named_metrics(model: ModelConfig) -> list[str]:
    """The names of metrics that gate and rules of performance give."""
    of_gate = [name for criterion in model.gate.criteria if (name := getattr(criterion, "metric", None))]
    of_rules = [
        rule.metric.removeprefix(PERFORMANCE).partition("[")[0] for rule in model.retrain.rules if rule.metric.startswith(PERFORMANCE)
    ]
    return [*of_gate, *of_rules]


def observation_range(model: ModelConfig, name: str) -> tuple[float, float]:
    """Say between which values an observation can lie, so that a rule that can never be met is refused.

    :param model: the model as it is declared, whose features' kinds decide
    :param name: one of `observation_names`, or of a slice
    :returns: the lowest and the highest value; infinite where there is no bound
    """
    if sliced := parse_sliced(model, name):
        return metrics_of(model)[sliced.metric].range
    group, _, rest = name.partition(".")
    if f"{group}." in (PERFORMANCE, ESTIMATED):
        return metrics_of(model)[rest].range
    if name in ("drift.share", QUARANTINED_SHARE, MISSING_SHARE, NEW_CLASS_SHARE):
        return 0, 1
    if name == FRESHNESS:
        return -inf, inf
    if name == MULTIVARIATE:
        return 0.5, 1
    categorical = {drift_name(feature.name) for feature in model.features if feature.kind == "categorical"}
    categorical |= {TARGET_DRIFT} if model.task != "regression" else set()
    categorical |= {PREDICTION_DRIFT} if model.task == "multiclass" else set()
    return JENSEN_SHANNON if name in categorical else (0, inf)


def _estimated_names(model: ModelConfig) -> list[str]:
    return [*(f"{ESTIMATED}{name}" for name, metric in metrics_of(model).items() if metric.is_estimated), CONCEPT_DRIFT]


def observation_names(model: ModelConfig) -> list[str]:
    """List what a rule of a model may watch, but for slices, whose values nobody declares.

    :param model: the model as it is declared, whose task and features decide
    :returns: the names, those that every model of its task has first, then the drift of each feature
    """
    return [
        "drift.share",
        *([MULTIVARIATE] if model.monitor.multivariate_threshold is not None else ()),
        *(f"{PERFORMANCE}{metric}" for metric in metrics_of(model)),
        *(_estimated_names(model) if model.monitor.estimate else ()),
        *((NEW_CLASS_SHARE,) if model.task == "multiclass" else ()),
        *OF_SUPPLY,
        PREDICTION_DRIFT,
        TARGET_DRIFT,
        *(drift_name(feature.name) for feature in model.features),
    ]
