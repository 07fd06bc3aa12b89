"""Profiles as bytes: the format's version, a digest of all that follows, a head in JSON, and numpy's own format of the numbers, compressed.

A partition's profile is stored without bins and cells: these are its reference's, which alone says what its counts are of.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from include.evergreen.foundation.errors import DataError
from include.evergreen.monitoring.profiles.columns import CategoryColumn, Column, NumericColumn
from include.evergreen.monitoring.profiles.layout import Bins, Cells
from include.evergreen.monitoring.profiles.profile import Profile
from include.evergreen.monitoring.profiles.sample import Sample

VERSION = 2
MAGIC = b"evergreen profile "
NUMERIC = ("counts", "sums", "squares", "missing", "infinite", "distinct", "least", "greatest")
CATEGORICAL = ("counts", "distinct")
ANEW = " Monitor its partition again to make it anew."


@dataclass(frozen=True)
class StoredProfile:
    """A profile and ``made_of``, the digest of what it was made from."""

    profile: Profile
    made_of: str


def to_bytes(stored: StoredProfile, reference: Profile | None = None) -> bytes:
    """Write a profile.

    :param stored: of any partitions
    :param reference: the profile on whose bins and cells it is counted, which `from_bytes` will be given; None: it has its own
    :returns: what `from_bytes` reads; the same for the same
    """
    described = []
    whole: list[np.ndarray] = []
    real: list[np.ndarray] = []
    for name, column in stored.profile.columns.items():
        layout, parts = _described(column) if reference is None else ({}, [])
        if isinstance(column, CategoryColumn):
            layout["unseen"] = column.unseen
        described.append({"name": name, **layout})
        parts += [getattr(column, part) for part in (NUMERIC if isinstance(column, NumericColumn) else CATEGORICAL)]
        for values in parts:
            (whole if values.dtype.kind in "iu" else real).append(values.ravel())
    head = json.dumps({"made_of": stored.made_of, "partitions": stored.profile.partitions, "columns": described})
    packed, sample = io.BytesIO(), stored.profile.sample
    np.savez_compressed(
        packed,
        codes=sample.codes,
        sizes=sample.sizes,
        head=np.frombuffer(head.encode(), np.uint8),
        whole=np.concatenate([np.zeros(0, np.int64), *whole]),
        real=np.concatenate([np.zeros(0), *real]),
    )
    content = packed.getvalue()
    return MAGIC + f"{VERSION} {hashlib.sha256(content).hexdigest()}\n".encode() + content


def from_bytes(content: bytes, subject: str, reference: Profile | None = None, made_of: str | None = None) -> StoredProfile:
    """Read a profile.

    :param content: as `to_bytes` gave it
    :param subject: what errors call it
    :param reference: as `to_bytes` was given it
    :param made_of: the digest that it must have been made of; needed with ``reference``, on whose bins it is counted then. None: any
    :returns: the profile
    :raises DataError: when it is damaged, of a format that this release does not know, or made of something else
    """
    line, _, packed = content.partition(b"\n")
    version, _, digest = line.removeprefix(MAGIC).decode("ascii", "replace").partition(" ")
    if not line.startswith(MAGIC) or not version.isdigit():
        raise DataError(f"{subject} is damaged: it does not begin as a profile does.{ANEW}")
    if int(version) != VERSION:
        raise DataError(f"{subject} has the format {version}, and this release reads {VERSION}.{ANEW}")
    if hashlib.sha256(packed).hexdigest() != digest:
        raise DataError(f"{subject} is damaged: its content is not what was written.{ANEW}")
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        head = json.loads(arrays["head"].tobytes())
        if made_of not in (None, head["made_of"]):
            raise DataError(f"{subject} was made of other rows, or counted on another reference.{ANEW}")
        reader = _Reader(len(head["partitions"]), {kind: arrays[kind] for kind in ("whole", "real")}, reference)
        columns = {each["name"]: reader.column(each) for each in head["columns"]}
        profile = Profile(tuple(head["partitions"]), columns, Sample(arrays["codes"], arrays["sizes"]))
    return StoredProfile(profile, head["made_of"])


def _described(column: Column) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Its bins or cells."""
    if isinstance(column, NumericColumn):
        return {"origin": column.bins.origin, "edges": len(column.bins.edges)}, [column.bins.edges]
    return {"heavy": column.cells.heavy, "known": column.cells.known}, []


@dataclass
class _Reader:
    """Takes columns off the numbers, in the order in which they were written."""

    partitions: int
    left: dict[str, np.ndarray]
    reference: Profile | None

    def column(self, described: dict[str, Any]) -> Column:
        layout = self._layout(described)
        if isinstance(layout, Bins):
            return NumericColumn(layout, *(self._part(part, layout.count) for part in NUMERIC))
        return CategoryColumn(layout, self._part("counts", layout.count), self._part("distinct", 1), tuple(described["unseen"]))

    def _layout(self, described: dict[str, Any]) -> Bins | Cells:
        if self.reference is not None:
            column = self.reference.columns[described["name"]]
            return column.bins if isinstance(column, NumericColumn) else column.cells
        if "edges" in described:
            return Bins(self._take("real", described["edges"]), described["origin"])
        return Cells(tuple(described["heavy"]), tuple(described["known"]))

    def _part(self, name: str, width: int) -> np.ndarray:
        kind = "real" if name in {"sums", "squares", "least", "greatest"} else "whole"
        return self._take(kind, self.partitions, width) if name in {"counts", "sums"} else self._take(kind, self.partitions)

    def _take(self, kind: str, *shape: int) -> np.ndarray:
        size, left = math.prod(shape), self.left[kind]
        self.left[kind] = left[size:]
        return left[:size].reshape(shape)
