"""How each metric of several classes is measured, and by which sums, or which counts by class, it can be resampled.

Labels are the numbers of classes, predictions as `serving.likeliest` has them, by the same numbers. A label that is no class that the
version knows is never predicted: it counts as an error wherever errors count. Over classes, a metric is averaged as scikit-learn does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from include.evergreen.config.classes import recalled_class
from include.evergreen.serving.likeliest import decided, probability
from include.evergreen.training.class_auc import OneVersusRest

if TYPE_CHECKING:
    import numpy as np

PROBABILITY_FLOOR: Final = 1e-7
Finish = Callable[["np.ndarray"], "np.ndarray"]
OfCounts = Callable[["np.ndarray", "np.ndarray", "np.ndarray"], "np.ndarray"]  # of rows rightly called, called and there, ... x classes


def measure(name: str, classes: tuple[str, ...], known: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> float:
    """Measure one metric.

    :param name: of a metric of several classes
    :param classes: by whose numbers labels and predictions are
    :param known: by number, whether the version knows the class
    :param labels: one number a row, as a float
    :param predicted: as `serving.likeliest` has it
    :returns: the metric; NaN where the rows do not define it
    """
    import numpy as np

    if name in BY_COUNTS:
        counts = [np.bincount(of_rows.astype("int64"), minlength=len(classes) + 1) for of_rows in counted(labels, predicted)]
        return float(BY_COUNTS[name](*(each[None, :].astype("float64") for each in counts))[0])
    if name == "auc_ovr":
        return OneVersusRest(labels, predicted, known).mean()
    columns, finish = sums(name, classes, known, labels, predicted)
    totals = np.array([[*(column.sum() for column in columns), float(len(labels))]])
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(finish(totals)[0])


def sums(
    name: str, classes: tuple[str, ...], known: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> tuple[list[np.ndarray], Finish]:
    """Write log loss, accuracy or the recall of one class as a function of sums over the rows.

    :param name: of one of these
    :param classes: by whose numbers labels and predictions are
    :param known: by number, whether the version knows the class
    :param labels: one number a row, as a float
    :param predicted: as `serving.likeliest` has it
    :returns: what is added up, and what makes the metric of the sums, with the number of rows as one more column at the end
    """
    import numpy as np

    right = (decided(predicted) == labels).astype("float64")
    text = recalled_class(name)
    if text is not None:
        is_of_class = (labels == (classes.index(text) if text in classes else math.nan)).astype("float64")
        return [right * is_of_class, is_of_class], _ratio
    if name == "accuracy":
        return [right], _ratio
    likely = probability(predicted, labels, known) if len(labels) else np.empty(0)
    return [-np.log(likely.clip(PROBABILITY_FLOOR, 1))], _ratio


def counted(labels: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say of which class each row is counted.

    :param labels: one number a row, as a float
    :param predicted: as `serving.likeliest` has it
    :returns: the classes of the rows that are called rightly, those that all rows are called, and those that they are of
    """
    called = decided(predicted)
    return labels[called == labels], called, labels


def _ratio(totals: np.ndarray) -> np.ndarray:
    result: np.ndarray = totals[:, 0] / totals[:, 1]
    return result


def _balanced_accuracy(hits: np.ndarray, called: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The mean recall of the classes that have rows."""
    import numpy as np

    recalls = np.divide(hits, there, out=np.zeros(hits.shape), where=there > 0)
    return _quotient(recalls.sum(axis=1), (there > 0).sum(axis=1))


def _macro_f1(hits: np.ndarray, called: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The mean over the classes that have rows, or that any row is called."""
    return _quotient(_f1(hits, called, there).sum(axis=1), (called + there > 0).sum(axis=1))


def _weighted_f1(hits: np.ndarray, called: np.ndarray, there: np.ndarray) -> np.ndarray:
    return _quotient((_f1(hits, called, there) * there).sum(axis=1), there.sum(axis=1))


def _f1(hits: np.ndarray, called: np.ndarray, there: np.ndarray) -> np.ndarray:
    import numpy as np

    found: np.ndarray = np.divide(2 * hits, called + there, out=np.zeros(hits.shape), where=called + there > 0)
    return found


def _quotient(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    import numpy as np

    found: np.ndarray = np.divide(over, under, out=np.full(len(over), math.nan), where=under > 0)
    return found


BY_COUNTS: Final[dict[str, OfCounts]] = {
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "weighted_f1": _weighted_f1,
}
"""Name -> what makes the metric of the counts of each class, one row a resample."""
