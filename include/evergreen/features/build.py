"""Builds features: runs a model's `features.py`, and validates its result against model.yaml."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.categories import as_categories
from include.evergreen.features.columns import PARTITION, TARGET, as_columns, as_keys
from include.evergreen.features.labels import join_labels, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.features.reader import BY_VALUE, EDITION, PointInTimeReader
from include.evergreen.foundation.errors import ConfigError, EvergreenError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.team_code import TEAM_ERRORS, Modules, executed, modules_beside

if TYPE_CHECKING:
    import pandas as pd

Features = Callable[[PointInTimeReader], "pd.DataFrame"]


@dataclass(frozen=True)
class FeatureCode:
    """The text of a `features.py`, where errors say that it stands, and by which of our editions its features are computed.

    ``beside`` are the modules beside it that it imports.
    """

    text: str
    place: str
    edition: int = EDITION
    beside: Modules = ()


def feature_frame(
    catalog: Catalog, model: ModelConfig, partition: Partition, cache_: PartitionCache, code: FeatureCode | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute the features of one partition, for training and for scoring alike.

    Raises `ConfigError` when the code gives other columns or rows than it should, or fails.

    :param catalog: what is declared now
    :param model: the model, which declares the features
    :param partition: the day whose rows get features
    :param cache_: what the past is read through, which bounds what is known
    :param code: what computes them; None: the model's `features.py` as it stands now
    :returns: the rows, and their features: the same index, in the declared order and kinds
    """
    batches = list(feature_batches(catalog, model, partition, cache_, code))
    if len(batches) == 1:
        return batches[0]
    import pandas as pd

    return pd.concat([rows for rows, _ in batches]), pd.concat([features for _, features in batches])


