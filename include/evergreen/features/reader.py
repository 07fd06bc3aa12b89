"""What a model's `features.py` may see: the rows to score, and the past as it was known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from include.evergreen import clock
from include.evergreen.config import ModelConfig
from include.evergreen.errors import ConfigError, DataError
from include.evergreen.partitions import PartitionVersion, known_versions, read_partition

if TYPE_CHECKING:
    import pandas as pd

PARTITION_COLUMN = "partition"
MAX_WINDOW_DAYS = 31  # scoring again after a correction looks this far back for what changed


class PartitionCache:
    """The partitions that one process has read, and which versions they were.

    ``as_of`` bounds everything: no version with a later knowledge time is seen through it.
    """

    def __init__(self, as_of: dt.date) -> None:
        self.as_of = as_of
        self.read: dict[tuple[str, dt.date], PartitionVersion] = {}
        self._versions: dict[str, dict[dt.date, list[PartitionVersion]]] = {}
        self._frames: dict[tuple[str, str], pd.DataFrame] = {}

    def known(self, dataset: str, as_of: dt.date, first: dt.date, last: dt.date) -> list[PartitionVersion]:
        """The newest version of each partition from ``first`` to ``last`` with a knowledge time <= ``as_of``."""
        limit = min(clock.moment(as_of), clock.moment(self.as_of))
        versions = self._versions_of(dataset)
        known = ([each for each in versions.get(day, []) if each.knowledge_time <= limit] for day in clock.days(first, last))
        return [each[-1] for each in known if each]

    def frame(self, version: PartitionVersion) -> pd.DataFrame:
        self.read[version.dataset, version.partition] = version
        key = (version.dataset, version.path)
        if key not in self._frames:
            self._frames[key] = read_partition(version)
        return self._frames[key]

    def _versions_of(self, dataset: str) -> dict[dt.date, list[PartitionVersion]]:
        """All versions that ``as_of`` allows, by partition, older ones first: an earlier day may not know the newest yet."""
        if dataset not in self._versions:
            versions: dict[dt.date, list[PartitionVersion]] = {}
            for each in known_versions(dataset, as_of=clock.moment(self.as_of)):
                versions.setdefault(each.partition, []).append(each)
            self._versions[dataset] = versions
        return self._versions[dataset]


class PointInTimeReader:
    """Reads for one partition of one model, and sees nothing that was not known when that partition began."""

    def __init__(self, model: ModelConfig, partition: dt.date, cache: PartitionCache) -> None:
        self._model = model
        self._partition = partition
        self._cache = cache

    @property
    def partition(self) -> dt.date:
        """The day whose rows are to be scored."""
        return self._partition

    def rows(self) -> pd.DataFrame:
        """The rows to score: one row each, in the order that the result must keep.

        Raises `DataError` when the partition has not been ingested, or was not known in time.
        """
        dataset = self._model.rows
        newest = self._partition - dt.timedelta(days=self._model.lag_days(dataset))
        found = self._cache.known(dataset, self._partition, newest, newest)
        if not found:
            raise DataError(f"{self._model.name}: {dataset} {newest} was not known on {self._partition}. Ingest it first.")
        return self._cache.frame(found[0]).copy()

    def window(self, dataset: str, days: int, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of the last ``days`` partitions that the model may see, with a column ``partition`` (dates).

        Days that were not ingested, or were not known in time, are absent; the frame may be empty but has its columns.
        """
        if dataset not in [each.dataset for each in self._model.inputs]:
            allowed = ", ".join(each.dataset for each in self._model.inputs)
            raise ConfigError(f"{self._model.name}: features.py reads {dataset!r}, which model.yaml does not list; inputs: {allowed}.")
        if not 1 <= days <= MAX_WINDOW_DAYS:
            raise ConfigError(f"{self._model.name}: features.py asks for {days} days of {dataset}; allowed: 1-{MAX_WINDOW_DAYS}.")
        import pandas as pd

        last = self._partition - dt.timedelta(days=self._model.lag_days(dataset))
        found = self._cache.known(dataset, self._partition, last - dt.timedelta(days=days - 1), last)
        if not found:
            return pd.DataFrame({name: [] for name in [*(columns or []), PARTITION_COLUMN]})
        frames = []
        for version in found:
            frame = self._cache.frame(version)
            chosen = frame[list(columns)] if columns else frame
            frames.append(chosen.assign(**{PARTITION_COLUMN: version.partition}))
        return pd.concat(frames, ignore_index=True)
