"""The holdout rows of a gate, with what else is known of them: the features of another recipe, or a column of their dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import feature_frame
from include.evergreen.features.columns import PARTITION, as_columns, as_keys, features_of, key_column
from include.evergreen.features.reader import PointInTimeReader
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.training.recipes import Recipe
from include.evergreen.training.snapshot import Snapshot, SnapshotCache

if TYPE_CHECKING:
    import pandas as pd

VALUE = "value"  # the column of what is asked for, beside the names of rows


def own_features(catalog: Catalog, model: ModelConfig, recipe: Recipe, snapshot: Snapshot, holdout: pd.DataFrame) -> pd.DataFrame:
    """The features that a version's own recipe gives for rows that another recipe chose.

    Each day as it was known then, by what the snapshot's training was told of that. Raises
    `DataError` when a row is not there for the recipe.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param recipe: the version's recipe
    :param snapshot: of the other recipe's training, which says what was known
    :param holdout: the rows, of that training's frame
    :returns: the recipe's features, with the rows and the index of ``holdout``
    """
    config = recipe.config(model)
    keys = catalog.dataset(config.rows).keys
    cache = SnapshotCache(snapshot, config)
    frames = []
    for day in holdout[PARTITION].unique():
        rows, features = feature_frame(catalog, config, Partition(day), cache, recipe.code)
        frames.append(_named(as_columns(features), rows, keys, day))
    return features_of(_matched(model, holdout, frames, keys, f"are not there for {recipe.code.place}"), config.feature_names)


def column_of_rows(catalog: Catalog, model: ModelConfig, snapshot: Snapshot, holdout: pd.DataFrame, name: str) -> pd.Series:
    """A column of the rows' dataset that is no feature, for the rows of the holdout.

    Each day as it was known then, by what the snapshot's training was told of that. Raises
    `DataError`, too, when a row is no longer in the dataset.

    :param catalog: what is declared now
    :param model: the model, as the holdout's recipe declares it
    :param snapshot: of a training, which says what was known
    :param holdout: the rows, of that training's frame
    :param name: the column's, which is not that of a feature
    :returns: its values, with the index of ``holdout``
    :raises DataError: when the dataset has no such column on some day
    """
    keys = catalog.dataset(model.rows).keys
    cache = SnapshotCache(snapshot, model)
    frames = []
    for day in holdout[PARTITION].unique():
        rows = PointInTimeReader(model, Partition(day), cache).rows()
        if name not in rows:
            raise DataError(
                f"{model.name}: {model.rows} of {day} has no column {name!r} to make slices by, nor is it a feature; "
                f"it has: {', '.join(map(str, rows.columns))}. Choose one of these in gate.criteria."
            )
        frames.append(_named(rows[[name]].set_axis([VALUE], axis="columns"), rows, keys, day))
    return _matched(model, holdout, frames, keys, f"are no longer in {model.rows}; they have no {name}")[VALUE].rename(name)


def _named(values: pd.DataFrame, rows: pd.DataFrame, keys: Sequence[str], day: str) -> pd.DataFrame:
    """``values`` of a day's ``rows``, with the columns by which a training frame names them."""
    return values.join(as_keys(rows, keys)).assign(**{PARTITION: day})


def _matched(model: ModelConfig, holdout: pd.DataFrame, frames: list[pd.DataFrame], keys: Sequence[str], absence: str) -> pd.DataFrame:
    """Each row of the holdout with its values among the frames of its days."""
    import pandas as pd

    by = [PARTITION, *(key_column(key) for key in keys)]
    values = pd.concat(frames)
    flag = "_".join(["merge", *map(str, values.columns)])  # longer than any column's name, and so none of them
    matched = holdout[by].merge(values, on=by, how="left", validate="one_to_one", indicator=flag)
    if lacking := int((matched[flag] != "both").sum()):
        raise DataError(f"{model.name}: {lacking} of the holdout's {len(matched)} rows {absence}.")
    return matched.set_axis(holdout.index)
