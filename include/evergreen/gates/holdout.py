"""The rows that a gate judges on, as each version sees them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import KEY_PREFIX, feature_frame
from include.evergreen.features.reader import PARTITION_COLUMN, PartitionCache
from include.evergreen.foundation.errors import DataError
from include.evergreen.training.recipes import Recipe

if TYPE_CHECKING:
    import pandas as pd


def own_features(catalog: Catalog, model: ModelConfig, recipe: Recipe, as_of: dt.date, holdout: pd.DataFrame) -> pd.DataFrame:
    """The features that ``recipe`` gives for the rows of ``holdout`` (the frame of another recipe), in their order.

    Each day as it was known then, with what is known as of ``as_of``. Raises `DataError` when a row is not there for it.
    """
    import pandas as pd

    config = recipe.config(model)
    names = config.feature_names
    keys = [f"{KEY_PREFIX}{key}" for key in catalog.dataset(config.rows).keys]
    cache = PartitionCache(as_of)
    frames = []
    for day in holdout[PARTITION_COLUMN].unique():
        rows, features = feature_frame(catalog, config, dt.date.fromisoformat(day), cache, recipe.code)
        own = {f"{KEY_PREFIX}{key}": rows[key] for key in catalog.dataset(config.rows).keys}
        frames.append(features.assign(**own, **{PARTITION_COLUMN: day}))
    found = holdout[[PARTITION_COLUMN, *keys]].merge(
        pd.concat(frames), on=[PARTITION_COLUMN, *keys], how="left", validate="one_to_one", indicator="found"
    )
    if lacking := int((found["found"] != "both").sum()):
        raise DataError(f"{model.name}: {lacking} of the holdout's {len(found)} rows are not there for {recipe.code.place}.")
    return found[names].set_axis(holdout.index)
