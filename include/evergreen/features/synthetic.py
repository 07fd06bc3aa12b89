"""Synthetic rows of a model's datasets, generated from what dataset.yaml declares and from nothing else.

Types, nullability and keys hold; values keep to the sets, bounds, lengths and patterns of the expectations on one column.
Columns of one name and type draw from one small pool, so that datasets find each other when they are joined, and
datasets with the same keys have the same keys on the same day, also where one declares a text and the other a number. The same seed
gives the same rows, in any process.
"""

from __future__ import annotations

import datetime as dt
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from include.evergreen.config import Catalog, DatasetConfig, ModelConfig
from include.evergreen.config.datasets import Column
from include.evergreen.data.partitions import PartitionVersion
from include.evergreen.features.categories import category
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.features.patterns import matching
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.state import ledger, storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import partition_versions

if TYPE_CHECKING:
    import pandas as pd

ROWS = 48  # of a partition, about; enough for groups, and few enough for seconds
POOL = 6  # different texts of a column that says nothing of its values
KEYS_WANTED = 2 * ROWS
MOST_DAYS_BEFORE = 70  # a longer window finds that there was nothing before
EXAMINED_BEFORE = 8  # partitions of the model: the oldest that a check looks at beside the examined one
SOME_TIME = dt.datetime(2013, 2, 9, tzinfo=dt.UTC)
DAYS_AFTER = 4  # that are generated after the examined day
MISSING_SHARE = 0.1  # of a nullable column
PRESENT_SHARE = 0.8  # of all keys, on one day
TIMES_VALID, VALID_BEFORE = 4, 12  # rows of each other key of a dimension, and in how many partitions before they begin
GAP_SHARE = 0.2  # of the times between two of them in which neither holds
HOLDS_ON = dt.timedelta(days=3650)
WITHIN = (0.0, 100.0)  # numbers that are not bounded otherwise
Row = tuple[Any, ...]


def _partitions_before(model: ModelConfig, names: Iterable[str]) -> dict[str, int]:
    """How many partitions of each dataset are generated before the examined one: what its features may look back over, and some more."""
    examined = model.grain.at(SOME_TIME)
    looked_back = {name: _partitions_back(model, name, examined) for name in [each.dataset for each in model.inputs]}
    alike = max(count for name, count in looked_back.items() if model.grain_of(name) == model.grain)  # the rows are one of them
    before = {}
    for name in names:
        grain = model.grain_of(name)
        if grain == model.grain:
            count, more = alike, 0 if alike >= EXAMINED_BEFORE else EXAMINED_BEFORE  # the oldest that is examined is there, too
        else:
            count, more = looked_back.get(name, alike), _count_within(model.grain, grain)
        before[name] = min(MOST_DAYS_BEFORE, count) + more + DAYS_AFTER
    return before


def _partitions_back(model: ModelConfig, dataset: str, scored: Partition) -> int:
    """How many partitions of an input lie between the oldest that features may see and the one in which the scored partition begins."""
    grain = model.grain_of(dataset)
    return grain.number(grain.at(model.grain.start(scored))) - grain.number(model.oldest(dataset, scored))


def _count_within(rows: Grain, grain: Grain) -> int:
    """How many partitions of a grain lie between the oldest and the newest examined partition of the rows."""
    newest = rows.at(SOME_TIME)
    return grain.number(grain.at(rows.start(newest))) - grain.number(grain.at(rows.start(rows.shift(newest, -EXAMINED_BEFORE))))


