"""Builds features: runs a model's `features.py`, and validates its result against model.yaml."""

from __future__ import annotations

import datetime as dt
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.reader import PARTITION_COLUMN, PartitionCache, PointInTimeReader
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.team_code import executed

if TYPE_CHECKING:
    import pandas as pd

Features = Callable[[PointInTimeReader], "pd.DataFrame"]
TARGET = "target"
KEY_PREFIX = "key:"  # of the columns by which a training frame names its rows, so that a person's can be found in it


@dataclass(frozen=True)
class FeatureCode:
    """The text of a `features.py`, and where errors say that it stands."""

    text: str
    place: str


def feature_frame(
    catalog: Catalog, model: ModelConfig, partition: dt.date, cache_: PartitionCache, code: FeatureCode | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of one partition, and their features as ``model`` declares them (same index, declared order and kinds).

    Computed by ``code``, by default the model's `features.py` as it stands now. Raises `ConfigError` when it gives other
    columns or rows than it should, or fails.
    """
    code = code or _code_now(catalog, model)
    reader = PointInTimeReader(model, partition, cache_)
    personal = any(catalog.dataset(model_input.dataset).personal_columns for model_input in model.inputs)
    return compute_features(model, reader, _compiled(code), code.place, personal=personal)


def compute_features(
    model: ModelConfig, reader: PointInTimeReader, function: Features, path: Path | str, *, personal: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that ``reader`` gives, and what ``function`` (of the file ``path``) makes of them, as `feature_frame` says.

    With ``personal``, the message of an error that is not ours is left out, as they may quote a row.
    """
    rows = reader.rows()
    try:
        features = function(reader)
    except (DataError, ConfigError):
        raise
    except Exception as error:  # a team's own code may raise anything; it is their file that must be named
        told = f"{type(error).__name__} {_place(error, path)}" if personal else f"{type(error).__name__}: {error}"
        raise ConfigError(f"{path}: features() failed for partition {reader.partition}: {told}") from (None if personal else error)
    return rows, _as_declared(features, model, rows, path, personal=personal)


def labelled_frame(
    catalog: Catalog, model: ModelConfig, partition: dt.date, cache_: PartitionCache, code: FeatureCode | None = None
) -> pd.DataFrame | None:
    """One partition's features with ``target`` and the keys (``key:NAME``) of its rows: those whose label is known as of the cache's as_of.

    None when an input or the labels of that day are not there.
    """
    if not inputs_known(model, partition, cache_):
        return None
    labels = partition_labels(model, partition, cache_)
    if labels is None:
        return None
    rows, features = feature_frame(catalog, model, partition, cache_, code)
    joined = features.assign(**{TARGET: join_labels(catalog, model, rows, labels)})
    joined.insert(0, PARTITION_COLUMN, partition.isoformat())
    for key in catalog.dataset(model.rows).keys:
        joined[f"{KEY_PREFIX}{key}"] = rows[key]
    return joined[joined[TARGET].notna()].reset_index(drop=True)


def inputs_known(model: ModelConfig, partition: dt.date, cache_: PartitionCache) -> bool:
    """Whether each input's newest partition that ``partition`` reads was known when it began."""
    for model_input in model.inputs:
        day = partition - dt.timedelta(days=model_input.lag_days)
        if not cache_.known(model_input.dataset, partition, day, day):
            return False
    return True


def partition_labels(model: ModelConfig, partition: dt.date, cache_: PartitionCache) -> pd.DataFrame | None:
    """The labels of one partition: the target dataset's key columns and ``target`` (floats; missing where there is none)."""
    import pandas as pd

    found = cache_.known(model.target.dataset, cache_.as_of, partition, partition)
    if not found:
        return None
    labels = cache_.frame(found[0], cache_.as_of)
    value = pd.to_numeric(labels[model.target.column]).astype("float64")
    if model.target.positive_above is not None:
        value = (value > model.target.positive_above).astype("float64").where(value.notna())
    return labels.drop(columns=model.target.column).assign(**{TARGET: value})


def features_source(catalog: Catalog, model: ModelConfig) -> str:
    """The text of the model's `features.py`: part of what makes a training run what it is."""
    return catalog.features_path(model.name).read_text(encoding="utf-8")


def join_labels(catalog: Catalog, model: ModelConfig, rows: pd.DataFrame, labels: pd.DataFrame) -> pd.Series:
    """The label of each of ``rows``, in their order."""
    keys = _shared_keys(catalog, model)
    return rows[keys].merge(labels[[*keys, TARGET]], on=keys, how="left", validate="one_to_one")[TARGET].set_axis(rows.index)


def _shared_keys(catalog: Catalog, model: ModelConfig) -> list[str]:
    """The columns that identify a row in both the rows' and the target's dataset."""
    rows, target = catalog.dataset(model.rows), catalog.dataset(model.target.dataset)
    if not rows.keys or rows.keys != target.keys:
        raise ConfigError(
            f"{model.name}: rows of {rows.name} and their labels in {target.name} are matched by their keys, "
            f"which must be the same; got {list(rows.keys)} and {list(target.keys)}."
        )
    return list(rows.keys)


def load_features(path: Path) -> Features:
    """The function ``features`` of a `features.py`, of a module that nobody else has used. Raises `ConfigError`."""
    return load_code(FeatureCode(path.read_text(encoding="utf-8"), str(path)))


def _code_now(catalog: Catalog, model: ModelConfig) -> FeatureCode:
    return FeatureCode(features_source(catalog, model), str(catalog.features_path(model.name)))


@cache
def _compiled(code: FeatureCode) -> Features:
    return load_code(code)


def load_code(code: FeatureCode) -> Features:
    """The function ``features`` of this code, as `load_features` gives it."""
    module = executed(code.text, code.place)
    if not callable(getattr(module, "features", None)):
        raise ConfigError(f"{code.place} must define features(read), which returns one row of features for each row of read.rows().")
    function: Features = module.features
    return function


def _place(error: Exception, path: Path | str) -> str:
    """The last line of a team's file that an error passed through."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"in line {lines[-1] if lines else '?'} (what it says is left out: the inputs hold personal data)"


def _as_declared(
    features: pd.DataFrame, model: ModelConfig, rows: pd.DataFrame, path: Path | str, *, personal: bool = False
) -> pd.DataFrame:
    declared = model.feature_names
    found = list(features.columns)
    if set(found) != set(declared):
        missing, extra = sorted(set(declared) - set(found)), sorted(set(found) - set(declared))
        raise ConfigError(
            f"{path}: features() and model.yaml differ: missing {missing or 'none'}, undeclared {extra or 'none'}. "
            f"Declare each feature in model.yaml, or drop it."
        )
    if not features.index.equals(rows.index):
        raise ConfigError(
            f"{path}: features() gave {len(features)} rows with an index of its own; "
            f"it must keep the {len(rows)} rows of read.rows() and their index."
        )
    kinds = {"numeric": "float64", "categorical": "string"}
    try:
        typed = features[declared].astype({feature.name: kinds[feature.kind] for feature in model.features})
    except (ValueError, TypeError) as error:
        told = "its value is left out, as the inputs hold personal data" if personal else str(error)
        raise ConfigError(f"{path}: a feature that is declared numeric is not: {told}") from (None if personal else error)
    if infinite := [str(name) for name in typed.select_dtypes("float64") if typed[name].abs().eq(float("inf")).any()]:
        raise ConfigError(f"{path}: infinite values in {', '.join(infinite)}. Give a missing value where a division is by zero.")
    return typed
