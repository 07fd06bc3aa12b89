"""What DAGs are of, by what is declared, and which of them stop live data of a model that serves."""

from __future__ import annotations

import time
from collections import defaultdict

import sqlalchemy as sa

from include.evergreen.config import Catalog, DatasetConfig, ModelConfig
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.operations.noticing.causes import Subject
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import promotions

MODEL_STAGES = frozenset({"train", "score", "monitor", "retrain", "approve", "promote"})
FRESH_SECONDS = 60.0


class Declared:
    """What is declared, read again after a minute, and only when it is asked for; a declaration that is broken counts as none.

    :param catalog: by default that of the environment
    """

    def __init__(self, catalog: Catalog | None = None) -> None:
        self._catalog = catalog
        self._read_at = -FRESH_SECONDS
        self._datasets: frozenset[str] = frozenset()
        self._models: frozenset[str] = frozenset()
        self._readers: dict[str, tuple[str, ...]] | None = None
        self._serving: frozenset[str] | None = None

    def subject(self, dag_id: str) -> Subject:
        """Say what a DAG is of.

        :param dag_id: the DAG's
        :returns: its model or dataset; neither for a DAG that is not built from a declaration
        """
        self._refresh()
        name, _, stage = dag_id.rpartition(".")
        if stage == "ingest" and name in self._datasets:
            readers = self.readers(name)
            return Subject(dataset=name, stage=stage, stops_live=bool(self.serving & set(readers)), readers=readers)
        if stage in MODEL_STAGES and name in self._models:
            return Subject(model=name, stage=stage, stops_live=stage == "score" and name in self.serving)
        return Subject()

    def readers(self, dataset: str) -> tuple[str, ...]:
        """List the models that read a dataset.

        :param dataset: its name
        :returns: their names, sorted
        """
        self._refresh()
        if self._readers is None:
            found = defaultdict(set)
            for model in self._sound_models():
                for name in {model.target.dataset, *(entry.dataset for entry in model.inputs)}:
                    found[name].add(model.name)
            self._readers = {name: tuple(sorted(models)) for name, models in found.items()}
        return self._readers.get(dataset, ())

    @property
    def serving(self) -> frozenset[str]:
        """The models that have a champion."""
        self._refresh()
        if self._serving is None:
            with reading() as connection:
                query = sa.select(promotions.c.model).where(promotions.c.ended_by.is_(None)).distinct()
                self._serving = frozenset(connection.execute(query).scalars())
        return self._serving

    def datasets(self) -> list[DatasetConfig]:
        """List the datasets that are declared soundly.

        :returns: by name
        """
        self._refresh()
        sound = []
        for name in sorted(self._datasets):
            try:
                sound.append(self._the_catalog.dataset(name))
            except ConfigError:
                continue  # its DAGs say so by themselves
        return sound

    def models(self) -> list[ModelConfig]:
        """List the models that are declared soundly.

        :returns: by name
        """
        self._refresh()
        return self._sound_models()

    @property
    def _the_catalog(self) -> Catalog:
        self._catalog = self._catalog or Catalog()
        return self._catalog

    def _sound_models(self) -> list[ModelConfig]:
        sound = []
        for name in sorted(self._models):
            try:
                sound.append(self._the_catalog.model(name))
            except ConfigError:
                continue
        return sound

    def _refresh(self) -> None:
        if time.monotonic() - self._read_at < FRESH_SECONDS:
            return
        catalog = self._the_catalog
        self._datasets, self._models = frozenset(catalog.dataset_names()), frozenset(catalog.model_names())
        self._readers = self._serving = None
        self._read_at = time.monotonic()
