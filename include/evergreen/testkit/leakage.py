"""Leakage: alters all data that became known only after a day had begun, so that a feature that reads it shows."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

from include.evergreen.config import ModelConfig
from include.evergreen.data.partitions import PartitionVersion
from include.evergreen.features.synthetic import SyntheticRows
from include.evergreen.foundation.grain import Partition

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

OTHER_DRAW = 1
AFTERWARDS = dt.timedelta(microseconds=1)


class LaterFacts(SyntheticRows):
    """New versions of the ``concerned`` partitions, of which a reader as of ``day`` must notice nothing:

    - of a partition that is known later: other rows
    - of one that was known: a correction that became known a microsecond after the day began
    - of one whose rows were known one by one: the later ones other, some of them gone
    - of the labels of the day's own rows, should they be known already: other values of the target

    Where rows have their own times, the moment is that of the row in the middle of the day: rows up to it must notice nothing. Of the day's
    own rows the later ones are other, and some of them gone.

    :param source: the rows that the versions replace
    :param model: the model as it is declared now, whose target is altered
    :param day: the as_of of the reader, which knows what was known at its beginning (UTC)
    :param concerned: partitions, by dataset and day; the others have no versions here
    """

    def __init__(self, source: SyntheticRows, model: ModelConfig, day: Partition, concerned: set[tuple[str, Partition]]) -> None:
        self._source, self._model, self._day, self._concerned = source, model, day, concerned
        self._contents: dict[tuple[str, Partition, int], pd.DataFrame] = {}
        self._moment = model.moment(day)
        if model.own_time is not None:
            own = source.frame(model.rows, day)[model.own_time].sort_values()
            self._moment = own.iloc[len(own) // 2].to_pydatetime()

    def versions(self, dataset: str) -> list[PartitionVersion]:
        """The new versions of a dataset's concerned partitions.

        :param dataset: its name, as in ``include/datasets``
        :returns: the records, of each partition in the order in which they supersede one another
        """
        versions = []
        for original in self._source.versions(dataset):
            if (dataset, original.partition) not in self._concerned:
                continue
            number = original.version
            for content, known in self._replacements(original):
                number += 1
                path = original.path.replace("/v1.", f"/v{number}.")
                versions.append(replace(original, version=number, digest=f"made up {number}", path=path, knowledge_time=known))
                self._contents[dataset, original.partition, number] = content
        return versions

    def is_early(self, rows: pd.DataFrame) -> np.ndarray:
        """Tell which of the day's rows, that have their own times, must notice nothing.

        :param rows: as `PointInTimeReader.rows` gives them
        :returns: a mask of those whose own time, and when they were known, is up to the moment
        """
        known = self._source.datasets[self._model.rows].knowledge.column
        moments = rows[[*filter(None, [self._model.own_time, known])]]
        is_early: np.ndarray = (moments <= self._moment).all(axis=1).to_numpy(dtype=bool)
        return is_early

    def content(self, version: PartitionVersion) -> pd.DataFrame:
        """The rows of a new version.

        :param version: a record that `versions` gave
        :returns: its rows, as they come from the storage
        """
        return self._contents[version.dataset, version.partition, version.version]

    def _replacements(self, original: PartitionVersion) -> list[tuple[pd.DataFrame, dt.datetime]]:
        """The contents that supersede one another, and from when on they are known."""
        begins = self._moment
        if self._model.own_time is not None and (original.dataset, original.partition) == (self._model.rows, self._day):
            content = self._with_other_later_rows(original, self._source.content(original), begins)
            altered = self._with_other_labels(original, content)
            stays = self.is_early(altered) | [place % 3 != 0 for place in range(len(altered))]
            return [(altered[stays].reset_index(drop=True), original.knowledge_time)]
        other = _thinned(self._source.frame(original.dataset, original.partition, OTHER_DRAW))
        if original.knowledge_time > begins:
            return [(other, original.knowledge_time)]
        replacements = []
        content = self._source.content(original)
        if original.knowledge_column is not None:
            content = self._with_other_later_rows(original, content, begins)
            replacements.append((content, original.knowledge_time))
        if (altered := self._with_other_labels(original, content)) is not content:
            replacements.append((altered, original.knowledge_time))
        return [*replacements, (other, begins + AFTERWARDS)]

    def _with_other_labels(self, original: PartitionVersion, content: pd.DataFrame) -> pd.DataFrame:
        """The content with other labels of the day's own rows, if it has any."""
        target = self._model.target
        keys = self._source.datasets[original.dataset].keys
        first, last = self._model.labels.partitions(self._day)
        if original.dataset != target.dataset or not first <= original.partition <= last or target.column in keys:
            return content
        labels = self._source.other_values(target.dataset, target.column, original.partition, OTHER_DRAW)
        return content.assign(**{target.column: labels}) if len(labels) == len(content) else content

    def _with_other_later_rows(self, original: PartitionVersion, content: pd.DataFrame, begins: dt.datetime) -> pd.DataFrame:
        dataset = self._source.datasets[original.dataset]
        own = self._model.own_time if dataset.name == self._model.rows else None
        moments = list(filter(None, [own, original.knowledge_column]))
        later = (content[moments] > begins).any(axis=1)
        changed = content.copy()
        for column in dataset.column_names:
            if column not in {*dataset.keys, *moments}:
                other = self._source.other_values(dataset.name, column, original.partition, OTHER_DRAW)
                changed[column] = changed[column].where(~later, other)
        return changed


def _thinned(frame: pd.DataFrame) -> pd.DataFrame:
    """Without every third row."""
    return frame[[place % 3 != 0 for place in range(len(frame))]].reset_index(drop=True)
