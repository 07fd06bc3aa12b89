"""Builds a training frame: the labelled rows of the days before as_of, or a stable draw of as many as the training may have."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import FeatureCode, labelled_frame
from include.evergreen.features.columns import KEY, PARTITION, TARGET
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import Span

if TYPE_CHECKING:
    import pandas as pd

SLACK = 1.25  # of the rows that are kept, so many are held before the surplus goes


@dataclass(frozen=True)
class TrainingFrame:
    """The labelled rows of ``days`` partitions that have any; ``found`` is how many there were before the draw."""

    rows: pd.DataFrame
    days: int
    found: int


def training_days(model: ModelConfig, as_of: Partition, window: Span) -> list[Partition]:
    """Name the partitions whose rows a training may read.

    :param model: whose partitions they are
    :param as_of: the partition before which the window ends
    :param window: how long it is
    :returns: the partitions of the window, oldest first
    """
    return model.grain.between(model.calendar.minus(as_of, window), model.grain.shift(as_of, -1))


def training_frame(
    catalog: Catalog,
    model: ModelConfig,
    days: Sequence[Partition],
    cache: PartitionCache,
    code: FeatureCode,
    *,
    progress: Callable[[int, int], None],
) -> TrainingFrame:
    """Compute the features and labels of some days, one day at a time; memory holds ``train.max_rows`` of them and one day.

    Raises what `labelled_frame` does.

    :param catalog: what is declared now
    :param model: the model, which declares features, target and ``train.max_rows``
    :param days: the partitions, oldest first
    :param cache: what the past is read through, which bounds what is known
    :param code: what computes the features
    :param progress: is told how many days are done, and of how many, before each and at the end
    :returns: the rows in the order of their days, with the columns of `labelled_frame`; none when no day has any
    """
    import pandas as pd

    draw, with_rows = Draw(model.train.max_rows, model.train.seed, by_label=model.task != "regression"), 0
    for done, day in enumerate(days):
        progress(done, len(days))
        frame = labelled_frame(catalog, model, day, cache, code)
        if frame is not None and len(frame):
            draw.add(frame)
            with_rows += 1
    progress(len(days), len(days))
    return TrainingFrame(pd.concat(draw.kept(), ignore_index=True) if with_rows else pd.DataFrame(), with_rows, draw.found)


@dataclass
class Draw:
    """At most ``most`` of the rows of many partitions, whichever of them are looked at again: the same share of each, and of each class.

    A row has a place among those of its partition and its label, by a hash of its keys and the seed. Places are spread evenly from 0 to 1,
    and the lowest are kept (a systematic draw of strata: Cochran, Sampling Techniques, 1977, chapters 5 and 8). It needs no count before.

    :param most: how many rows are kept; None: all
    :param seed: equal seeds draw equal rows
    :param by_label: whether each label is a stratum of its own, which a class label is and a number is not
    """

    most: int | None
    seed: int
    by_label: bool
    found: int = 0
    _frames: list[pd.DataFrame] = field(default_factory=list)
    _places: list[np.ndarray] = field(default_factory=list)

    def add(self, frame: pd.DataFrame) -> None:
        """Take rows into account.

        :param frame: all labelled rows of one partition
        """
        self.found += len(frame)
        self._frames.append(frame)
        if self.most is not None:
            self._places.append(self._places_of(frame))
            if sum(map(len, self._frames)) > SLACK * self.most:
                self._cut()

    def kept(self) -> list[pd.DataFrame]:
        """Take what was drawn.

        :returns: the rows that are kept, in the order in which they came
        """
        if self.most is not None and sum(map(len, self._frames)) > self.most:
            self._cut()
        return self._frames

    def _places_of(self, frame: pd.DataFrame) -> np.ndarray:
        from pandas.util import hash_pandas_object

        keys = [name for name in frame.columns if name.startswith(KEY)]
        hashed = frame[[PARTITION, *keys]] if keys else frame  # what tells rows apart: without keys, all that they hold
        hashes = hash_pandas_object(hashed, index=False, hash_key=f"{self.seed:016}").to_numpy()
        labels = frame[TARGET].to_numpy() if self.by_label else np.zeros(len(frame))
        places = np.empty(len(frame))
        for label in np.unique(labels):
            stratum = np.flatnonzero(labels == label)
            text = f"{self.seed}/{frame[PARTITION].iloc[0]}/{label}"
            first = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
            places[stratum[np.argsort(hashes[stratum], kind="stable")]] = (np.arange(len(stratum)) + first) / len(stratum)
        return places

    def _cut(self) -> None:
        assert self.most is not None
        places = np.concatenate(self._places)
        keep = np.zeros(len(places), dtype=bool)
        keep[np.argsort(places, kind="stable")[: self.most]] = True
        masks = np.split(keep, np.cumsum([len(part) for part in self._places])[:-1])
        self._frames = [frame[mask] for frame, mask in zip(self._frames, masks, strict=True)]
        self._places = [part[mask] for part, mask in zip(self._places, masks, strict=True)]
