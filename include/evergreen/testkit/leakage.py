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
    import pandas as pd

OTHER_DRAW = 1
AFTERWARDS = dt.timedelta(microseconds=1)


class LaterFacts(SyntheticRows):
    """New versions of the ``concerned`` partitions, of which a reader as of ``day`` must notice nothing:

    - of a partition that is known later: other rows
    - of one that was known: a correction that became known a microsecond after the day began
    - of one whose rows were known one by one: the later ones other, some of them gone
    - of the labels of the day's own rows, should they be known already: other values of the target

    :param source: the rows that the versions replace
    :param model: the model as it is declared now, whose target is altered
    :param day: the as_of of the reader, which knows what was known at its beginning (UTC)
    :param concerned: partitions, by dataset and day; the others have no versions here
    """

    def __init__(self, source: SyntheticRows, model: ModelConfig, day: Partition, concerned: set[tuple[str, Partition]]) -> None:
        self._source, self._model, self._day, self._concerned = source, model, day, concerned
        self._contents: dict[tuple[str, Partition, int], pd.DataFrame] = {}

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

    def content(self, version: PartitionVersion) -> pd.DataFrame:
        """The rows of a new version.

        :param version: a record that `versions` gave
        :returns: its rows, as they come from the storage
        """
        return self._contents[version.dataset, version.partition, version.version]

    def _replacements(self, original: PartitionVersion) -> list[tuple[pd.DataFrame, dt.datetime]]:
        """The contents that supersede one another, and from when on they are known."""
        begins = self._model.moment(self._day)
        other = _thinned(self._source.frame(original.dataset, original.partition, OTHER_DRAW))
        if original.knowledge_time > begins:
            return [(other, original.knowledge_time)]
        replacements = []
        content = self._source.content(original)
        if original.knowledge_column is not None:
            content = self._with_other_later_rows(original, content, begins)
            replacements.append((content, original.knowledge_time))
        target = self._model.target
        keys = self._source.datasets[original.dataset].keys
        first, last = self._model.labels.partitions(self._day)
        if original.dataset == target.dataset and first <= original.partition <= last and target.column not in keys:
            labels = self._source.other_values(target.dataset, target.column, original.partition, OTHER_DRAW)
            altered = content.assign(**{target.column: labels}) if len(labels) == len(content) else content
            replacements.append((altered, original.knowledge_time))
        return [*replacements, (other, begins + AFTERWARDS)]

    def _with_other_later_rows(self, original: PartitionVersion, content: pd.DataFrame, begins: dt.datetime) -> pd.DataFrame:
        dataset = self._source.datasets[original.dataset]
        later = content[original.knowledge_column] > begins
        changed = content.copy()
        for column in dataset.column_names:
            if column not in {*dataset.keys, original.knowledge_column}:
                other = self._source.other_values(dataset.name, column, original.partition, OTHER_DRAW)
                changed[column] = changed[column].where(~later, other)
        return changed


def _thinned(frame: pd.DataFrame) -> pd.DataFrame:
    """Without every third row."""
    return frame[[place % 3 != 0 for place in range(len(frame))]].reset_index(drop=True)
