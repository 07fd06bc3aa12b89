"""The columns of stored rows (training frames, reference samples, predictions), and what each of them is called.

A frame holds columns of ours beside a team's features and keys. What a column is called here says whose it is: features, keys and ours
never meet, whatever the team calls its own. (docs/decisions/names-that-never-meet.md)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from include.evergreen.foundation.apart import set_apart

if TYPE_CHECKING:
    import pandas as pd

PARTITION: Final = "partition"  # the day of a training row, as text
TARGET: Final = "target"
PREDICTION: Final = "prediction"
CHALLENGER: Final = "challenger_prediction"
OURS: Final = frozenset({PARTITION, TARGET, PREDICTION, CHALLENGER})
KEY: Final = "key:"  # before a key's name, by which a person's row can be found
CONTRIBUTION: Final = "contribution:"  # before a feature's name
SERVED: Final = "served:"  # before what says how a prediction came to
VERSION: Final = f"{SERVED}version"  # the version that made it
AS_OF: Final = f"{SERVED}as_of"  # its scoring moment


def feature_column(name: str) -> str:
    """Say in which column a feature stands.

    :param name: the feature's, as model.yaml declares it
    :returns: the column: of the feature's own name, unless that is one of ours
    """
    return set_apart(name, is_ours=name in OURS or name.startswith((KEY, CONTRIBUTION, SERVED)))


def key_column(name: str) -> str:
    """Say in which column a key of the rows' dataset stands.

    :param name: the key's, as dataset.yaml declares it
    :returns: the column
    """
    return f"{KEY}{name}"


def contribution_column(name: str) -> str:
    """Say in which column a feature's contributions stand.

    :param name: the feature's, as model.yaml declares it
    :returns: the column
    """
    return f"{CONTRIBUTION}{name}"


def as_columns(features: pd.DataFrame) -> pd.DataFrame:
    """Call features as they are stored.

    :param features: features by their own names
    :returns: the same values and index, in the columns of `feature_column`
    """
    return features.set_axis([feature_column(str(name)) for name in features.columns], axis="columns")


def features_of(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Take features out of stored rows.

    :param frame: a training frame, a reference sample or predictions
    :param names: the features', as model.yaml declares them
    :returns: the features by their own names, in that order, with the rows and the index of ``frame``
    """
    return frame[[feature_column(name) for name in names]].set_axis(list(names), axis="columns")


def as_keys(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Take keys out of rows of a dataset, and call them as they are stored.

    :param rows: rows with the dataset's own columns
    :param names: the keys', as dataset.yaml declares them
    :returns: the same values and index, in the columns of `key_column`
    """
    return rows[list(names)].set_axis([key_column(name) for name in names], axis="columns")


def find_key(columns: Sequence[str], name: str) -> str:
    """Find the column of a key among those of stored rows.

    Predictions of earlier releases have it under its own name, where a feature of that name may stand in its place.

    :param columns: the columns that the rows have
    :param name: the key's, as dataset.yaml declares it
    :returns: that of `key_column` where there is one, and else the key's own name
    """
    column = key_column(name)
    return column if column in columns else name


def key_columns(names: Sequence[str]) -> list[str]:
    """List the columns in which keys may be, to read no others.

    :param names: the keys', as dataset.yaml declares them
    :returns: all that `find_key` may find
    """
    return [*map(key_column, names), *names]


def keys_of(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Take keys out of stored rows.

    :param frame: a training frame, a reference sample or predictions
    :param names: the keys', as dataset.yaml declares them
    :returns: the keys by their own names, in that order, with the rows and the index of ``frame``
    """
    columns = list(frame.columns)
    return frame[[find_key(columns, name) for name in names]].set_axis(list(names), axis="columns")
