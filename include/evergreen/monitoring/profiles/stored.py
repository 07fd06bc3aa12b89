"""Profiles as bytes: a head in JSON, and numpy's own format of the numbers, compressed. The head says of which version the format is."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from include.evergreen.foundation.errors import DataError
from include.evergreen.monitoring.profiles.columns import CategoryColumn, Column, NumericColumn
from include.evergreen.monitoring.profiles.layout import Bins, Cells
from include.evergreen.monitoring.profiles.profile import Profile

VERSION = 1
NUMERIC = ("counts", "sums", "squares", "missing", "infinite", "distinct", "least", "greatest")
CATEGORICAL = ("counts", "distinct")


def to_bytes(profile: Profile) -> bytes:
    """Write a profile.

    :param profile: of any partitions
    :returns: what `from_bytes` reads
    """
    described = []
    whole: list[np.ndarray] = []
    real: list[np.ndarray] = []
    for name, column in profile.columns.items():
        if isinstance(column, NumericColumn):
            described.append({"name": name, "origin": column.bins.origin, "edges": len(column.bins.edges)})
            parts = [column.bins.edges, *(getattr(column, part) for part in NUMERIC)]
        else:
            described.append({"name": name, "heavy": column.cells.heavy, "known": column.cells.known, "unseen": column.unseen})
            parts = [getattr(column, part) for part in CATEGORICAL]
        for values in parts:
            (whole if values.dtype.kind in "iu" else real).append(values.ravel())
    head = json.dumps({"version": VERSION, "partitions": profile.partitions, "columns": described})
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        head=np.frombuffer(head.encode(), np.uint8),
        whole=np.concatenate([np.zeros(0, np.int64), *whole]),
        real=np.concatenate([np.zeros(0), *real]),
    )
    return packed.getvalue()


def from_bytes(content: bytes, subject: str) -> Profile:
    """Read a profile.

    :param content: as `to_bytes` gave it
    :param subject: what errors call it
    :returns: the profile
    :raises DataError: when it is damaged, or of a format that this release does not know
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            head = json.loads(stored["head"].tobytes())
            version = head["version"]
            if version == VERSION:
                return _Reader(len(head["partitions"]), {kind: stored[kind] for kind in ("whole", "real")}).profile(head)
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"{subject} is damaged: {error}. Monitor its partition again to make it anew.") from error
    raise DataError(f"{subject} has the format {version!r}, and this release reads {VERSION}. Monitor its partition again to make it anew.")


@dataclass
class _Reader:
    """Takes columns off the numbers, in the order in which they were written."""

    partitions: int
    left: dict[str, np.ndarray]

    def profile(self, head: dict[str, Any]) -> Profile:
        return Profile(tuple(head["partitions"]), {each["name"]: self._column(each) for each in head["columns"]})

    def _column(self, described: dict[str, Any]) -> Column:
        if "edges" in described:
            bins = Bins(self._take("real", described["edges"]), described["origin"])
            return NumericColumn(bins, *(self._part(part, bins.count) for part in NUMERIC))
        cells = Cells(tuple(described["heavy"]), tuple(described["known"]))
        return CategoryColumn(cells, self._part("counts", cells.count), self._part("distinct", 1), tuple(described["unseen"]))

    def _part(self, name: str, width: int) -> np.ndarray:
        kind = "real" if name in {"sums", "squares", "least", "greatest"} else "whole"
        return self._take(kind, self.partitions, width) if name in {"counts", "sums"} else self._take(kind, self.partitions)

    def _take(self, kind: str, *shape: int) -> np.ndarray:
        size = int(np.prod(shape))
        taken, self.left[kind] = np.split(self.left[kind], [size])
        return taken.reshape(shape)
