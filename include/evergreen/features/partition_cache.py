"""The cache that features, labels and trainings read partitions through: each is read once, and nothing later than was known is seen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from include.evergreen.config import ModelConfig
from include.evergreen.data.partitions import PartitionVersion, known_versions, read_partition
from include.evergreen.data.partitions.files import GROUP_ROWS
from include.evergreen.data.partitions.store import read_partition_in_batches
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import EARLIEST, LATEST, Grain, Partition

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS = GROUP_ROWS  # of a partition whose features are computed at once: as many as are stored together
FIRST_LOOKED_AT = 32  # of the partitions of which the newest known one is looked for
HELD_BYTES = 512 * 1024**2  # of rows that a cache keeps in memory; two months of a large dataset, or of all small ones

AsOf = Partition | dt.datetime | None  # of a read: a partition's scoring moment, a moment, or all that the cache knows
Asked = tuple[str, str, tuple[str, ...] | None]  # of a window: dataset, span and columns


@dataclass(frozen=True)
class Window:
    """The rows of a window, by version, all of the same types; most of them are those of the following partition's window, too."""

    versions: tuple[PartitionVersion, ...]
    lengths: tuple[int, ...]  # in rows, of each version
    rows: pd.DataFrame

    def shared_with(self, versions: Sequence[PartitionVersion]) -> int:
        """Count the versions that a following window has of this one.

        :param versions: the following window's, oldest first
        :returns: how many of them, from the first on, are the last of this one
        """
        if versions[0] not in self.versions:
            return 0
        shared = self.versions[self.versions.index(versions[0]) :]
        return len(shared) if tuple(versions[: len(shared)]) == shared else 0

    def begin(self, version: PartitionVersion) -> int:
        """Find where the rows of a version begin.

        :param version: one of the window's
        :returns: the place of its first row
        """
        return sum(self.lengths[: self.versions.index(version)])


