"""The subject of a check: one declared model and the synthetic rows it is tested on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import Features, code_now, compute_features, load_code
from include.evergreen.features.differences import Comparison
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.features.reader import PointInTimeReader
from include.evergreen.features.synthetic import EXAMINED_BEFORE, MadeUpCache, SyntheticRows
from include.evergreen.foundation.grain import Partition

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Subject:
    """One declared model, and the synthetic rows that it is examined on."""

    catalog: Catalog
    model: ModelConfig
    source: SyntheticRows

    @classmethod
    def of(cls, catalog: Catalog, name: str) -> Subject:
        """The subject for a declared model, with rows made for it.

        :param catalog: what is declared now
        :param name: the model's, as in ``include/models``
        :returns: the subject
        """
        model = catalog.model(name)
        return cls(catalog, model, SyntheticRows(catalog, model))

    @property
    def path(self) -> Path:
        """The model's `features.py`."""
        return self.catalog.features_path(self.model.name)

    @property
    def days(self) -> list[Partition]:
        """The days whose features are compared, oldest first."""
        return [self.model.grain.shift(self.source.day, -back) for back in (EXAMINED_BEFORE, 1, 0)]

    @property
    def later(self) -> Partition:
        """An as_of from which the labels of every examined day are known."""
        _, last = self.model.labels.partitions(self.source.day)
        moment = self.model.labels.grain.end(last)
        around = [(dataset, dataset.grain.at(moment)) for dataset in self.source.datasets.values()]
        return self.model.grain.shift(
            self.model.grain.at(max(moment, *(dataset.known_from(partition) for dataset, partition in around))), 2
        )

    def cache(self, as_of: Partition, *, is_scored: bool = False) -> PartitionCache:
        """A new cache over the synthetic rows.

        :param as_of: the day at whose beginning (UTC) a row must have been known
        :param is_scored: whether it is scored, so that its scoring moment counts, and not its beginning
        :returns: the cache, which has read nothing
        """
        return MadeUpCache(as_of, self.source, is_scored=is_scored)

    def features(
        self,
        day: Partition,
        cache: PartitionCache | None = None,
        *,
        function: Features | None = None,
        reader: Callable[[ModelConfig, Partition, PartitionCache], PointInTimeReader] = PointInTimeReader,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Compute the features of a day, as scoring does unless told otherwise.

        Raises `ConfigError` when `features.py` fails, or gives other columns or rows than it should.

        :param day: which one, as `days` lists them
        :param cache: what the past is read through; None: a new one as of the day
        :param function: the team's function; None: that of a module that remembers nothing
        :param reader: makes the reader that the function gets
        :returns: the rows, and their features with the same index
        """
        reads = reader(self.model, day, cache or self.cache(day, is_scored=True))
        return compute_features(self.model, reads, function or load_code(code_now(self.catalog, self.model)), self.path)

    def compared(self, day: Partition, rows: pd.DataFrame, promise: str, advice: str) -> Comparison:
        """Say what a comparison of this model's features is about.

        :param day: which one, as `days` lists them
        :param rows: the rows of the two computations, by which findings name the first that differs
        :param promise: how a feature that differs breaks the promise, after "feature 'x' on 2013-01-08: "
        :param advice: a sentence that says what to do about it
        :returns: the comparison, for `differences`
        """
        return Comparison(self.model.name, self.path, day, rows, self.catalog.dataset(self.model.rows).keys, promise, advice)
