"""Where raw partitions come from: one module for each kind of source, all behind `Source`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Protocol

from include.evergreen.config import DatasetConfig

if TYPE_CHECKING:
    import pandas as pd


class Source(Protocol):
    """Reads one partition of one dataset as it is declared."""

    def read(self, partition: dt.date) -> pd.DataFrame:
        """All rows of the partition, with the declared columns in their declared types and order.

        Raises `DataError` for content that does not fit the declaration, `TransientError` for a source that does not
        answer.
        """


def source_of(dataset: DatasetConfig) -> Source:
    """The source that ``dataset`` declares."""
    from include.evergreen.sources.files import FilesReader

    return {"files": FilesReader}[dataset.source.type](dataset)
