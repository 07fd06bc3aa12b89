"""What a fitted pipeline predicts for rows of features: all that serving needs of us, in a module that brings nothing else in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline

THREADS = 1  # measured: on shared cores more threads are slower, and one gives the same bits every time


def predicted(pipeline: Pipeline, task: str, features: pd.DataFrame) -> np.ndarray:
    """Predict as it is served.

    :param pipeline: the fitted pipeline
    :param task: ``classification`` or ``regression``
    :param features: the declared features, one row each; there may be none
    :returns: one float a row: the probability of the positive class, or the predicted value in the target's unit
    """
    import numpy as np

    if not len(features):
        return np.empty(0)  # scikit-learn would refuse; a day may have no rows
    frame = as_fitted(features)
    values: np.ndarray = pipeline.predict_proba(frame)[:, 1] if task == "classification" else pipeline.predict(frame)
    return values


def as_fitted(features: pd.DataFrame) -> pd.DataFrame:
    """The features as scikit-learn and MLflow's signature know them: text as plain objects, missing text as ''."""
    text = [name for name in features.columns if features[name].dtype == "string"]
    return features.assign(**{name: features[name].fillna("").astype(object) for name in text})


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it, numeric libraries compute in `THREADS` thread."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=THREADS):
        yield