class SyntheticRows:
    """The partitions of every dataset that ``model`` reads, around a ``day`` that has all of its past.

    :param catalog: what is declared now
    :param model: the model, whose inputs and target are generated
    :param seed: another one gives other rows
    """

    def __init__(self, catalog: Catalog, model: ModelConfig, seed: int = 0) -> None:
        names = dict.fromkeys([*(model_input.dataset for model_input in model.inputs), model.target.dataset])
        self.datasets = {name: catalog.dataset(name) for name in names}
        self._seed = seed
        self.model = model = model.with_calendars(catalog.calendar_of)  # the rows are those of this catalog's datasets
        before = _partitions_before(model, names)
        grains = {name: dataset.grain for name, dataset in self.datasets.items()}
        first = max(grains[name].start(grains[name].shift(self.datasets[name].schedule.first, before[name])) for name in names)
        self.day = model.grain.at(first)
        if model.grain.start(self.day) < first:
            self.day = model.grain.shift(self.day, 1)
        begins = {name: grain.at(model.grain.start(self.day)) for name, grain in grains.items()}
        self._first = {name: grains[name].shift(begins[name], -before[name]) for name in names}
        ends = begins
        if model.own_time is not None:  # rows read what becomes known while their partition goes on
            ends = {name: grain.at(model.grain.end(self.day) - dt.timedelta.resolution) for name, grain in grains.items()}
        self._last = {name: grains[name].shift(ends[name], DAYS_AFTER) for name in names}
        self._last[model.target.dataset] = grains[model.target.dataset].shift(model.labels.partitions(self.day)[1], DAYS_AFTER)
        self._rules = {name: _rules_by_column(dataset) for name, dataset in self.datasets.items()}
        _draw_both_classes(model, self._rules[model.target.dataset].setdefault(model.target.column, {}))
        self._pools: dict[tuple[str, str], list[Any]] = {}
        self._frames: dict[tuple[str, Partition, int], pd.DataFrame] = {}

    def versions(self, dataset: str) -> list[PartitionVersion]:
        """Make the records of a dataset's partitions, each known when the dataset's rule (or its knowledge column) says.

        :param dataset: an input of the model, or its target
        :returns: one version for each partition up to `DAYS_AFTER` days after ``day``, and after the last that may hold its labels; oldest
            partition first
        """
        declared = self.datasets[dataset]
        versions = []
        for day in declared.grain.between(self._first[dataset], self._last[dataset]):
            known = declared.known_from(day)
            if declared.knowledge.column is not None:
                known = self.frame(dataset, day)[declared.knowledge.column].min().to_pydatetime()
            versions.append(synthetic_version(declared, day, 1, known))
        return versions

    def content(self, version: PartitionVersion) -> pd.DataFrame:
        """Give the rows of a version.

        :param version: one that `versions` gave
        :returns: its rows, as `frame` gives them
        """
        return self.frame(version.dataset, version.partition)

    def frame(self, dataset: str, day: Partition, draw: int = 0) -> pd.DataFrame:
        """Generate the rows of one partition; asked again, it gives the same.

        :param dataset: an input of the model, or its target
        :param day: the day of the partition
        :param draw: another one gives other rows of the same kind
        :returns: the rows, typed and sorted as they come from the storage; the frame is kept, and not to be changed
        """
        if (dataset, day, draw) not in self._frames:
            self._frames[dataset, day, draw] = self._generate(self.datasets[dataset], day, draw)
        return self._frames[dataset, day, draw]

    def other_values(self, dataset: str, column: str, day: Partition, draw: int) -> pd.Series:
        """Other values for one column of a partition: drawn again, or, in a key, each exchanged for another.

        :param dataset: name of the dataset
        :param column: the one that gets other values
        :param day: the day of the partition
        :param draw: from 1; another one gives other values again
        :returns: one value for each row of ``frame(dataset, day)``, in their order
        """
        declared = self.datasets[dataset]
        frame = self.frame(dataset, day)
        kind = next(candidate for candidate in declared.columns if candidate.name == column)
        if column not in declared.keys:
            values = self._drawn(declared, kind, self._rng(dataset, column, day, draw), len(frame), day)
            return _typed_column(kind, values, frame.index)
        if kind.type == "timestamp":
            begins, ends = declared.grain.start(day), declared.grain.end(day)
            if declared.validity is not None:
                return frame[column] + VALID_BEFORE * (ends - begins) / 3 * draw
            later = frame[column] + (ends - begins) * 7 / 24
            return later.where(later < ends, later - (ends - begins))
        pool = self._pool(declared, kind)
        exchanged = dict(zip(pool, [*pool[draw % len(pool) :], *pool[: draw % len(pool)]], strict=True))
        return frame[column].map(exchanged).astype(frame[column].dtype)

    def _generate(self, dataset: DatasetConfig, day: Partition, draw: int) -> pd.DataFrame:
        import pandas as pd

        keys = self._keys(dataset, day)
        rows = len(keys) if dataset.keys else ROWS
        columns: dict[str, Any] = {}
        for column in dataset.columns:
            if column.name in dataset.keys:
                columns[column.name] = [key[dataset.keys.index(column.name)] for key in keys]
            elif dataset.validity is not None and column.name == dataset.validity.to:
                columns[column.name] = self._ends(dataset, column, day, draw, keys)
            else:
                columns[column.name] = self._drawn(dataset, column, self._rng(dataset.name, column.name, day, draw), rows, day)
        frame = _typed(dataset, pd.DataFrame(columns))
        return frame.sort_values(list(dataset.keys), ignore_index=True) if dataset.keys else frame  # as they are stored

    def _keys(self, dataset: DatasetConfig, day: Partition) -> list[Row]:
        """The key of each row of a day: the same for all datasets with the same keys."""
        kinds = {column.name: column for column in dataset.columns}
        still = [name for name in dataset.keys if kinds[name].type != "timestamp"]
        pools = [self._pool(dataset, kinds[name]) for name in still]
        whole = math.prod(len(pool) for pool in pools)
        chosen = self._rng(*still).choice(whole, size=min(ROWS, whole), replace=False) if pools else np.zeros(1, dtype=int)
        if len(still) == len(dataset.keys):
            present = self._rng(*still, day).random(len(chosen)) < PRESENT_SHARE
            chosen = chosen[present] if present.any() else chosen
        each_has = 1 if len(still) == len(dataset.keys) else max(1, min(24, ROWS // len(chosen)))
        keys, begins = [], dataset.grain.start(day)
        length = dataset.grain.end(day) - begins
        step, apart = length / each_has, dt.timedelta()
        if dataset.validity is not None:  # of the past, too, and the last ones begin within this partition and the next
            each_has, begins = max(each_has, TIMES_VALID), begins - VALID_BEFORE * length
            step, apart = VALID_BEFORE * length / (each_has - 1), length * 3 / 10
        for number in chosen:
            places = np.unravel_index(number, [len(pool) for pool in pools]) if pools else ()
            values = {name: pool[int(place)] for name, pool, place in zip(still, pools, places, strict=True)}
            for turn in range(each_has):
                moment = begins + turn * step + int(number) % 5 * apart
                keys.append(tuple(values.get(name, moment) for name in dataset.keys))
        return keys

    def _ends(self, dataset: DatasetConfig, column: Column, day: Partition, draw: int, keys: list[Row]) -> list[dt.datetime | None]:
        """Until when each row holds: until the next one of its other keys begins, or, some of them, half as long; the last holds on."""
        assert dataset.validity is not None
        place, rng = dataset.keys.index(dataset.validity.from_), self._rng(dataset.name, column.name, day, draw)
        ends: list[dt.datetime | None] = []
        for key, following in zip(keys, [*keys[1:], None], strict=True):
            begins = key[place]
            if following is None or following[:place] + following[place + 1 :] != key[:place] + key[place + 1 :]:
                ends.append(None if column.nullable else begins + HOLDS_ON)
            else:
                held = following[place] - begins
                ends.append(begins + (held / 2 if rng.random() < GAP_SHARE else held))
        return ends

    def _drawn(self, dataset: DatasetConfig, column: Column, rng: np.random.Generator, rows: int, day: Partition) -> list[Any]:
        rules, begins = self._rules[dataset.name].get(column.name, {}), dataset.grain.start(day)
        values: Sequence[Any]
        if column.name == dataset.knowledge.column and not self._is_own_time(
            dataset, column
        ):  # some before the day begins, some after it has ended
            known = dataset.known_from(day)
            values = [known + dt.timedelta(seconds=round(3600 * hours)) for hours in rng.uniform(-18, 18, rows)]
        elif column.type == "timestamp":
            seconds = int((dataset.grain.end(day) - begins).total_seconds())
            values = [begins + dt.timedelta(seconds=int(second)) for second in rng.integers(0, seconds, rows)]
        elif column.type == "boolean":
            values = [bool(value) for value in rng.integers(0, 2, rows)]
        elif column.type == "string" or "set" in rules or "positive" in rules or self._is_shared(column):
            pool = self._pool(dataset, column)
            values = [pool[place] for place in rng.integers(0, len(pool), rows)]
        elif column.type == "integer":
            low, high = _bounds(rules)
            values = [int(value) for value in rng.integers(math.ceil(low), math.floor(high) + 1, rows)]
        else:
            values = [round(float(value), 3) for value in rng.uniform(*_bounds(rules), rows)]
        if column.nullable:
            values = [None if lost else value for value, lost in zip(values, rng.random(rows) < MISSING_SHARE, strict=True)]
        return list(values)

    def _is_own_time(self, dataset: DatasetConfig, column: Column) -> bool:
        """Whether the model's rows are scored as of it, so that it is within their partition."""
        return (dataset.name, column.name) == (self.model.rows, self.model.own_time)

    def _is_shared(self, column: Column) -> bool:
        """Whether some dataset has it as a key, so that others may refer to it."""
        return any(column.name in dataset.keys for dataset in self.datasets.values())

    def _pool(self, dataset: DatasetConfig, column: Column) -> list[Any]:
        """The values that a column draws from: one pool for all columns of one name and type."""
        name = self._referred_name(dataset, column.name)
        if (name, column.type) not in self._pools:
            self._pools[name, column.type] = self._new_pool(name, column.type)
        return self._pools[name, column.type]

    def _new_pool(self, name: str, kind: str) -> list[Any]:
        rules: dict[str, Any] = {}
        for by_column in self._rules.values():
            rules = {**by_column.get(name, {}), **rules}
        if "set" in rules:
            return list(dict.fromkeys(rules["set"]))
        if kind == "boolean":
            return [False, True]
        if alike := self._key_of_another_type(name, kind):
            values = self._pool(*alike)
            return [category(value) for value in values] if kind == "string" else [float(value) for value in values]
        return list(dict.fromkeys([*self._free_pool(name, kind, rules), *([rules["positive"]] if "positive" in rules else [])]))

    def _key_of_another_type(self, name: str, kind: str) -> tuple[DatasetConfig, Column] | None:
        """The key of this name that is typed otherwise in another dataset, and whose values this one must have to be joined with it."""
        others = {"string": ("integer", "number"), "number": ("integer",)}.get(kind, ())
        keys = ((dataset, column) for dataset in self.datasets.values() for column in dataset.columns if column.name in dataset.keys)
        return next(((dataset, column) for dataset, column in keys if column.name == name and column.type in others), None)

    def _free_pool(self, name: str, kind: str, rules: dict[str, Any]) -> list[Any]:
        size = max([POOL, *(self._pool_size_for_keys(dataset) for dataset in self.datasets.values() if name in dataset.keys)])
        low, high = _bounds(rules)
        if kind == "integer":
            low, high = math.ceil(low), math.floor(high)
            return list(dict.fromkeys(int(low + (high - low) * turn // max(size - 1, 1)) for turn in range(size)))
        if kind == "number":
            return [round(low + (high - low) * turn / max(size - 1, 1), 3) for turn in range(size)]
        return list(dict.fromkeys(self._text(name, rules, turn) for turn in range(size)))

    def _text(self, name: str, rules: dict[str, Any], turn: int) -> str:
        if "pattern" in rules and (text := matching(rules["pattern"], self._rng(name, turn))) is not None:
            return text
        text = f"{turn:04d}{name}" if "most" in rules else f"{name} {turn}"
        return text.ljust(int(rules.get("least", 0)), "x")[: int(rules.get("most", len(text) + 80))]

    def _pool_size_for_keys(self, dataset: DatasetConfig) -> int:
        """How many values each free key column needs for `KEYS_WANTED` different keys."""
        kinds = {column.name: column.type for column in dataset.columns}
        rules = self._rules[dataset.name]
        fixed = math.prod(
            24 if kinds[name] == "timestamp" else len(rules[name]["set"])
            for name in dataset.keys
            if kinds[name] == "timestamp" or "set" in rules.get(name, {})
        )
        free = [name for name in dataset.keys if kinds[name] not in {"timestamp", "boolean"} and "set" not in rules.get(name, {})]
        return math.ceil((KEYS_WANTED / fixed) ** (1 / len(free))) if free else 1

    def _referred_name(self, dataset: DatasetConfig, column: str) -> str:
        """The name of the column that this one refers to, if its dataset declares a reference; else its own."""
        for reference in dataset.references:
            if column in reference.columns and reference.to:
                return reference.to[reference.columns.index(column)]
        return column

    def _rng(self, *subject: object) -> np.random.Generator:
        return np.random.default_rng([self._seed, *(zlib.crc32(str(part).encode()) for part in subject)])


class MadeUpCache(PartitionCache):
    """A `PartitionCache` over synthetic rows: everything is as with stored ones, but where they lie.

    :param as_of: the day at whose beginning (UTC) a version or a row must have been known
    :param source: what generates the rows
    :param is_scored: whether ``as_of`` is scored, so that its scoring moment counts, and not its beginning
    """

    def __init__(self, as_of: Partition, source: SyntheticRows, *, is_scored: bool = False) -> None:
        super().__init__(as_of, model=source.model, is_scored=is_scored)
        self._source = source

    def _recorded(self, dataset: str, first: Partition, last: Partition) -> list[PartitionVersion]:
        versions = [version for version in self._source.versions(dataset) if first <= version.partition <= last]
        return [version for version in versions if version.knowledge_time <= self.until]

    def _read(self, version: PartitionVersion, columns: list[str] | None) -> pd.DataFrame:
        content = self._source.content(version)
        return content if columns is None else content[[name for name in columns if name in content]]


def synthetic_version(dataset: DatasetConfig, day: Partition, number: int, known: dt.datetime) -> PartitionVersion:
    """The record of a synthetic partition.

    :param dataset: the dataset as it is declared
    :param day: the day of the partition
    :param number: the number of the version, from 1
    :param known: its knowledge time, with its zone
    :returns: the record, as a publication would make it
    """
    return PartitionVersion(
        dataset=dataset.name,
        partition=day,
        version=number,
        digest=f"made up {number}",
        path=f"made-up/{dataset.name}/{day}/v{number}.parquet",
        rows=ROWS,
        quarantine_digest="",
        quarantine_path="",
        quarantined=0,
        source_rows=ROWS,
        raw_digest="",
        raw_path="",
        knowledge_time=known,
        knowledge_column=dataset.knowledge.column,
        origin="live",
        recorded_at=known,
        removed_at=None,
    )


def publish(source: SyntheticRows, versions: Sequence[PartitionVersion]) -> None:
    """Put synthetic partitions into the storage and the database of EVERGREEN_HOME, which must be one of their own.

    :param source: what generates the rows
    :param versions: those of ``source`` to publish, none of which is there yet; there may be none
    """
    for version in versions:
        storage.write_frame(version.path, source.content(version))
    if not versions:
        return
    with writing() as connection:  # one transaction: `publish_partition` would take one for each
        connection.execute(partition_versions.insert(), [asdict(version) for version in versions])
        for version in versions:
            key = {name: getattr(version, name) for name in ("dataset", "partition", "version")}
            ledger.bind(connection, partition_versions, key, kind="publication")


def _typed_column(column: Column, values: Any, index: pd.Index) -> pd.Series:
    import pandas as pd

    from include.evergreen.data.partitions.files import PANDAS_TYPES

    kind: Any = PANDAS_TYPES[column.type]
    typed: pd.Series = pd.Series(values, index=index, name=column.name).astype(kind)
    return typed


def _typed(dataset: DatasetConfig, frame: pd.DataFrame) -> pd.DataFrame:
    """In the types that rows have when they come from the storage."""
    from include.evergreen.data.partitions.files import PANDAS_TYPES

    return frame.astype({column.name: PANDAS_TYPES[column.type] for column in dataset.columns})


def _bounds(rules: dict[str, Any]) -> tuple[float, float]:
    width = WITHIN[1] - WITHIN[0]
    if "low" not in rules and "high" not in rules:
        return WITHIN
    low = rules["low"] if "low" in rules else rules["high"] - width
    return low, rules.get("high", low + width)


def _draw_both_classes(model: ModelConfig, rules: dict[str, Any]) -> None:
    """Add to what is said of the target's values that some are positive: else no feature would be found to be the target itself."""
    target = model.target
    if target.positive is not None and not isinstance(target.positive, bool):
        rules["positive"] = target.positive
    if target.positive_above is not None and "set" not in rules:
        (low, high), bound = _bounds(rules), target.positive_above
        if not low <= bound < high:  # about half of them are on each side of it
            rules.update(low=min(low, 2 * bound - high), high=max(high, 2 * bound - low))


def _rules_by_column(dataset: DatasetConfig) -> dict[str, dict[str, Any]]:
    """What the expectations say of the values of each column: set, low, high, least, most, pattern."""
    by_column: dict[str, dict[str, Any]] = {}
    for expectation in dataset.expectations:
        column = expectation.arguments.get("column")
        if isinstance(column, str):
            by_column.setdefault(column, {}).update(_rules(expectation.expect, expectation.arguments))
    return by_column


def _rules(expect: str, arguments: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    def given(**names: str) -> Iterator[tuple[str, Any]]:
        return ((rule, arguments[name]) for rule, name in names.items() if arguments.get(name) is not None)

    match expect:
        case "expect_column_values_to_be_in_set" | "expect_column_distinct_values_to_be_in_set":
            yield from given(set="value_set")
        case "expect_column_values_to_be_between":
            bounds = given(low="min_value", high="max_value")
            yield from ((rule, float(value)) for rule, value in bounds if isinstance(value, int | float))
        case "expect_column_value_lengths_to_be_between":
            yield from given(least="min_value", most="max_value")
        case "expect_column_value_lengths_to_equal":
            yield from given(least="value", most="value")
        case "expect_column_values_to_match_regex":
            yield from given(pattern="regex")
