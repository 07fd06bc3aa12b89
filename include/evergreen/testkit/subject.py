"""The subject of a check: one declared model and the synthetic rows it is tested on."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import Features, compute_features, load_features
from include.evergreen.features.differences import Comparison
from include.evergreen.features.reader import PartitionCache, PointInTimeReader
from include.evergreen.features.synthetic import MadeUpCache, SyntheticRows

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
        model = catalog.model(name)
        return cls(catalog, model, SyntheticRows(catalog, model))

    @property
    def path(self) -> Path:
        return self.catalog.features_path(self.model.name)

    @property
    def days(self) -> list[dt.date]:
        """The days whose features are compared, oldest first."""
        return [self.source.day - dt.timedelta(days=back) for back in (8, 1, 0)]

    @property
    def later(self) -> dt.date:
        """An as_of from which the labels of every examined day is known."""
        hours = max(dataset.knowledge.hours_after_partition for dataset in self.source.datasets.values())
        return self.source.day + dt.timedelta(days=math.ceil(max(hours, 0) / 24) + 2)

    def cache(self, as_of: dt.date) -> PartitionCache:
        return MadeUpCache(as_of, self.source)

    def features(
        self,
        day: dt.date,
        cache: PartitionCache | None = None,
        *,
        function: Features | None = None,
        reader: Callable[[ModelConfig, dt.date, PartitionCache], PointInTimeReader] = PointInTimeReader,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows of a day and their features; unless ``function`` is given, of a module that remembers nothing."""
        reads = reader(self.model, day, cache or self.cache(day))
        return compute_features(self.model, reads, function or load_features(self.path), self.path)

    def compared(self, day: dt.date, rows: pd.DataFrame, promise: str, advice: str) -> Comparison:
        return Comparison(self.model.name, self.path, day, rows, self.catalog.dataset(self.model.rows).keys, promise, advice)
