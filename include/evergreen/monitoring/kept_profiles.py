"""Profiles kept in the storage, each beside the rows that it was made of: a version's reference, or the predictions of a day.

So no row is read twice for drift: a window is the merge of its days' profiles. One that is missing, damaged, of another format or of
other rows is made anew from them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from include.evergreen.config import ModelConfig
from include.evergreen.foundation.digest import document_digest, frame_digest
from include.evergreen.foundation.errors import DataError
from include.evergreen.monitoring.drift import compared_kinds, reference_profile
from include.evergreen.scoring.predictions import PredictionSet
from include.evergreen.state import storage

if TYPE_CHECKING:
    from include.evergreen.monitoring.profiles import Profile, StoredProfile

log = logging.getLogger(__name__)
PROFILE_SUFFIX = ".profile"


def profile_path(rows: str) -> str:
    """Say where the profile of some rows lies: under the name of their file with an ending more, so that maintenance keeps it as long.

    :param rows: where the rows lie in the storage
    :returns: the path in the storage, whether a file is there or not
    """
    return f"{rows}{PROFILE_SUFFIX}"


@dataclass
class KeptProfiles:
    """The profiles of one version: of its reference, and of days that it scored. What had to be made is not kept before `keep`.

    :param model: as the version's recipe declares it
    :param reference_path: where the sample of what it was trained on lies in the storage
    """

    model: ModelConfig
    reference_path: str
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

        path = profile_path(self.reference_path)
        kept = _kept(path)
        if kept is not None and list(kept.profile.kinds.items()) == self._columns:
            return kept
        rows = storage.read_frame(self.reference_path)
        made = StoredProfile(reference_profile(self.model, pa.Table.from_pandas(rows, preserve_index=False)), frame_digest(rows))
        self._made[path] = to_bytes(made)
        return made

    def window(self, days: list[PredictionSet]) -> Profile:
        """Merge the profiles of some days. Passes on `DataError` where one must be made, and its rows cannot be read.

        :param days: what the version scored, at least one
        :returns: the profile of all of them, on the reference's bins and cells
        """
        first, *others = map(self._day, days)
        return first.merge(*others)

    def _day(self, scored: PredictionSet) -> Profile:
        from include.evergreen.monitoring.profiles import StoredProfile, profile_partition, to_bytes

        path, partition = profile_path(scored.path), str(scored.partition)
        made_of = document_digest(
            {"partition": partition, "rows": scored.digest, "reference": self.reference_digest, "columns": self._columns}
        )
        if kept := _kept(path, self.reference, made_of):
            return kept.profile
        made = profile_partition(self.reference, partition, storage.read_table(scored.path))
        self._made[path] = to_bytes(StoredProfile(made, made_of), self.reference)
        return made

    @property
    def _columns(self) -> list[tuple[str, str]]:
        return list(compared_kinds(self.model).items())

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
