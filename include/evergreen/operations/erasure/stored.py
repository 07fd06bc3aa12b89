"""Finds a person's rows in stored files, and rewrites the files without them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.data.conditions import Conditions, as_texts, canonical_text
from include.evergreen.data.partitions.files import RowWriter, read_batches, read_schema
from include.evergreen.data.quarantine import row_digests
from include.evergreen.state import storage

if TYPE_CHECKING:
    import pandas as pd

KINDS = {"datasets": "accepted", "quarantine": "quarantined", "raw": "raw"}  # folders of the storage, and what their rows are

Key = tuple[str | None, ...]


@dataclass(frozen=True)
class FileWithRows:
    """A file with rows of the person: how many, their keys (None: it has not all key columns), and their digests."""

    path: str
    kind: str
    rows: int
    keys: frozenset[Key] | None
    digests: frozenset[str]


@dataclass(frozen=True)
class Rewritten:
    """A file without them: its content's digest, its path and its rows."""

    path: str
    digest: str
    rows: int


def search(path: str, kind: str, subject: Conditions, keys: Sequence[str]) -> FileWithRows | None:
    """Find the person's rows in one stored file. Raises `DataError` when it is damaged, or not there.

    :param path: of a Parquet file, in the storage
    :param kind: what its rows are: accepted, quarantined or raw
    :param subject: the columns and values that name the person
    :param keys: the dataset's key columns; empty: it declares none
    :returns: the rows' number, keys and digests; None when there is none
    :raises KeyError: when the file lacks a column of ``subject``
    """
    import pyarrow as pa

    rows = 0
    row_keys: set[Key] = set()
    digests: set[str] = set()
    with storage.local_file(path) as file:
        names = read_schema(file).names
        if missing := [name for name in subject.values if name not in names]:
            raise KeyError(*missing)
        if not any(subject.matches(batch).true_count for batch in read_batches(file, list(subject.values))):
            return None
        has_keys = bool(keys) and set(keys) <= set(names)
        for batch in read_batches(file):
            theirs = pa.Table.from_batches([batch.filter(subject.matches(batch))])
            rows += theirs.num_rows
            digests.update(row_digests(theirs))
            if has_keys:
                row_keys.update(tuple(map(canonical_text, row.values())) for row in theirs.select(list(keys)).to_pylist())
    return FileWithRows(path, kind, rows, frozenset(row_keys) if has_keys else None, frozenset(digests))


def rewrite(original: FileWithRows, subject: Conditions) -> Rewritten:
    """Write the file's other rows beside it; the file itself stays.

    :param original: what `search` found
    :param subject: the columns and values that name the person
    :returns: the new file, with the other rows in their order; it may have none
    """
    import pyarrow.compute as pc

    with storage.local_file(original.path) as file, RowWriter(read_schema(file)) as others:
        for batch in read_batches(file):
            others.write(batch.filter(pc.invert(subject.matches(batch))))
        digest, rows = others.digest(), others.rows
        path = f"{posixpath.dirname(original.path)}/{digest[:16]}.parquet"
        others.keep(path)
    return Rewritten(path, digest, rows)


def rows_of_people(frame: pd.DataFrame, columns: Sequence[str], keys: frozenset[Key]) -> pd.Series:
    """Tell which rows have one of some keys.

    :param frame: any rows that have the columns
    :param columns: of the key, in the order of the dataset's ``keys``, whatever they are called in this frame
    :param keys: canonical texts of the values in that order, as `canonical_text` writes them; None is a missing value
    :returns: one boolean a row, in the frame's index
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [as_texts(pa.array(frame[name], from_pandas=True)) for name in columns]
    may_be = np.ones(len(frame), dtype=bool)
    for place, column in enumerate(texts):
        may_be &= pc.is_in(column, pa.array({key[place] for key in keys}, pa.string())).to_numpy(zero_copy_only=False)
    those = np.flatnonzero(may_be)
    rows = zip(*(column.take(pa.array(those)).to_pylist() for column in texts), strict=True)
    may_be[those] = [row in keys for row in rows]
    return pd.Series(may_be, index=frame.index)


def partition_files(dataset: str) -> Iterator[tuple[str, str, str]]:
    """Find every file of a dataset's rows, recorded or not.

    :param dataset: its name, as in ``include/datasets``
    :yields: partition (as its folder is called), kind (accepted, quarantined or raw) and path in the storage; kind by kind, sorted by path
    """
    for folder, kind in KINDS.items():
        for file in storage.files(f"{folder}/{dataset}"):
            parts = file.path.split("/")
            if len(parts) == 4 and parts[-1].endswith(".parquet"):
                yield parts[2], kind, file.path
