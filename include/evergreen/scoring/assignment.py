"""Which version of a roll-out serves a key: a stable hash says so, the same whenever the key is scored and however the share grows."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from include.evergreen.features.categories import as_categories

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BYTES = 8  # of the hash, of which a point in [0, 1) is made
BETWEEN, MISSING = "\x1f", "\x00"  # values of a key


def assigned(model: str, rollout: int, keys: pd.DataFrame, share: float) -> np.ndarray:
    """Tell of each row whether the version that is rolled out serves it.

    The point of a key is its SHA-256 with the model and the roll-out: another roll-out divides the keys anew, and a larger share holds all
    keys of a smaller one.

    :param model: name of the model
    :param rollout: the number of the roll-out
    :param keys: the columns that identify the rows; a value counts by what it says, and not by its type
    :param share: of the keys, from 0 to 1
    :returns: a mask of the rows
    """
    import numpy as np

    texts = [as_categories(keys[name]).fillna(MISSING).to_list() for name in keys.columns]
    start = hashlib.sha256(f"{model}{BETWEEN}{rollout}{BETWEEN}".encode())
    limit: float = share * 2.0 ** (8 * BYTES)

    def is_below(text: str) -> bool:
        own = start.copy()
        own.update(text.encode())
        return int.from_bytes(own.digest()[:BYTES], "big") < limit

    return np.fromiter((is_below(BETWEEN.join(values)) for values in zip(*texts, strict=True)), dtype=bool, count=len(keys))
