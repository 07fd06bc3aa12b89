"""What a fitted pipeline predicts for rows of features: all that serving needs of us, in a module that brings nothing else in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from include.evergreen.foundation.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline
    from threadpoolctl import ThreadpoolController

CLASSES = "target_classes_"  # of a fitted pipeline for several classes: their texts, which its estimator has numbers for
MOST_PROBABILITIES = 8_000_000  # rows x classes that are predicted at once, of 8 bytes each
THREADS = 1  # measured: on shared cores more threads are slower, and one gives the same bits every time


def predicted(pipeline: Pipeline, task: str, features: pd.DataFrame) -> np.ndarray:
    """Predict as it is served.

    :param pipeline: the fitted pipeline
    :param task: ``classification``, ``multiclass`` or ``regression``
    :param features: the declared features, one row each; there may be none
    :returns: one float of 64 bits a row: the probability of the positive class, or the predicted value in the target's unit; of several
        classes rows as `serving.likeliest` has them, by the numbers of `classes_of`
    :raises DataError: when the pipeline gives no such float for each row
    """
    import numpy as np

    frame = as_fitted(features)
    if task == "multiclass":
        return _of_classes(pipeline, frame)
    if not len(features):
        return np.empty(0)  # scikit-learn would refuse; a day may have no rows
    given = np.asarray(pipeline.predict_proba(frame) if task == "classification" else pipeline.predict(frame))
    if given.shape != ((len(frame), 2) if task == "classification" else (len(frame),)):
        expected = "the probabilities of two classes" if task == "classification" else "one value"
        raise DataError(_unlike(pipeline, given, len(frame), expected))
    values = given[:, 1] if task == "classification" else given
    return np.ascontiguousarray(values, dtype="float64")  # XGBoost and networks compute in 32 bits


def _of_classes(pipeline: Pipeline, frame: pd.DataFrame) -> np.ndarray:
    """Some rows at a time, as each has a probability of each class before the likeliest are kept."""
    import numpy as np

    from include.evergreen.serving.likeliest import likeliest

    classes = len(classes_of(pipeline))
    at_once, parts = max(1, MOST_PROBABILITIES // classes), [likeliest(np.empty((0, classes)))]
    for first in range(0, len(frame), at_once):
        rows = frame.iloc[first : first + at_once]
        given = np.asarray(pipeline.predict_proba(rows))
        if given.shape != (len(rows), classes):
            raise DataError(_unlike(pipeline, given, len(rows), f"the probabilities of {classes} classes"))
        parts.append(likeliest(given))
    return np.concatenate(parts)


def _unlike(pipeline: Pipeline, given: np.ndarray, rows: int, expected: str) -> str:
    return (
        f"{type(pipeline[-1]).__name__} predicts numbers of shape {given.shape} for {rows} rows, and each needs {expected}. "
        f"Was it fitted on rows of one class, or for several targets? Train again, or choose another estimator."
    )


def classes_of(pipeline: Pipeline) -> tuple[str, ...]:
    """Tell which classes a pipeline knows.

    :param pipeline: one that was fitted for several classes
    :returns: the classes as text, in the order of its estimator's numbers
    :raises DataError: when it does not say so
    """
    classes = getattr(pipeline, CLASSES, None)
    if not classes:
        raise DataError(f"The {type(pipeline).__name__} does not say of which classes its probabilities are. Train again.")
    return tuple(classes)


def as_fitted(features: pd.DataFrame) -> pd.DataFrame:
    """Convert features to what scikit-learn and MLflow's signature know: text as plain objects, missing text as ''.

    :param features: rows of features, text as pandas' ``string``; not changed
    :returns: a frame of the same columns and index; numbers stay as they are
    """
    text = [name for name in features.columns if features[name].dtype == "string"]
    return features.assign(**{name: features[name].fillna("").astype(object) for name in text})


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it, numeric libraries compute in `THREADS` thread."""
    with _thread_pools(len(sys.modules)).limit(limits=THREADS):
        yield


@lru_cache(maxsize=1)
def _thread_pools(_modules: int) -> ThreadpoolController:
    """Those of the libraries that are loaded; looked for again, which takes milliseconds, only when a module was imported since."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
