"""The rows that performance is estimated of, and those that it is learned from: the holdout of the version, with its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.features.class_columns import read_classes, stored_names
from include.evergreen.features.columns import PARTITION, PREDICTION, TARGET, feature_column, features_of
from include.evergreen.foundation.errors import DataError
from include.evergreen.monitoring.estimates.estimate import NotEstimatedError
from include.evergreen.monitoring.window import Window
from include.evergreen.state import storage
from include.evergreen.training.candidate import holdout_path
from include.evergreen.training.metrics import Measures

if TYPE_CHECKING:
    import pandas as pd

LEAST_ROWS = 30  # of the window, as for drift, and of the reference


@dataclass(frozen=True, eq=False)
class Rows:
    """Scored rows: ``features`` by their own names and ``predicted``, as `Measures` takes it. ``total``: of how many they are drawn."""

    features: pd.DataFrame
    predicted: np.ndarray
    days: int
    total: int


@dataclass(frozen=True, eq=False)
class Reference:
    """Rows that the version was not fitted on, with predictions and labels as `Measures` takes them, of several classes among ``classes``.

    ``day`` is the day of each.
    """

    features: pd.DataFrame
    predicted: np.ndarray
    labels: np.ndarray
    day: np.ndarray
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, measures: Measures, frame: pd.DataFrame) -> Reference:
        """Take a sample of the holdout for a reference.

        :param measures: the version's metrics
        :param frame: the rows, with ``partition``, ``target`` and what was predicted, as `fit_job.sample_rows` gives them
        :returns: those with a finite label and prediction
        :raises NotEstimatedError: when nothing can be learned from them
        """
        model, measures = measures.model, measures.among(frame[TARGET])
        if model.task == "multiclass" and not set(stored_names()) <= set(frame.columns):
            raise NotEstimatedError(
                "the holdout sample of its version has no probabilities; a version that is trained from now on has them"
            )
        frame = frame[frame[TARGET].notna() & frame[PREDICTION].notna()]
        predicted, labels = _predicted(measures, frame), measures.labels(frame[TARGET])
        usable = np.isfinite(labels) & np.isfinite(predicted).reshape(len(frame), -1).all(axis=1)
        frame, predicted, labels = frame[usable], predicted[usable], labels[usable]
        if len(frame) < LEAST_ROWS:
            raise NotEstimatedError(f"the holdout of its version has {len(frame)} usable rows; {LEAST_ROWS} are needed")
        if model.task != "regression" and len(set(labels.tolist())) < 2:
            label = frame[TARGET].iloc[0] if model.task == "multiclass" else f"{labels[0]:g}"
            raise NotEstimatedError(f"all {len(frame)} rows of the holdout of its version have the label {label}")
        features = features_of(frame, model.feature_names).reset_index(drop=True)
        return cls(features, predicted, labels, frame[PARTITION].astype(str).to_numpy(), measures.classes)


def load_reference(window: Window) -> Reference:
    """Read the sample of the holdout of the version that scored. Passes on `TransientError`, and `NotEstimatedError` as `Reference.of`.

    :param window: what is monitored
    :returns: the reference
    :raises NotEstimatedError: when there is no such sample, or nothing can be learned from it
    """
    version = window.version.version
    path = holdout_path(window.version.reference_path)
    if not storage.exists(path):
        raise NotEstimatedError(
            f"the holdout sample of version {version} is not in the storage ({path}); a version that is trained anew has one, and training "
            f"again as of {window.version.as_of} writes it"
        )
    try:
        return Reference.of(window.measures, storage.read_frame(path))
    except (DataError, KeyError) as error:
        raise NotEstimatedError(f"the holdout sample of version {version} cannot be used: {error}") from error


def load_rows(window: Window) -> Rows:
    """Read what was scored on the days whose performance is measured together; of very many rows a fixed draw.

    :param window: what is monitored
    :returns: the rows
    :raises NotEstimatedError: when they are too few, or say nothing
    """
    served = stored_names() if window.model.task == "multiclass" else [PREDICTION]
    columns = [*map(feature_column, window.model.feature_names), *served]
    frame, total = window.sample(window.labelled_days, columns)
    if total < LEAST_ROWS:
        raise NotEstimatedError(f"{total} {'row was' if total == 1 else 'rows were'} scored; {LEAST_ROWS} are needed")
    features = features_of(frame, window.model.feature_names)
    if features.isna().all(axis=None):
        raise NotEstimatedError("every feature of every row that was scored is missing")
    return Rows(features, _predicted(window.measures, frame), len(window.labelled_days), total)


def _predicted(measures: Measures, frame: pd.DataFrame) -> np.ndarray:
    if measures.model.task != "multiclass":
        return frame[PREDICTION].to_numpy(dtype="float64")
    import pyarrow as pa

    return read_classes(pa.Table.from_pandas(frame[stored_names()], preserve_index=False), measures.classes)
