"""Where raw partitions come from: one module for each kind of source, all behind `Source`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from include.evergreen.config import DatasetConfig
from include.evergreen.foundation.grain import Partition

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Delivery:
    """One partition as its source gives it.

    ``batches`` has all rows, in the columns and types of `partitions.files.arrow_schema`. It is read once; `DataError`
    (content that does not fit the declaration) and `TransientError` (a source that does not answer) may come at any batch.
    ``places`` names what is read, for people: files, a query, a URL; it holds no secrets. ``undeclared`` has the columns
    that the source gives and the dataset does not declare. Both may grow until the last batch was read. ``kept`` is told
    the raw rows' path in the storage once they lie there: a source may remember what it read.
    """

    batches: Iterator[pa.RecordBatch]
    places: list[str]
    undeclared: list[str]
    kept: Callable[[str], None] = field(default=lambda _: None)


class Source(Protocol):
    """Reads the partitions of one dataset as it is declared."""

    def open(self, partition: Partition) -> Delivery:
        """Find a partition's rows.

        Raises `DataError` when there are none to find, `TransientError` when the source does not answer, `ConfigError` when
        what is declared cannot be asked for. What it delivers may raise these too, as it is read.

        :param partition: the partition's date
        :returns: its rows, which are read as ``batches`` is
        """


def make_source(dataset: DatasetConfig) -> Source:
    """Make the source that a dataset declares.

    :param dataset: whose kind of source names the class
    :returns: a source of that class; nothing is asked of it yet
    """
    module, _, name = dataset.source.reader.rpartition(".")
    return cast(Source, getattr(importlib.import_module(module), name)(dataset))
