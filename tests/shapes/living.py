"""A shape of docs/guides/shapes.md in a home of its own: its declarations here, its source beside them."""

from __future__ import annotations

import datetime as dt
import importlib
from pathlib import Path
from types import ModuleType

import pandas as pd

from include.evergreen.config import Catalog, DatasetConfig, ModelConfig
from include.evergreen.data.partitions import current_partition, current_partitions, publish_partition
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.operations.timetable import first_training
from include.evergreen.state import storage

FOLDER = Path(__file__).parent
TYPES = {"integer": "Int64", "number": "float64", "string": "string", "boolean": "boolean", "timestamp": "datetime64[us, UTC]"}


class Living:
    """A shape's declarations, in a home of their own, and its source."""

    def __init__(self, name: str) -> None:
        self.source: ModuleType = importlib.import_module(f"tests.shapes.{name}.data")
        self.catalog = Catalog(FOLDER / name)
        (self.name,) = self.catalog.model_names()

    @property
    def model(self) -> ModelConfig:
        return self.catalog.model(self.name)

    def first_as_of(self) -> Partition:
        """The first with enough to train on, which is later where labels stand beside the rows and are told later."""
        as_of = first_training(self.catalog, self.model)
        assert as_of is not None
        grain = self.model.grain
        if self.model.rows != self.model.target.dataset:
            return as_of
        return grain.shift(grain.at(grain.start(as_of) + self.source.TOLD_AFTER), 1)

    def deliver_all(self, until: dt.datetime) -> None:
        """Publish all that is known by a moment and is not there yet, in the order in which it becomes known."""
        for known, later, dataset, partition in self._coming(until):
            self.deliver(dataset, partition, known, self.frame(dataset, partition, later=later))

    def land(self, partition: Partition) -> list[tuple[DatasetConfig, Partition, Partition]]:
        """Put into the landing zone what a partition of the model is scored and then measured by, and is not there yet, to be ingested.

        Returns the first and the last partition of each dataset.
        """
        labels, moment = self.catalog.dataset(self.model.target.dataset), self.model.moment(partition)
        told = labels.known_from(self.model.labels.partitions(partition)[1])
        landed: dict[str, list[Partition]] = {}
        for known, _, dataset, partition in self._coming(max(told, moment)):
            if known > (told if dataset.name == labels.name else moment):
                continue
            self.put(dataset, partition, self.frame(dataset, partition))
            landed.setdefault(dataset.name, []).append(partition)
        return [(self.catalog.dataset(name), partitions[0], partitions[-1]) for name, partitions in landed.items()]

    def put(self, dataset: DatasetConfig, partition: Partition, frame: pd.DataFrame) -> None:
        """Write a partition's file where its source is read from."""
        home = str(Settings.from_environment().home)
        place = Path(str(dataset.source.path).replace("${EVERGREEN_HOME}", home).format(partition=partition))
        place.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(place, index=False)

    def _coming(self, until: dt.datetime) -> list[tuple[dt.datetime, bool, DatasetConfig, Partition]]:
        """When each version becomes known, whether it is a later one, and what it is of."""
        coming = []
        for name in self.catalog.dataset_names():
            dataset = self.catalog.dataset(name)
            there = {each.partition: each.version for each in current_partitions(name)}
            for partition in dataset.schedule.partitions(dataset.schedule.first, dataset.grain.shift(dataset.grain.at(until), 1)):
                if partition not in there:
                    coming.append((dataset.known_from(partition), False, dataset, partition))
                if there.get(partition, 0) <= 1 and hasattr(self.source, "later") and name == self.model.target.dataset:
                    coming.append((dataset.grain.end(partition) + self.source.TOLD_AFTER, True, dataset, partition))
        return [each for each in sorted(coming, key=lambda each: each[:2]) if each[0] <= until]

    def frame(self, dataset: DatasetConfig, partition: Partition, *, later: bool = False) -> pd.DataFrame:
        given = (self.source.later if later else self.source.frame)(dataset.name, partition)
        typed = given[dataset.column_names].astype({column.name: TYPES[column.type] for column in dataset.columns})
        return typed.sort_values(list(dataset.keys), ignore_index=True)

    def deliver(self, dataset: DatasetConfig, partition: Partition, known: dt.datetime, frame: pd.DataFrame) -> None:
        """Publish a partition as ingestion does, without reading it from anywhere."""
        column, digest = dataset.knowledge.column, frame_digest(frame)
        if column is not None:
            is_first = current_partition(dataset.name, partition) is None
            known = (frame[column].min() if is_first else frame[column].max()).to_pydatetime()
        path = f"datasets/{dataset.name}/{partition}/{digest[:16]}.parquet"
        storage.write_frame(path, frame)
        counts = {"rows": len(frame), "source_rows": len(frame), "quarantined": 0, "quarantine_digest": "", "quarantine_path": ""}
        publish_partition(
            dataset=dataset.name,
            partition=partition,
            content={"digest": digest, "path": path, "knowledge_column": column, **counts},
            known_at=lambda _: known,
            origin="live",
        )