class PartitionCache:
    """The partitions that one process has read, and which versions they were.

    ``as_of`` bounds everything: no version, and no row, with a later knowledge time is seen through it. It reads the
    columns that are asked for, each of them once, as long as `HELD_BYTES` hold what a training goes back to.

    ``until`` is the moment of ``as_of``.

    :param as_of: the partition of the model at whose beginning a version or a row must have been known
    :param said_at: when it was said what was known: later corrections of knowledge times do not count; None: they all do
    :param model: for which it is read, and which knows the grains of its datasets and its own
    :param is_scored: whether ``as_of`` is scored, so that its scoring moment counts, and not its beginning
    """

    def __init__(self, as_of: Partition, said_at: dt.datetime | None = None, *, model: ModelConfig, is_scored: bool = False) -> None:
        self.as_of = as_of
        self._moment: Callable[[Partition], dt.datetime] = model.moment
        self.until = self._moment(as_of) if is_scored else model.grain.start(as_of)
        self._grain_of: Callable[[str], Grain] = model.grain_of
        self.said_at = said_at
        self.read: dict[tuple[str, Partition, int], PartitionVersion] = {}
        self.left_out: dict[tuple[str, Partition, int, AsOf], int] = {}  # rows that a partition did not know yet
        self.asked: dict[str, list[str] | None] = {}  # the columns of each dataset that were ever asked for; None: all
        self._versions: dict[str, dict[Partition, list[PartitionVersion]]] = {}
        self._looked_up: dict[str, tuple[int, int]] = {}  # of each dataset, the first and last partition, as ordinals of their days
        self._held: dict[tuple[str, str], pd.DataFrame] = {}  # by dataset and path, the one that was used last at the end
        self._sizes: dict[tuple[str, str], int] = {}  # of what is held, in bytes
        self._held_bytes = 0
        self._whole: set[tuple[str, str]] = set()  # of which all columns are held
        self.windows: dict[Asked, Window] = {}  # the last of each kind that was read

    def known(self, dataset: str, as_of: AsOf, first: Partition, last: Partition) -> list[PartitionVersion]:
        """The newest version of each partition that was known as of a day.

        :param dataset: name of the dataset
        :param as_of: the partition of the model at whose scoring moment a version must have been known, or a moment; the cache's own
            ``until``, when that is earlier, and for None
        :param first: the first partition, included
        :param last: the last partition, included
        :returns: one version for each partition that has one, oldest partition first
        """
        limit = self._limit(as_of)
        versions = self._find_versions(dataset, first, last)
        partitions = self._grain_of(dataset).between(first, last)
        known = ([version for version in versions.get(day, []) if version.knowledge_time <= limit] for day in partitions)
        return [of_day[-1] for of_day in known if of_day]

    def newest(self, dataset: str, as_of: AsOf, first: Partition, last: Partition) -> PartitionVersion | None:
        """The newest partition of some that was known as of a day, as `known` knows it; it looks back no further than it must.

        :param dataset: name of the dataset
        :param as_of: as `known` takes it
        :param first: the first partition, included
        :param last: the last partition, included
        :returns: its version; None when none was known
        """
        grain, lot = self._grain_of(dataset), FIRST_LOOKED_AT
        while last >= first:
            begin = max(first, grain.shift(last, 1 - lot))
            if known := self.known(dataset, as_of, begin, last):
                return known[-1]
            last, lot = grain.shift(begin, -1), 2 * lot
        return None

    def frame(self, version: PartitionVersion, as_of: AsOf, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of a version that were known as of a day.

        Raises `ConfigError` when it has no such column, `DataError` when its file cannot be read.

        :param version: one that `known` gave; the cache notes that it was read
        :param as_of: the partition of the model at whose scoring moment a row must have been known, or a moment, where rows have a
            knowledge time of their own; None: the cache's ``until``
        :param columns: the columns to read, in this order; None: all
        :returns: a copy, which the caller may change
        """
        return self.shown(version, as_of, columns).copy()

    def shown(self, version: PartitionVersion, as_of: AsOf, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows that `frame` gives, for whoever copies them anyway. Raises what it does.

        :param version: as `frame` takes it
        :param as_of: as `frame` takes it
        :param columns: as `frame` takes them
        :returns: what may be the cache's own, and not to be changed
        """
        needed = None if columns is None else list(dict.fromkeys([*columns, *filter(None, [version.knowledge_column])]))
        held = self._content(version, needed)
        self.read[version.dataset, version.partition, version.version] = version
        if version.knowledge_column is not None:
            known = held[held[version.knowledge_column] <= self._limit(as_of)].reset_index(drop=True)
            self.left_out[version.dataset, version.partition, version.version, as_of] = len(held) - len(known)
            held = known
        return held if columns is None or list(columns) == list(held.columns) else held[list(columns)]

    def batches(self, version: PartitionVersion, as_of: AsOf) -> Iterator[pd.DataFrame]:
        """The rows that `frame` gives, `BATCH_ROWS` at a time: of a partition that has more, one batch is in memory.

        Raises `DataError` when its file cannot be read.

        :param version: one that `known` gave; the cache notes that it was read
        :param as_of: as `frame` takes it
        :yields: all columns of the next rows, with the index that they have in the whole; once, if there are none
        """
        if version.rows <= BATCH_ROWS:
            yield self.frame(version, as_of)
            return
        self.read[version.dataset, version.partition, version.version] = version
        given = late = 0
        for batch in read_partition_in_batches(version, BATCH_ROWS):
            rows = batch if version.knowledge_column is None else batch[batch[version.knowledge_column] <= self._limit(as_of)]
            late += len(batch) - len(rows)
            is_last = given + late == version.rows
            if len(rows) or (is_last and not given):
                given += len(rows)
                yield rows.set_axis(range(given - len(rows), given), axis="index")
        if version.knowledge_column is not None:
            self.left_out[version.dataset, version.partition, version.version, as_of] = late

    def note_read(self, versions: Iterable[PartitionVersion]) -> None:
        """Note that versions were read, whether or not any of their rows decided.

        :param versions: those that `known` gave
        """
        self.read.update({(version.dataset, version.partition, version.version): version for version in versions})

    def versions(self, dataset: str, first: Partition, last: Partition) -> dict[Partition, list[PartitionVersion]]:
        """All versions that ``until`` allows: which of them was known when, their knowledge times say.

        :param dataset: name of the dataset
        :param first: the first partition, included
        :param last: the last partition, included
        :returns: by partition, oldest first, the versions in the order in which they supersede one another
        """
        found = self._find_versions(dataset, first, last)
        return {partition: found[partition] for partition in sorted(found) if first <= partition <= last}

    def whole(self, version: PartitionVersion, columns: Sequence[str]) -> pd.DataFrame:
        """All rows of a version, those that were known later than others included. Raises what `frame` raises.

        :param version: one that `versions` gave; the cache notes that it was read
        :param columns: the columns to read, in this order
        :returns: what may be the cache's own, and not to be changed
        """
        held = self._content(version, list(columns))
        self.note_read([version])
        return held[list(columns)]

    def _limit(self, as_of: AsOf) -> dt.datetime:
        if as_of is None:
            return self.until
        return min(as_of if isinstance(as_of, dt.datetime) else self._moment(as_of), self.until)

    def _content(self, version: PartitionVersion, columns: list[str] | None) -> pd.DataFrame:
        """All rows of the version, with ``columns`` among its columns."""
        import pandas as pd

        key = (version.dataset, version.path)
        asked = self._asked_with(version.dataset, columns)
        before = self._held.get(key)
        is_whole = key in self._whole
        if before is None or (asked is None and not is_whole):
            held, is_whole = self._read(version, asked), asked is None
        elif not is_whole and (missing := [name for name in asked or [] if name not in before]):
            held = pd.concat([before, self._read(version, missing)], axis=1)
        else:
            held = before
        if unknown := [name for name in columns or [] if name not in held]:
            raise ConfigError(
                f"{version.dataset} {version.partition} (version {version.version}) has no column {unknown[0]!r}; "
                f"it has: {', '.join(self._read(version, None).columns)}. Read one of these, or ingest it again if the column is new."
            )
        size = self._sizes.get(key, 0) if held is before else int(held.memory_usage(deep=True).sum())
        # all that may raise is done: from here on the cache changes, as a whole
        self.asked[version.dataset] = asked
        if is_whole:
            self._whole.add(key)
        self._held_bytes += size - self._sizes.get(key, 0)
        self._sizes[key] = size
        self._held.pop(key, None)
        self._held[key] = held
        self._forget_what_is_too_much()
        return held

    def _asked_with(self, dataset: str, columns: list[str] | None) -> list[str] | None:
        """What to read of ``dataset`` from now on: what was asked of one of its days will be asked of the others."""
        before = self.asked.get(dataset, [])
        return None if before is None or columns is None else list(dict.fromkeys([*before, *columns]))

    def _forget_what_is_too_much(self) -> None:
        while len(self._held) > 1 and self._held_bytes > HELD_BYTES:
            longest_unused = next(iter(self._held))
            del self._held[longest_unused]
            self._held_bytes -= self._sizes.pop(longest_unused)
            self._whole.discard(longest_unused)

    def _find_versions(self, dataset: str, first: Partition, last: Partition) -> dict[Partition, list[PartitionVersion]]:
        """All versions that ``as_of`` allows, by partition, older ones first: an earlier day may not know the newest yet."""
        versions = self._versions.setdefault(dataset, {})
        grain = self._grain_of(dataset)
        spans, looked_up = self._to_look_up(dataset, grain.number(first), grain.number(last))
        recorded = [self._recorded(dataset, grain.numbered(begin), grain.numbered(end)) for begin, end in spans]
        for version in chain.from_iterable(recorded):
            versions.setdefault(version.partition, []).append(version)
        self._looked_up[dataset] = looked_up
        return versions

    def _to_look_up(self, dataset: str, first: int, last: int) -> tuple[list[tuple[int, int]], tuple[int, int]]:
        """What of these partitions was not looked up yet, and what will have been when it is.

        As much more with it as was before, so that a training, which goes through its days one by one, asks seldom, and nobody asks
        for years.
        """
        if dataset not in self._looked_up:
            return [(first, last)], (first, last)
        begin, end = self._looked_up[dataset]
        earliest, latest = (self._grain_of(dataset).number(key) for key in (EARLIEST, LATEST))
        more = end - begin + 1
        new_begin = begin if first >= begin else min(first, max(begin - more, earliest))
        new_end = end if last <= end else max(last, min(end + more, latest))
        spans = [span for span in ((new_begin, begin - 1), (end + 1, new_end)) if span[0] <= span[1]]
        return spans, (new_begin, new_end)

    def _recorded(self, dataset: str, first: Partition, last: Partition) -> list[PartitionVersion]:
        return known_versions(dataset, as_of=self.until, first=first, last=last, said_at=self.said_at)

    def _read(self, version: PartitionVersion, columns: list[str] | None) -> pd.DataFrame:
        return read_partition(version, columns)
