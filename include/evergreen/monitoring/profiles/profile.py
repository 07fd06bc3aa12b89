"""A profile: the columns of some partitions, counted on one reference's bins and cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from typing import TYPE_CHECKING, Literal

import numpy as np

from include.evergreen.monitoring.profiles.columns import CategoryColumn, Column, NumericColumn, as_numbers, as_texts, counted
from include.evergreen.monitoring.profiles.layout import HEAVY_SHARE, MOST_HEAVY, Bins, Cells
from include.evergreen.monitoring.profiles.sample import Sample, code_categories, code_numbers, drawn

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["numeric", "categorical"]
ROWS_FOR_THREADS = 100_000
MOST_THREADS = 4  # each holds a copy of one column


@dataclass(frozen=True)
class Profile:
    """``partitions`` are in ascending order, each there once, and so are the rows of each array of each column, and of ``sample``."""

    partitions: tuple[str, ...]
    columns: Mapping[str, Column]
    sample: Sample

    @property
    def rows(self) -> int:
        """The rows of all partitions."""
        return int(next(iter(self.columns.values())).rows.sum()) if self.columns else 0

    @property
    def kinds(self) -> dict[str, Kind]:
        """Which columns there are, in order, and of what kind each is counted."""
        return {name: "numeric" if isinstance(column, NumericColumn) else "categorical" for name, column in self.columns.items()}

    def merge(self, *others: Profile) -> Profile:
        """Make the profile of a window. Exact: it is the same whatever is merged first.

        :param *others: of other partitions, counted on the same reference
        :returns: a new profile
        :raises ValueError: when a partition is in two of them
        """
        named = [name for profile in (self, *others) for name in profile.partitions]
        if len(set(named)) < len(named):
            raise ValueError(f"A partition is in two profiles that are merged: {sorted(named)}")
        order = np.argsort(named, kind="stable")
        columns = {name: _merged([profile.columns[name] for profile in (self, *others)]).pick(order) for name in self.columns}
        sample = self.sample.merge(*(profile.sample for profile in others)).pick(order)
        return Profile(tuple(named[place] for place in order), columns, sample)


def profile_partition(reference: Profile, partition: str, table: pa.Table) -> Profile:
    """Count the rows of one partition in the bins and cells of a reference.

    :param reference: the champion's, from `profile_reference`
    :param partition: the partition's key
    :param table: its rows; a column of the reference that it has not counts as missing in each of them
    :returns: a profile of one partition
    """
    import pyarrow as pa

    def values(name: str) -> pa.ChunkedArray | pa.Array:
        return table[name] if name in table.column_names else pa.nulls(len(table))

    def count(name: str) -> Column:
        column = reference.columns[name]
        if isinstance(column, NumericColumn):
            return NumericColumn.of(column.bins, values(name))
        return CategoryColumn.of(column.cells, values(name))

    columns = dict(zip(reference.columns, _for_each(count, reference.columns, len(table)), strict=True))
    return Profile((partition,), columns, _sample(columns, {name: values(name) for name in columns}, [np.arange(len(table))]))


def profile_reference(table: pa.Table, partitions: Sequence[str], kinds: Mapping[str, Kind]) -> Profile:
    """Draw bins and cells, and count the rows that draw them, partition by partition.

    :param table: the sample of what a champion was trained on
    :param partitions: the partition of each row
    :param kinds: the columns to count, in order, and of what kind each is
    :returns: the reference profile. A category that stands in one partition only is counted there as unseen, as it would be if the
        partition were new: so the share of unseen categories that a new partition has by nature is known
    """
    names, place = np.unique(np.asarray(partitions, dtype=object), return_inverse=True)
    groups = [np.flatnonzero(place == number) for number in range(len(names))]
    columns: dict[str, Column] = {}
    for name, kind in kinds.items():
        if kind == "numeric":
            columns[name] = _reference_numbers(table[name], groups)
        else:
            columns[name] = _reference_categories(table[name], place, len(names))
    return Profile(tuple(str(name) for name in names), columns, _sample(columns, {name: table[name] for name in columns}, groups))


def _for_each(count: Callable[[str], Column], names: Iterable[str], rows: int) -> list[Column]:
    """Columns of many rows on all processors: what counts them leaves Python to its other threads."""
    if rows < ROWS_FOR_THREADS:
        return [count(name) for name in names]
    with ThreadPoolExecutor(min(MOST_THREADS, cpu_count() or 1)) as threads:
        return list(threads.map(count, names))


def _sample(columns: Mapping[str, Column], values: Mapping[str, pa.ChunkedArray | pa.Array], groups: list[np.ndarray]) -> Sample:
    import pyarrow as pa

    chosen = [rows[drawn(len(rows))] for rows in groups]
    rows = pa.array(np.concatenate(chosen))
    codes = np.empty((len(rows), len(columns)), np.uint8)
    for number, (name, column) in enumerate(columns.items()):
        taken = values[name].take(rows)
        if isinstance(column, NumericColumn):
            codes[:, number] = code_numbers(column.bins, as_numbers(taken))
        else:
            codes[:, number] = code_categories(column.cells, as_texts(taken))
    return Sample(codes, np.array([len(each) for each in chosen]))


def _reference_numbers(values: pa.ChunkedArray, groups: list[np.ndarray]) -> NumericColumn:
    import pyarrow as pa

    numbers = as_numbers(values)
    bins = Bins.of(numbers[np.isfinite(numbers)])
    column = _merged([NumericColumn.of(bins, pa.array(numbers[rows])) for rows in groups])
    assert isinstance(column, NumericColumn)
    return column


def _reference_categories(values: pa.ChunkedArray, place: np.ndarray, partitions: int) -> CategoryColumn:
    import pyarrow.compute as pc

    categories, counts, _ = counted(values)
    code = pc.index_in(as_texts(values), value_set=categories).fill_null(len(categories)).to_numpy()
    table = np.zeros((partitions, len(categories) + 1), np.int64)
    np.add.at(table, (place, code), 1)
    known = table[:, :-1]
    once = (known > 0).sum(axis=0) < 2 if partitions > 1 else counts < 2  # would be new where it stands
    heavy = np.flatnonzero((counts >= HEAVY_SHARE * len(values)) & ~once)
    heavy = heavy[np.argsort(-counts[heavy], kind="stable")][:MOST_HEAVY]
    is_rest = ~once
    is_rest[heavy] = False
    listed = categories.to_pylist()
    cells = Cells(
        tuple(listed[number] for number in heavy), tuple(sorted(text for number, text in enumerate(listed) if number not in set(heavy)))
    )
    counts_of = [known[:, heavy], known[:, is_rest].sum(axis=1)[:, None], known[:, once].sum(axis=1)[:, None], table[:, -1:]]
    unseen: tuple[dict[str, int], ...] = tuple({} for _ in range(partitions))
    return CategoryColumn(cells, np.concatenate(counts_of, axis=1), (known > 0).sum(axis=1), unseen)


def _merged(columns: Iterable[Column]) -> Column:
    first, *others = columns
    return first.merge(*others)  # type: ignore[arg-type]
