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

THREADS = 1  # measured: on shared cores more threads are slower, and one gives the same bits every time


def predicted(pipeline: Pipeline, task: str, features: pd.DataFrame) -> np.ndarray:
    """Predict as it is served.

    :param pipeline: the fitted pipeline
    :param task: ``classification`` or ``regression``
    :param features: the declared features, one row each; there may be none
    :returns: one float of 64 bits a row: the probability of the positive class, or the predicted value in the target's unit
    :raises DataError: when the pipeline gives no such float for each row
    """
    import numpy as np

    if not len(features):
        return np.empty(0)  # scikit-learn would refuse; a day may have no rows
    frame = as_fitted(features)
    given = np.asarray(pipeline.predict_proba(frame) if task == "classification" else pipeline.predict(frame))
    if given.shape != ((len(frame), 2) if task == "classification" else (len(frame),)):
        expected = "the probabilities of two classes" if task == "classification" else "one value"
        raise DataError(
            f"{type(pipeline[-1]).__name__} predicts numbers of shape {given.shape} for {len(frame)} rows, and each needs {expected}. "
            f"Was it fitted on rows of one class, or for several targets? Train again, or choose another estimator."
        )
    values = given[:, 1] if task == "classification" else given
    return np.ascontiguousarray(values, dtype="float64")  # XGBoost and networks compute in 32 bits


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
