"""Labels: which versions of the target's partitions hold those of a partition's rows, whether all have come, and how rows find theirs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.label_keys import keys_problem
from include.evergreen.config.labels import LabelSource
from include.evergreen.config.moments import AfterPartition
from include.evergreen.data.partitions import PartitionVersion
from include.evergreen.features.categories import as_categories, category
from include.evergreen.features.columns import PARTITION, TARGET, as_keys
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import LATEST, Partition

if TYPE_CHECKING:
    import pandas as pd

COMPARED_AS_THEY_ARE = {"integer", "boolean", "datetime", "string"}  # kinds of keys of which two types of pandas hold equal values
MATCHED = "matched"  # a column beside `key:NAME` and TARGET
KNOWN_BY_NOW = LATEST  # an as_of: the newest labels, whenever they became known
ROWS_AT_ONCE = 20_000  # of labels that are matched together, at least: many small partitions cost as much as one


@dataclass(frozen=True)
class KnownLabels:
    """The versions that may hold labels of a partition's rows, oldest partition first, and the partitions that are still waited for."""

    source: LabelSource
    versions: tuple[PartitionVersion, ...]
    missing: tuple[Partition, ...]

    @property
    def is_mature(self) -> bool:
        """Whether all labels of the rows have come that could come."""
        return not self.missing

    @property
    def digest(self) -> str | None:
        """The digest of the labels' partitions; None until they are mature."""
        return truth_digest(self.source, {version.partition: version.digest for version in self.versions}, self.missing)

    @property
    def waits_for(self) -> str:
        """What is still to come, as part of a sentence; empty when nothing is."""
        if not self.missing:
            return ""
        if not self.source.is_spread:
            return f"the labels of {self.source.dataset}/{self.missing[0]} have not arrived yet"
        first, last = self.missing[0], self.missing[-1]
        which = f"{first}" if first == last else f"{first} to {last}" if len(self.missing) > 2 else f"{first} and {last}"
        return f"labels may still come: of {self.source.dataset}, {which} {'is' if first == last else 'are'} not there yet"


def truth_digest(source: LabelSource, digests: Mapping[Partition, str], missing: Collection[Partition]) -> str | None:
    """Digest the labels of a partition's rows, so that it shows when any of them may have changed.

    :param source: where they stand
    :param digests: of the versions that hold them, by partition
    :param missing: what is still waited for, as `LabelSource.missing` lists it
    :returns: SHA-256, in hex; where labels stand in the row's own partition, that of its content. None until they are mature
    """
    if missing:
        return None
    if not source.is_spread:
        return next(iter(digests.values()))
    return document_digest({str(partition): digest for partition, digest in sorted(digests.items())})


def known_labels(catalog: Catalog, model: ModelConfig, partition: Partition, cache: PartitionCache) -> KnownLabels:
    """Find what is known of the labels of a partition's rows, as of the cache's ``as_of``. Reads no rows.

    :param catalog: what is declared now, for the schedule of the target's dataset
    :param model: the model, which declares the target
    :param partition: the day whose rows the labels are of
    :param cache: what they are read through
    :returns: the newest known version of each partition that may hold them
    """
    source = model.labels
    schedule = catalog.dataset(source.dataset).schedule if source.is_spread else None
    versions = cache.known(source.dataset, None, *source.partitions(partition))
    whole = {version.partition for version in versions if not source.is_spread or _is_whole(model, version, cache.until)}
    return KnownLabels(source, tuple(versions), tuple(source.missing(partition, whole, schedule)))


def join_labels(catalog: Catalog, model: ModelConfig, rows: pd.DataFrame, labels: KnownLabels, cache: PartitionCache) -> pd.Series:
    """Match labels to rows by the keys of the target's dataset: of several partitions that have a row's key, the newest decides.

    Raises `ConfigError` when the keys cannot be joined, or the column is no number and no value of it is declared as positive.

    :param catalog: what is declared now, for the keys
    :param model: the model, which declares rows and target
    :param rows: rows of one partition, or the keys of its predictions (`columns.keys_of`): anything with the key columns
    :param labels: as `known_labels` found them for that partition; the cache notes that all of them were read
    :param cache: what they are read through
    :returns: the label of each of ``rows``, with their index: floats (0 or 1 for a classification, by what is positive), or of several
        classes texts, as `categories.category` writes them. Missing where there is none, unless the labels are mature and
        ``target.absent`` is negative; missing, too, where the newest has no value
    :raises DataError: when a partition has several labels for one key, or, where rows have the same keys as labels, several rows
    """
    import numpy as np
    import pandas as pd

    is_text = model.task == "multiclass"
    if not labels.versions:
        return pd.Series(np.nan, index=rows.index, name=TARGET, dtype="string" if is_text else "float64")
    names = _shared_keys(catalog, model)
    keys = as_keys(rows, names).reset_index(drop=True)
    if len(names) == len(catalog.dataset(model.rows).keys) and keys.duplicated().any():
        raise DataError(
            f"{model.name}: several rows of {model.rows} share {', '.join(names)}, which dataset.yaml declares as their keys, so that one "
            f"label would be theirs together. Ingest the partition again."
        )
    values, left = np.full(len(keys), np.nan, dtype="object" if is_text else "float64"), np.arange(len(keys))
    cache.note_read(labels.versions)
    for versions in _newest_first(labels.versions):
        if not len(left):
            break
        keys, given = _comparable(keys, _given(model, names, versions, cache))
        newest = given.drop_duplicates(list(keys.columns))
        matched = keys.iloc[left].merge(newest.assign(**{MATCHED: 1.0}), on=list(keys.columns), how="left")
        has_label = matched[MATCHED].notna().to_numpy()
        values[left[has_label]] = matched.loc[has_label, TARGET].to_numpy(dtype=values.dtype)
        left = left[~has_label]
    if labels.is_mature and model.target.absent == "negative":
        values[left] = 0.0
    return pd.Series(values, index=rows.index, name=TARGET, dtype="string" if is_text else "float64")


