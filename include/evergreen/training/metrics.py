"""How each metric of `config.metrics` is measured: by scikit-learn where it has it, and by which sums it can be resampled.

Labels are 0 or 1 for a classification, the numbers of classes where there are several (`class_metrics`), else the target in its own unit;
predictions are the probability of 1, rows as `serving.likeliest` has them, else in the target's unit.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from include.evergreen.config import ModelConfig
from include.evergreen.config.measuring import OwnMetric
from include.evergreen.config.metrics import METRICS, ONE_CLASS, Metric, metrics_of
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.team_code import Modules
from include.evergreen.serving.likeliest import renumbered
from include.evergreen.training import class_metrics
from include.evergreen.training.own_metrics import measure_own, of_classes

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PROBABILITY_FLOOR = class_metrics.PROBABILITY_FLOOR
THRESHOLD_FACT, CLASSES_FACT = "decision_threshold", "classes"  # among the facts of a candidate
Finish = class_metrics.Finish


@dataclass(frozen=True)
class Measures:
    """The metrics of one version: those of ``model``, as the version's recipe declares it, at the version's own decision threshold.

    ``modules`` are those of the model's folder that the recipe holds, of its own metrics. Of several classes, labels and predictions are by
    the numbers of ``classes``; of these the version knows, and may predict, ``own_classes``.
    """

    model: ModelConfig
    threshold: float
    modules: Modules = ()
    classes: tuple[str, ...] = ()
    own_classes: tuple[str, ...] = ()

    @classmethod
    def trained(cls, model: ModelConfig, facts: Mapping[str, Any], modules: Modules = ()) -> Measures:
        """Find how a version is measured.

        :param model: the model as the version's recipe declares it
        :param facts: the facts of its training, which hold the threshold that was learned or declared; one that an older release trained
            has none, and then it is as declared
        :param modules: those in the model's folder, as the version's recipe holds them: of its own metrics
        :returns: its metrics
        """
        classes = tuple(facts.get(CLASSES_FACT, ()))
        return cls(model, facts.get(THRESHOLD_FACT) or model.metrics.decision_threshold, modules, classes, classes)

    def among(self, *texts: pd.Series) -> Measures:
        """Measure among more classes than the version knows: those that are true of some rows.

        :param *texts: labels of rows, as text
        :returns: the same metrics, the other classes after its own; itself where labels are no text
        """
        if self.model.task != "multiclass":
            return self
        found = {str(text) for column in texts for text in column.dropna().unique()}
        return replace(self, classes=(*self.classes, *sorted(found.difference(self.classes))))

    def as_other(self, other: Measures) -> Measures:
        """Measure another version by the same metrics.

        :param other: how that one is measured
        :returns: the same metrics at its decision threshold, with the classes that it knows; those that are new here come after these
        """
        classes = tuple(dict.fromkeys([*self.classes, *other.own_classes]))
        return replace(self, threshold=other.threshold, classes=classes, own_classes=other.own_classes)

    def labels(self, column: pd.Series) -> np.ndarray:
        """Write labels as they are measured.

        :param column: as `labelled_frame` and `join_labels` give them, none missing
        :returns: one float a row: 0 or 1, the figure, or the number of the class; ``len(classes)`` of one that is not among ``classes``
        """
        if self.model.task != "multiclass":
            return column.to_numpy(dtype="float64")
        import numpy as np
        import pandas as pd

        numbers = pd.Categorical(column.astype(object), categories=list(self.classes)).codes.astype("float64")
        return np.where(numbers < 0, float(len(self.classes)), numbers)

    def numbered(self, predicted: np.ndarray, classes: Sequence[str]) -> np.ndarray:
        """Write predictions of several classes by the numbers of ``classes``.

        :param predicted: what a version predicted; of a chance or a figure it is returned as it is
        :param classes: those by whose numbers it is
        :returns: as `serving.likeliest` has it
        """
        return renumbered(predicted, classes, self.classes) if self.model.task == "multiclass" else predicted

    @cached_property
    def is_known(self) -> np.ndarray:
        """Whether the version knows a class.

        :returns: a mask of ``classes``
        """
        import numpy as np

        return np.isin(np.array(self.classes, dtype=object), list(self.own_classes))

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Find what is measured.

        :returns: by name, those that the gate names first, as pages show the first few alone
        """
        known = metrics_of(self.model, self.own_classes)
        named = (getattr(criterion, "metric", None) for criterion in self.model.gate.criteria)
        return {name: known[name] for name in [*named, *known] if name in known}

    def metric(self, name: str) -> Metric:
        """Find a metric that a gate, a rule or tuning names.

        :param name: its name
        :returns: the metric
        :raises ConfigError: when the version has no such metric, as it was trained before that was declared
        """
        if name not in self.metrics:
            raise ConfigError(
                f"{self.model.name}: the version has no metric {name!r}, as it was trained before model.yaml declared what it needs. Train "
                f"again."
            )
        return self.metrics[name]

    def own(self, name: str) -> OwnMetric | None:
        """Find a metric of the team's own.

        :param name: of any metric of the version
        :returns: its declaration; None of one of ours
        """
        is_ours = name in METRICS[self.model.task]
        return next((own for own in self.model.metrics.own if own.name == name and not is_ours), None)

    def measure(self, labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        """Measure every metric of the model. Raises `ConfigError` as `measure_one`.

        :param labels: one float a row
        :param predicted: one float a row
        :returns: each metric that the rows define; one that they do not (AUC of a single class) is left out
        """
        measured = {name: self.measure_one(name, labels, predicted) for name in self.metrics}
        return {name: value for name, value in measured.items() if value is not None}

    def measure_one(self, name: str, labels: np.ndarray, predicted: np.ndarray) -> float | None:
        """Measure a single metric. Raises `ConfigError` as `metric`.

        :param name: the metric's
        :param labels: one float a row
        :param predicted: one float a row
        :returns: the metric; None where the rows do not define it
        """
        metric, own = self.metric(name), self.own(name)
        if len(labels) == 0 or (metric.undefined == ONE_CLASS and len(set(labels.tolist())) < 2) or (name == "r2" and len(labels) == 1):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that rows define no metric, which its value says
            value = float(
                measure_own(self.model, own, self.modules, *self._for_the_team(labels, predicted))
                if own is not None
                else class_metrics.measure(name, self.classes, self.is_known, labels, predicted)
                if self.model.task == "multiclass"
                else _MEASURED[name](self, labels, predicted)
            )
        return value if math.isfinite(value) else None

    def _for_the_team(self, labels: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray | pd.DataFrame]:
        return of_classes(self.classes, self.own_classes, labels, predicted) if self.model.task == "multiclass" else (labels, predicted)

    def called(self, predicted: np.ndarray) -> np.ndarray:
        """Decide which rows are called positive.

        :param predicted: one probability a row
        :returns: 1.0 or 0.0 for each
        """
        return (predicted >= self.threshold).astype("float64")


def sums(measures: Measures, name: str, labels: np.ndarray, predicted: np.ndarray) -> tuple[list[np.ndarray], Finish] | None:
    """Write a metric as a function of sums over the rows, by which it is resampled without a copy of any row.

    :param measures: the version's metrics
    :param name: one of them
    :param labels: one float a row
    :param predicted: one float a row
    :returns: what is added up, one number for each row in each column; and what makes the metric (NaN or infinity where it is
        undefined) of the sums, which are resamples x columns and have the number of rows as one more column at the end; None of a metric
        that is no such function
    """
    return _SUMS[name](measures, labels, predicted) if name in _SUMS else None


def by_sums(measures: Measures, name: str, labels: np.ndarray, predicted: np.ndarray) -> float:
    """Measure a metric by its `sums`, over all rows.

    :param measures: the version's metrics
    :param name: one of them, which has sums
    :param labels: one float a row
    :param predicted: one float a row
    :returns: the metric; NaN or infinity where the rows do not define it
    """
    import numpy as np

    columns, finish = _SUMS[name](measures, labels, predicted)
    totals = np.array([[*(column.sum() for column in columns), float(len(labels))]])
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(finish(totals)[0])


def ratio(totals: np.ndarray) -> np.ndarray:
    """Divide the first sum by the second: of one column, that is its mean.

    :param totals: resamples x columns, of which there are two at least
    :returns: one quotient for each resample; NaN or infinity where it divides by 0
    """
    result: np.ndarray = totals[:, 0] / totals[:, 1]
    return result


def _library(name: str, **keywords: Any) -> Callable[[Measures, np.ndarray, np.ndarray], float]:
    """scikit-learn's function of labels and predictions."""

    def measured(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> float:
        from sklearn import metrics

        return float(getattr(metrics, name)(labels, predicted, **keywords))

    return measured


def _decided(name: str, **keywords: Any) -> Callable[[Measures, np.ndarray, np.ndarray], float]:
    """scikit-learn's function of labels and decisions."""
    measured = _library(name, **keywords)
    return lambda measures, labels, predicted: measured(measures, labels, measures.called(predicted))


def _own_sums(name: str) -> Callable[[Measures, np.ndarray, np.ndarray], float]:
    """By sums over all rows: scikit-learn has no such metric."""
    return lambda measures, labels, predicted: by_sums(measures, name, labels, predicted)


def _log_loss(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> float:
    """What `sklearn.metrics.log_loss` gives, to the last bit.

    Of the rows of a slice that one takes 1.9 ms to find out which classes there are, and .01 to measure. A gate has hundreds of slices.
    """
    import numpy as np
    from scipy.special import xlogy

    clipped = predicted.clip(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return float(-xlogy(1.0, np.where(labels == 1, clipped, 1 - clipped)).mean())


def _pinball(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> float:
    from sklearn import metrics

    return float(metrics.mean_pinball_loss(labels, predicted, alpha=measures.model.metrics.quantile))


def _mape(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> float:
    return _library("mean_absolute_percentage_error")(measures, labels, predicted) if labels.all() else math.nan


def _average_precision(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> float:
    return _library("average_precision_score")(measures, labels, predicted) if labels.any() else math.nan


_MEASURED: Final[dict[str, Callable[[Measures, np.ndarray, np.ndarray], float]]] = {
    "auc": _library("roc_auc_score"),
    "log_loss": _log_loss,
    "brier": _library("brier_score_loss"),
    "accuracy": _decided("accuracy_score"),
    "average_precision": _average_precision,
    "precision": _decided("precision_score", zero_division=math.nan),
    "recall": _decided("recall_score", zero_division=math.nan),
    "f1": _decided("f1_score", zero_division=math.nan),
    "balanced_accuracy": _decided("balanced_accuracy_score"),
    "mcc": _decided("matthews_corrcoef"),
    "cost": _own_sums("cost"),
    "mae": _library("mean_absolute_error"),
    "rmse": _library("root_mean_squared_error"),
    "r2": _library("r2_score"),
    "median_absolute_error": _library("median_absolute_error"),
    "bias": _own_sums("bias"),
    "mape": _mape,
    "smape": _own_sums("smape"),
    "wape": _own_sums("wape"),
    "pinball": _pinball,
}
"""Name -> what measures it, from the version's metrics, labels and predictions; NaN where the rows do not define it."""


def _mean(column: Callable[[Measures, np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., tuple[list[np.ndarray], Finish]]:
    return lambda measures, labels, predicted: ([column(measures, labels, predicted)], ratio)


def _row_log_loss(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    import numpy as np

    clipped = predicted.clip(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    losses: np.ndarray = -np.where(labels == 1, np.log(clipped), np.log1p(-clipped))
    return losses


def _row_cost(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    called, costs = measures.called(predicted), measures.model.metrics.costs
    assert costs is not None
    paid: np.ndarray = costs.false_positive * called * (1 - labels) + costs.false_negative * (1 - called) * labels
    return paid


def _row_smape(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    import numpy as np

    sizes = abs(labels) + abs(predicted)
    shares: np.ndarray = np.divide(2 * abs(labels - predicted), sizes, out=np.zeros(len(labels)), where=sizes > 0)
    return shares


def _row_mape(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    import numpy as np

    shares: np.ndarray = np.divide(abs(labels - predicted), abs(labels), out=np.full(len(labels), math.nan), where=labels != 0)
    return shares


def _row_pinball(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    import numpy as np

    quantile, errors = measures.model.metrics.quantile, labels - predicted
    assert quantile is not None
    losses: np.ndarray = np.maximum(quantile * errors, (quantile - 1) * errors)
    return losses


def _precision_sums(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> tuple[list[np.ndarray], Finish]:
    called = measures.called(predicted)
    return [called * labels, called], ratio


def _recall_sums(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> tuple[list[np.ndarray], Finish]:
    return [measures.called(predicted) * labels, labels], ratio


def _f1_sums(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> tuple[list[np.ndarray], Finish]:
    called = measures.called(predicted)
    return [2 * called * labels, called + labels], ratio


def _decision_sums(finish: Finish) -> Callable[[Measures, np.ndarray, np.ndarray], tuple[list[np.ndarray], Finish]]:
    """Rows that are positive and called so, called so, and positive."""

    def columns(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> tuple[list[np.ndarray], Finish]:
        called = measures.called(predicted)
        return [called * labels, called, labels], finish

    return columns


def _balanced_accuracy(totals: np.ndarray) -> np.ndarray:
    hits, called, positive, rows = totals.T
    result: np.ndarray = (hits / positive + 1 - (called - hits) / (rows - positive)) / 2
    return result


def _mcc(totals: np.ndarray) -> np.ndarray:
    """Of decisions that are all the same it is 0, as scikit-learn has it; of one class it is undefined."""
    import numpy as np

    hits, called, positive, rows = totals.T
    both = called * (rows - called)
    of_labels = positive * (rows - positive)
    result: np.ndarray = (rows * hits - called * positive) / np.sqrt(
        np.where(both == 0, 1, both) * np.where(of_labels == 0, np.nan, of_labels)
    )
    return result


def _r2_sums(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> tuple[list[np.ndarray], Finish]:
    centred = labels - labels.mean()
    return [(labels - predicted) ** 2, centred, centred**2], _r2


def _r2(totals: np.ndarray) -> np.ndarray:
    residuals, centred, squares, rows = totals.T
    result: np.ndarray = 1 - residuals / (squares - centred**2 / rows)
    return result


def _rmse_sums(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> tuple[list[np.ndarray], Finish]:
    return [(labels - predicted) ** 2], lambda totals: ratio(totals) ** 0.5


def _wape_sums(measures: Measures, labels: np.ndarray, predicted: np.ndarray) -> tuple[list[np.ndarray], Finish]:
    return [abs(labels - predicted), abs(labels)], ratio


_SUMS: Final[dict[str, Callable[[Measures, np.ndarray, np.ndarray], tuple[list[np.ndarray], Finish]]]] = {
    "log_loss": _mean(_row_log_loss),
    "brier": _mean(lambda measures, labels, predicted: (labels - predicted) ** 2),
    "accuracy": _mean(lambda measures, labels, predicted: (labels == measures.called(predicted)).astype("float64")),
    "precision": _precision_sums,
    "recall": _recall_sums,
    "f1": _f1_sums,
    "balanced_accuracy": _decision_sums(_balanced_accuracy),
    "mcc": _decision_sums(_mcc),
    "cost": _mean(_row_cost),
    "mae": _mean(lambda measures, labels, predicted: abs(labels - predicted)),
    "rmse": _rmse_sums,
    "r2": _r2_sums,
    "bias": _mean(lambda measures, labels, predicted: predicted - labels),
    "mape": _mean(_row_mape),
    "smape": _mean(_row_smape),
    "wape": _wape_sums,
    "pinball": _mean(_row_pinball),
}
"""Name -> its columns and what makes it of their sums. The others (auc, average_precision, median_absolute_error) go by order."""
