"""Finds the rows that a model's file holds: neighbours, support vectors, what a kernel compares with. An erasure does not reach them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final
from zipfile import ZipFile

if TYPE_CHECKING:
    import numpy as np

LEAST_VALUES: Final = 2  # of a single column: one number may be there by chance


def holds_rows(file: bytes, rows: np.ndarray) -> bool:
    """Whether a model's file holds rows that its estimator was fitted on, whatever keeps them.

    :param file: as `stored` gives it
    :param rows: the matrix that the estimator was fitted on, whose rows differ from each other
    :returns: whether an array of the file has one of these rows; of a single column, `LEAST_VALUES` of its values
    """
    import numpy as np

    columns = rows.shape[1]
    known = _as_bytes(rows)
    with ZipFile(io.BytesIO(file)) as archive:
        for name in archive.namelist():
            if not name.endswith(".npy"):
                continue
            array = np.load(io.BytesIO(archive.read(name)))
            if columns == 1 and array.ndim == 1:
                array = array.reshape(-1, 1)
            is_like_them = array.ndim == 2 and array.shape[1] == columns and array.dtype.kind == "f"
            if is_like_them and len(_as_bytes(array) & known) >= (LEAST_VALUES if columns == 1 else 1):
                return True
    return False


def _as_bytes(rows: np.ndarray) -> set[bytes]:
    """Each row, in single precision, to which some estimators round."""
    import numpy as np

    return {row.tobytes() for row in np.ascontiguousarray(rows, dtype="float32")}