def _is_whole(model: ModelConfig, version: PartitionVersion, until: dt.datetime) -> bool:
    """Whether none of its rows should still become known, by the rule; rows that are known one by one begin before that."""
    if version.knowledge_column is None or version.knowledge is None:
        return True
    rule = AfterPartition(**{name: version.knowledge.get(name) for name in AfterPartition.model_fields})
    return rule.moment(model.labels.grain, version.partition) <= until


def _shared_keys(catalog: Catalog, model: ModelConfig) -> list[str]:
    """The columns by which rows find their labels."""
    rows, target = catalog.dataset(model.rows), catalog.dataset(model.target.dataset)
    if problem := keys_problem(rows, target):
        raise ConfigError(f"{model.name}: {problem}.")
    return list(target.keys)


def _newest_first(versions: Sequence[PartitionVersion]) -> Iterator[list[PartitionVersion]]:
    """The versions in lots of `ROWS_AT_ONCE` rows, or one version that has more."""
    lot: list[PartitionVersion] = []
    for version in reversed(versions):
        lot.append(version)
        if sum(each.rows for each in lot) >= ROWS_AT_ONCE:
            yield lot
            lot = []
    if lot:
        yield lot


def _given(model: ModelConfig, names: list[str], versions: Sequence[PartitionVersion], cache: PartitionCache) -> pd.DataFrame:
    """The labels that some versions give: in their order, at most one of each for a key."""
    import numpy as np
    import pandas as pd

    columns = list(dict.fromkeys([*names, model.target.column]))
    frames = [cache.frame(version, None, columns) for version in versions]
    stored = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    keys = as_keys(stored, names)
    place = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    if (several := keys.assign(**{PARTITION: place}).duplicated()).any():
        version = versions[place[np.flatnonzero(several)[0]]]
        raise DataError(
            f"{model.name}: {version.dataset} {version.partition} (version {version.version}) has several labels for one row: its rows "
            f"share {', '.join(names)}, which dataset.yaml declares as their keys. Ingest the partition again."
        )
    return keys.assign(**{TARGET: _values(model, stored[model.target.column], versions[0].partition)})


def _values(model: ModelConfig, column: pd.Series, partition: Partition) -> pd.Series:
    """What a column says: the figure, or 1 and 0 by what is positive, or the class as text; missing where it has no value."""
    import pandas as pd

    target = model.target
    if model.task == "multiclass":
        return as_categories(column)
    if target.positive is not None:
        is_positive = as_categories(column) == category(target.positive)
        return is_positive.fillna(False).astype("float64").where(column.notna())
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        raise ConfigError(
            f"{model.name}: {target.column} of {target.dataset} {partition} is no number, so it is no figure to learn. Use "
            f"task: classification with target.positive in model.yaml, or task: multiclass, or another column."
        )
    value = pd.to_numeric(column).astype("float64")
    return value if target.positive_above is None else (value > target.positive_above).astype("float64").where(value.notna())


def _comparable(rows: pd.DataFrame, labels: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """With keys that are typed otherwise on the two sides as the texts of their values: 10, 10.0 and "10" are one key."""
    for name in map(str, rows.columns):
        kinds = {_kind(rows[name]), _kind(labels[name])}
        if len(kinds) > 1 or not kinds <= COMPARED_AS_THEY_ARE:
            rows, labels = (frame.assign(**{name: as_categories(frame[name])}) for frame in (rows, labels))
    return rows, labels


def _kind(column: pd.Series) -> str:
    """What the values of a column are, whichever of pandas' types of them it has."""
    from pandas.api import types

    if types.is_object_dtype(column.dtype):
        return types.infer_dtype(column, skipna=True)
    kinds = {
        "integer": types.is_integer_dtype,
        "boolean": types.is_bool_dtype,
        "datetime": types.is_datetime64_any_dtype,
        "string": types.is_string_dtype,
    }
    return next((kind for kind, is_kind in kinds.items() if is_kind(column.dtype)), str(column.dtype))
