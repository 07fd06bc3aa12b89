"""The rows that performance is estimated of, and those that it is learned from: the holdout of the version, with its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.config import ModelConfig
from include.evergreen.features.columns import PARTITION, PREDICTION, TARGET, feature_column, features_of
from include.evergreen.foundation.errors import DataError
from include.evergreen.monitoring.estimates.estimate import NotEstimatedError
from include.evergreen.monitoring.window import Window
from include.evergreen.state import storage
from include.evergreen.training.candidate import holdout_path

if TYPE_CHECKING:
    import pandas as pd

LEAST_ROWS = 30  # of the window, as for drift, and of the reference


@dataclass(frozen=True, eq=False)
class Rows:
    """Scored rows: ``features`` by their own names and ``predicted``, one float a row. ``total`` counts those that they were drawn from."""

    features: pd.DataFrame
    predicted: np.ndarray
    days: int
    total: int


@dataclass(frozen=True, eq=False)
class Reference:
    """Rows that the version was not fitted on, with their labels; ``day`` is the day of each."""

    features: pd.DataFrame
    predicted: np.ndarray
    labels: np.ndarray
    day: np.ndarray

    @classmethod
    def of(cls, model: ModelConfig, frame: pd.DataFrame) -> Reference:
        """Take a sample of the holdout for a reference.

        :param model: the model, as the version's recipe declares it
        :param frame: the rows, with ``partition``, ``target`` and ``prediction``
        :returns: those with a finite label and prediction
        :raises NotEstimatedError: when nothing can be learned from them
        """
        usable = np.isfinite(frame[TARGET].to_numpy(dtype="float64")) & np.isfinite(frame[PREDICTION].to_numpy(dtype="float64"))
        frame = frame[usable]
        if len(frame) < LEAST_ROWS:
            raise NotEstimatedError(f"the holdout of its version has {len(frame)} usable rows; {LEAST_ROWS} are needed")
        labels = frame[TARGET].to_numpy(dtype="float64")
        if model.task == "classification" and len(set(labels.tolist())) < 2:
            raise NotEstimatedError(f"all {len(frame)} rows of the holdout of its version have the label {labels[0]:g}")
        features, predicted = features_of(frame, model.feature_names), frame[PREDICTION].to_numpy(dtype="float64")
        return cls(features.reset_index(drop=True), predicted, labels, frame[PARTITION].astype(str).to_numpy())


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
        return Reference.of(window.model, storage.read_frame(path))
    except (DataError, KeyError) as error:
        raise NotEstimatedError(f"the holdout sample of version {version} cannot be used: {error}") from error


def load_rows(window: Window) -> Rows:
    """Read what was scored on the days whose performance is measured together; of very many rows a fixed draw.

    :param window: what is monitored
    :returns: the rows
    :raises NotEstimatedError: when they are too few, or say nothing
    """
    columns = [*map(feature_column, window.model.feature_names), PREDICTION]
    frame, total = window.sample(window.labelled_days, columns)
    if total < LEAST_ROWS:
        raise NotEstimatedError(f"{total} {'row was' if total == 1 else 'rows were'} scored; {LEAST_ROWS} are needed")
    features = features_of(frame, window.model.feature_names)
    if features.isna().all(axis=None):
        raise NotEstimatedError("every feature of every row that was scored is missing")
    return Rows(features, frame[PREDICTION].to_numpy(dtype="float64"), len(window.labelled_days), total)
