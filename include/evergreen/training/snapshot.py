"""The record of a snapshot: the exact partitions that a training run read. `take_snapshot` makes it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.evergreen.config import ModelConfig
from include.evergreen.data.partitions import PartitionVersion
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import Span
from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import snapshots

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Snapshot:
    """What a training run as of ``as_of`` reads; ``digest`` covers every member's content and the frame they give."""

    digest: str
    model: str
    as_of: Partition
    window: Span
    rows: int
    members: dict[str, Any]
    frame_path: str

    def frame(self) -> pd.DataFrame:
        """Read the training frame. Raises `DataError` when it is not in the storage, or damaged.

        :returns: ``partition`` (text), the declared features, ``target``, the rows' keys (``key:NAME``); oldest day first
        """
        return storage.read_frame(self.frame_path)


def find_snapshot(digest: str) -> Snapshot:
    """Look up a snapshot that must be there.

    :param digest: the snapshot's whole digest, in hex
    :returns: the snapshot as it was recorded
    :raises DataError: when no snapshot with this digest is recorded
    """
    with reading() as connection:
        row = connection.execute(snapshots.select().where(snapshots.c.digest == digest)).first()
    if row is None:
        raise DataError(f"No snapshot {digest!r} is recorded. Run the training from its first task.")
    return Snapshot(row.digest, row.model, row.as_of, window_of(row), row.rows, row.members, row.frame_path)


def window_of(row: sa.Row[Any]) -> Span:
    """Read the window of a recorded snapshot.

    :param row: of the table ``snapshots``
    :returns: the window
    """
    return Span.parse(row.window) if row.window else Span(row.window_days, "day")


def recorded_window(window: Span) -> dict[str, Any]:
    """Say a window as the parts of a snapshot do, whose digest is the snapshot's.

    :param window: of the snapshot
    :returns: ``window_days``, a number, where it is said in days; else ``window``, a text
    """
    return {"window_days": window.amount} if window.unit == "day" else {"window": str(window)}


class SnapshotCache(PartitionCache):
    """Sees what a snapshot's training saw: its members, and of days of which it read nothing, the versions of that time.

    What was known when, too, is taken as it was said then, whatever was corrected since.

    :param snapshot: a recorded one
    :param model: whose training it is of, which knows the grains of what it reads
    """

    def __init__(self, snapshot: Snapshot, model: ModelConfig) -> None:
        with reading() as connection:
            taken_at = connection.execute(sa.select(snapshots.c.recorded_at).where(snapshots.c.digest == snapshot.digest)).scalar_one()
        super().__init__(snapshot.as_of, said_at=taken_at, model=model)
        self._taken_at: dt.datetime = taken_at
        places = [name.split("/") for name in snapshot.members]
        self._days = {(dataset, day) for dataset, day, _ in places}
        self._members = {(dataset, day, int(number.removeprefix("v"))) for dataset, day, number in places}

    def _recorded(self, dataset: str, first: Partition, last: Partition) -> list[PartitionVersion]:
        return [version for version in super()._recorded(dataset, first, last) if self._was_seen(version)]

    def _was_seen(self, version: PartitionVersion) -> bool:
        day = str(version.partition)
        if (version.dataset, day) in self._days:
            return (version.dataset, day, version.version) in self._members
        return version.recorded_at <= self._taken_at


def parts_path(model: str, digest: str) -> str:
    """Say where the JSON document lies whose SHA-256 a snapshot's digest is.

    It holds what was asked, the members' digests, the frame's, and features.py.

    :param model: name of the model
    :param digest: the snapshot's whole digest, in hex
    :returns: the path in the storage
    """
    return f"training/{model}/{digest[:16]}.json"


def compute_spans(digest: str, members: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of `snapshot_spans` for a snapshot: what it read of each dataset, from the first partition to the last.

    :param digest: the snapshot's whole digest, in hex
    :param members: the names of what it read, as ``dataset/day/vN``
    :returns: one row for each dataset, in the order of their names
    """
    days: defaultdict[str, list[Partition]] = defaultdict(list)
    for name in members:
        dataset, day, *_ = name.split("/")
        days[dataset].append(Partition(day))
    return [{"snapshot_digest": digest, "dataset": name, "first": min(read), "last": max(read)} for name, read in sorted(days.items())]
