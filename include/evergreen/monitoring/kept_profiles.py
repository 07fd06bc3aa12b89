"""Profiles kept in the storage, each beside the rows that it was made of: a version's reference, or the predictions of a day.

So no row is read twice for drift: a window is the merge of its days' profiles. One that is missing, damaged, of another format or of
other rows is made anew from them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from include.evergreen.foundation.digest import document_digest, frame_digest
from include.evergreen.foundation.errors import DataError
from include.evergreen.monitoring.drift import reference_profile
from include.evergreen.scoring.predictions import PredictionSet
from include.evergreen.state import storage

if TYPE_CHECKING:
    from include.evergreen.monitoring.profiles import Kind, Profile, StoredProfile

log = logging.getLogger(__name__)
PROFILE_SUFFIX = ".profile"
TARGET_SUFFIX = f".target{PROFILE_SUFFIX}"


def profiled_rows(path: str) -> str:
    """Name the file whose rows a profile is of.

    :param path: of any file in the storage
    :returns: the path of the rows beside which the profile lies; ``path`` itself, if it is of no profile
    """
    return path.removesuffix(TARGET_SUFFIX).removesuffix(PROFILE_SUFFIX)


@dataclass
class KeptProfiles:
    """The profiles of one version: of its reference, and of days that it scored. What had to be made is not kept before `keep`.

    :param kinds: the columns that are counted, in order, and of what kind each is
    :param reference_path: where the sample of what the version was trained on lies in the storage
    :param suffix: what a profile's name has after that of the file of its rows: so it lies beside them, and maintenance keeps it as long
    """

    kinds: Mapping[str, Kind]
    reference_path: str
    suffix: str = PROFILE_SUFFIX
    _made: dict[str, bytes] = field(default_factory=dict)

    @property
    def reference(self) -> Profile:
        """The reference's profile. Passes on `DataError` when it must be made, and its rows cannot be read."""
        return self._reference.profile

    @property
    def reference_digest(self) -> str:
        """The digest of the reference's rows."""
        return self._reference.made_of

    @cached_property
    def _reference(self) -> StoredProfile:
        import pyarrow as pa

        from include.evergreen.monitoring.profiles import StoredProfile, to_bytes

        path = f"{self.reference_path}{self.suffix}"
        kept = _kept(path)
        if kept is not None and list(kept.profile.kinds.items()) == list(self.kinds.items()):
            return kept
        rows = storage.read_frame(self.reference_path)
        table = pa.Table.from_pandas(rows, preserve_index=False)
        for name in self.kinds.keys() - set(table.column_names):
            table = table.append_column(name, pa.nulls(len(table)))
        made = StoredProfile(reference_profile(table, self.kinds), frame_digest(rows))
        self._made[path] = to_bytes(made)
        return made

    def window(self, days: list[PredictionSet]) -> Profile:
        """Merge the profiles of what was scored on some days. Passes on `DataError` where one must be made, and its rows cannot be read.

        :param days: what the version scored, at least one
        :returns: the profile of all of them, on the reference's bins and cells
        """
        from include.evergreen.monitoring.profiles import profile_batches

        def made(scored: PredictionSet) -> Profile:
            return profile_batches(self.reference, str(scored.partition), scored.batches(list(self.kinds)), scored.count())

        first, *others = (self.day(scored, partial(made, scored)) for scored in days)
        return first.merge(*others)

    def day(self, scored: PredictionSet, make: Callable[[], Profile], also_of: str = "") -> Profile:
        """Find the profile of a day, or make it.

        :param scored: the predictions beside which it lies
        :param make: counts the day on the reference's bins and cells; asked only where it must be, and its errors pass through
        :param also_of: the digest of what the rows are made of, besides the predictions
        :returns: the profile of one partition
        """
        from include.evergreen.monitoring.profiles import StoredProfile, to_bytes

        path, partition = f"{scored.path}{self.suffix}", str(scored.partition)
        made_of = {"partition": partition, "rows": scored.digest, "also": also_of, "reference": self.reference_digest}
        digest = document_digest({**made_of, "columns": list(self.kinds.items())})
        if kept := _kept(path, self.reference, digest):
            return kept.profile
        made = make()
        self._made[path] = to_bytes(StoredProfile(made, digest), self.reference)
        return made

    def keep(self) -> None:
        """Write what was made, each file whole or not at all.

        Call it inside the transaction that refuses stale reads: an erasure that begins has either stopped it, or finds what it wrote.
        """
        for path, content in self._made.items():
            storage.write_bytes(path, content)
        self._made.clear()


def _kept(path: str, *counted_on: Any) -> StoredProfile | None:
    from include.evergreen.monitoring.profiles import from_bytes

    try:
        content = storage.read_bytes(path)
    except DataError:  # it is not there
        return None
    try:
        return from_bytes(content, f"The profile {path}", *counted_on)
    except DataError as error:
        log.warning("%s", error)
        return None
