"""A profile: the columns of some partitions, counted on one reference's bins and cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from os import cpu_count
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from include.evergreen.foundation.errors import DataError
from include.evergreen.monitoring.profiles.columns import CategoryColumn, Column, NumericColumn
from include.evergreen.monitoring.profiles.counting import CategoryCounter, NumericCounter, as_numbers, as_texts, counted
from include.evergreen.monitoring.profiles.layout import HEAVY_SHARE, MOST_HEAVY, Bins, Cells
from include.evergreen.monitoring.profiles.sample import Sample, code_categories, code_numbers, drawn

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["numeric", "categorical"]
ROWS_FOR_THREADS = 100_000
MOST_THREADS = 4  # each holds a copy of one column of a batch


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
    return profile_batches(reference, partition, [table], len(table))


def profile_batches(reference: Profile, partition: str, batches: Iterable[pa.Table | pa.RecordBatch], rows: int) -> Profile:
    """Count the rows of one partition as `profile_partition` does, of which only a batch is in memory.

    :param reference: the champion's, from `profile_reference`
    :param partition: the partition's key
    :param batches: its rows
    :param rows: how many there are
    :returns: a profile of one partition
    :raises DataError: when there are more rows or fewer
    """
    columns = reference.columns
    counters = {
        name: NumericCounter(column.bins) if isinstance(column, NumericColumn) else CategoryCounter(column.cells)
        for name, column in columns.items()
    }
    chosen = drawn(rows)
    codes = np.empty((len(chosen), len(columns)), np.uint8)
    counted_rows = 0
    with _all_processors(rows) as for_each:
        for batch in batches:
            values = {name: _values(batch, name) for name in columns}
            for_each(lambda name, values=values: counters[name].add(values[name]), columns)  # type: ignore[misc]
            inside = (chosen >= counted_rows) & (chosen < counted_rows + len(batch))
            codes[inside] = _codes(columns, values, chosen[inside] - counted_rows)
            counted_rows += len(batch)
    if counted_rows != rows:
        raise DataError(f"The partition {partition} has {counted_rows} rows, and {rows} were recorded. Score it again.")
    return Profile((partition,), {name: counter.column() for name, counter in counters.items()}, Sample(codes, np.array([len(chosen)])))


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
    chosen = [rows[drawn(len(rows))] for rows in groups]
    codes = _codes(columns, {name: table[name] for name in columns}, np.concatenate([np.zeros(0, np.int64), *chosen]))
    return Profile(tuple(str(name) for name in names), columns, Sample(codes, np.array([len(each) for each in chosen])))


@contextmanager
def _all_processors(rows: int) -> Iterator[Callable[[Callable[[str], Any], Iterable[str]], Any]]:
    """Does something for each name; for many rows on all processors, since what counts them leaves Python to its other threads."""
    if rows < ROWS_FOR_THREADS:
        yield lambda count, names: [count(name) for name in names]
        return
    with ThreadPoolExecutor(min(MOST_THREADS, cpu_count() or 1)) as threads:
        yield lambda count, names: list(threads.map(count, names))


def _values(batch: pa.Table | pa.RecordBatch, name: str) -> pa.ChunkedArray | pa.Array:
    import pyarrow as pa

    return batch.column(name) if name in batch.schema.names else pa.nulls(len(batch))


def _codes(columns: Mapping[str, Column], values: Mapping[str, pa.ChunkedArray | pa.Array], rows: np.ndarray) -> np.ndarray:
    import pyarrow as pa

    codes = np.empty((len(rows), len(columns)), np.uint8)
    if not len(rows):
        return codes
    for number, (name, column) in enumerate(columns.items()):
        taken = values[name].take(pa.array(rows))
        if isinstance(column, NumericColumn):
            codes[:, number] = code_numbers(column.bins, as_numbers(taken))
        else:
            codes[:, number] = code_categories(column.cells, as_texts(taken))
    return codes


def _reference_numbers(values: pa.ChunkedArray, groups: list[np.ndarray]) -> NumericColumn:
    import pyarrow as pa

    numbers = as_numbers(values)
    bins = Bins.of(numbers[np.isfinite(numbers)])
    column = _merged([NumericCounter(bins).add(pa.array(numbers[rows])).column() for rows in groups])
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