def feature_batches(
    catalog: Catalog, model: ModelConfig, partition: Partition, cache_: PartitionCache, code: FeatureCode | None = None
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Compute what `feature_frame` does, as many rows at a time as `PartitionCache.batches` gives. Raises `ConfigError` as it does.

    A row's features depend on no row beside it: the test kit examines that.

    :param catalog: what is declared now
    :param model: the model, which declares the features
    :param partition: the day whose rows get features
    :param cache_: what the past is read through, which bounds what is known
    :param code: what computes them; None: the model's `features.py` as it stands now
    :yields: the next rows, and their features: the same index, in the declared order and kinds
    """
    code = code or code_now(catalog, model)
    personal = reads_personal_data(catalog, model)
    for reader in PointInTimeReader(model, partition, cache_, code.edition).in_batches():
        yield compute_features(model, reader, _kept_function(code), code.place, personal=personal)


def compute_features(
    model: ModelConfig, reader: PointInTimeReader, function: Features, path: Path | str, *, personal: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Call a team's function, and validate what it gives.

    :param model: the model, which declares the features
    :param reader: what the function reads through
    :param function: the team's ``features``, as `load_code` gives it
    :param path: the file that errors name
    :param personal: whether the rows are personal, so that what the function's own errors say is left out: it may quote a row
    :returns: the rows of ``reader``, and their features: the same index, in the declared order and kinds
    :raises ConfigError: when the function fails, or gives other columns, rows or kinds than it should
    :raises EvergreenError: what reading raises, such as `DataError` for a partition that is not there
    :raises MemoryError: when there is not enough memory
    """
    rows = reader.rows()
    try:
        features = function(reader)
    except (EvergreenError, MemoryError):
        raise
    except TEAM_ERRORS as error:
        told = f"{type(error).__name__} {_place(error, path)}" if personal else f"{type(error).__name__}: {error}"
        raise ConfigError(f"{path}: features() failed for partition {reader.partition}: {told}") from (None if personal else error)
    return rows, _as_declared(features, model, rows, path, reader.edition, personal=personal)


def labelled_frame(
    catalog: Catalog, model: ModelConfig, partition: Partition, cache_: PartitionCache, code: FeatureCode | None = None
) -> pd.DataFrame | None:
    """Compute one day of a training frame: the rows whose label is known as of the cache's ``as_of``, once all of them are mature.

    Raises `ConfigError` as `feature_frame`, and when rows cannot find their labels by their keys.

    :param catalog: what is declared now
    :param model: the model, which declares features and target
    :param partition: the day whose rows are learnt from
    :param cache_: what the past is read through
    :param code: what computes the features; None: the model's `features.py` as it stands now
    :returns: ``partition`` (text), the features, ``target`` and the rows' keys, in the columns that `columns` names; None when an input
        or any partition that may hold a label of that day is not there
    """
    import pandas as pd

    if model.moment(partition) > cache_.until or not inputs_known(model, partition, cache_):
        return None
    labels = known_labels(catalog, model, partition, cache_)
    if not labels.is_mature:
        return None
    rows, features = feature_frame(catalog, model, partition, cache_, code)
    target = join_labels(catalog, model, rows, labels, cache_)
    keys = as_keys(rows, catalog.dataset(model.rows).keys)  # so that a person's rows can be found in it
    joined = pd.concat([as_columns(features), target, keys], axis="columns")
    joined.insert(0, PARTITION, partition)
    return joined[joined[TARGET].notna()].reset_index(drop=True)


def inputs_known(model: ModelConfig, partition: Partition, cache_: PartitionCache) -> bool:
    """Tell whether a partition's features can be computed.

    :param model: the model, which declares the inputs and their lags
    :param partition: the day whose rows get features
    :param cache_: what the past is read through, which bounds what is known
    :returns: whether each input's newest partition that is read for the day, or for any of its rows, was known at the partition's scoring
        moment
    """
    return all(
        cache_.newest(each.dataset, partition, model.oldest(each.dataset, partition) if each.reads_newest else newest, newest)
        for each in model.inputs
        for newest in model.newest_of_rows(each.dataset, partition)
    )


def features_source(catalog: Catalog, model: ModelConfig) -> str:
    """Read the text of the model's `features.py`: part of what makes a training run what it is.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :returns: the file as it stands now; FileNotFoundError when there is none
    """
    return catalog.features_path(model.name).read_text(encoding="utf-8")


def code_now(catalog: Catalog, model: ModelConfig) -> FeatureCode:
    """Read the model's `features.py` as it stands now.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :returns: its text and those of the modules beside it that it imports, under its absolute path; FileNotFoundError when there is none
    """
    path, text = catalog.features_path(model.name), features_source(catalog, model)
    return FeatureCode(text, str(path), beside=modules_beside(path.parent, text))


def load_code(code: FeatureCode) -> Features:
    """Execute code, and take its function ``features``; each time anew, so that no two share what a module remembers.

    Raises `ConfigError`, too, when the code cannot be executed.

    :param code: the text, and the place that errors name
    :returns: the function
    :raises ConfigError: when the code defines no such function
    """
    module = executed(code.text, code.place, code.beside)
    if not callable(getattr(module, "features", None)):
        raise ConfigError(f"{code.place} must define features(read), which returns one row of features for each row of read.rows().")
    function: Features = module.features
    return function


_kept_function = cache(load_code)  # for the life of the process: its days share a module


def error_text(catalog: Catalog, model: ModelConfig, error: BaseException) -> str:
    """Say what records, alerts and pages may show of an error: of one that may quote personal data, only its type.

    :param catalog: what is declared now, which says what is personal
    :param model: the model at whose work it was raised
    :param error: an `EvergreenError`, which speaks for itself, or any other
    :returns: `quotable`, of a model that `reads_personal_data` or does not
    """
    return quotable(error, personal=reads_personal_data(catalog, model))


def quotable(error: BaseException, *, personal: bool) -> str:
    """Say what may be shown of an error.

    :param error: an `EvergreenError`, which speaks for itself, or any other
    :param personal: whether the rows at hand are personal
    :returns: its message, after its type if it is not ours; the type alone of one that is not ours and may quote a person's row
    """
    if isinstance(error, EvergreenError):
        return str(error)
    return type(error).__name__ if personal else f"{type(error).__name__}: {error}"


def reads_personal_data(catalog: Catalog, model: ModelConfig) -> bool:
    """Tell whether any row that is read for a model may be personal.

    :param catalog: what is declared now, which says what is personal
    :param model: the model
    :returns: whether a feature, or a column of an input or of the target's dataset is; also when a declaration cannot be read
    """
    names = {model.target.dataset, *(model_input.dataset for model_input in model.inputs)}
    try:
        return model.has_personal_features or any(catalog.dataset(name).personal_columns for name in names)
    except ConfigError:
        return True


def _place(error: BaseException, path: Path | str) -> str:
    """The last line of a team's file that an error passed through."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"in line {lines[-1] if lines else '?'} (what it says is left out: the inputs hold personal data)"


def _as_declared(
    features: pd.DataFrame, model: ModelConfig, rows: pd.DataFrame, path: Path | str, edition: int, *, personal: bool = False
) -> pd.DataFrame:
    declared = model.feature_names
    missing, extra = sorted(set(declared) - set(features.columns)), sorted(set(features.columns) - set(declared))
    if missing or extra:
        raise ConfigError(
            f"{path}: features() and model.yaml differ: missing {missing or 'none'}, undeclared {extra or 'none'}. "
            f"Declare each feature in model.yaml, or drop it."
        )
    if not features.index.equals(rows.index):
        raise ConfigError(
            f"{path}: features() gave {len(features)} rows with an index of its own; "
            f"it must keep the {len(rows)} rows of read.rows() and their index."
        )
    import numpy as np

    kinds = {"numeric": "float64", "categorical": "string"}
    categorical = [feature.name for feature in model.features if feature.kind == "categorical"]
    if edition >= BY_VALUE:
        features = features.assign(**{name: as_categories(features[name]) for name in categorical})
    try:
        chosen, wanted = features[declared], {feature.name: kinds[feature.kind] for feature in model.features}
        others = {str(name): wanted[str(name)] for name, kind in chosen.dtypes.items() if kind != wanted[str(name)]}
        typed = chosen.astype(others) if others else chosen
    except (ValueError, TypeError) as error:
        told = "its value is left out, as the inputs hold personal data" if personal else str(error)
        raise ConfigError(f"{path}: a feature that is declared numeric is not: {told}") from (None if personal else error)
    numbers = typed.select_dtypes("float64")
    infinite = np.isinf(numbers.to_numpy()).any(axis=0)
    if infinite.any():
        named = ", ".join(map(str, numbers.columns[infinite]))
        raise ConfigError(f"{path}: infinite values in {named}. Give a missing value where a division is by zero.")
    return typed
