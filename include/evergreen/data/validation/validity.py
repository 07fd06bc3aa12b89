"""Validity: whether the rows of a dimension that changes slowly contradict each other, so that at some moment two of them would hold."""

from __future__ import annotations

import numpy as np

from include.evergreen.config import DatasetConfig
from include.evergreen.config.datasets import Validity
from include.evergreen.data.validation.checks import EXAMPLES_SHOWN, CheckResult, shown
from include.evergreen.data.validation.rows import RawRows

HOLDS_ON = np.iinfo(np.int64).max
NO_GROUP = -1


def validity_checks(dataset: DatasetConfig, validity: Validity, raw: RawRows) -> list[CheckResult]:
    """Check that each row ends after it begins, and that of the rows with the same other keys no two hold at one moment.

    Which of two is right nobody can tell, so the partition stops. Holds the keys and times of all rows.

    :param dataset: whose rows they are; values of its personal columns are not shown
    :param validity: the columns that say from when to when a row holds
    :param raw: the partition's rows; one without a key or a beginning is not looked at
    :returns: the two results, always evaluated; none where each row ends when the next one begins
    """
    if validity.to is None:
        return []
    others = [name for name in dataset.keys if name != validity.from_]
    names = "validity_ends_after_it_begins", "validity_does_not_overlap"
    found = _contradicting(raw, others, validity.from_, validity.to)
    return [
        CheckResult(
            name,
            {"from": validity.from_, "to": validity.to},
            "error",
            "failed" if len(positions) else "passed",
            failed_rows=len(positions),
            examples=() if dataset.personal_columns.intersection(dataset.keys) else _examples(dataset, raw, positions),
        )
        for name, positions in zip(names, found, strict=True)
    ]


def _contradicting(raw: RawRows, others: list[str], valid_from: str, valid_to: str) -> tuple[np.ndarray, np.ndarray]:
    """The sorted positions of the rows that end before they begin, and of those that begin before one that began earlier has ended."""
    import pandas as pd

    frame = raw.frame([*others, valid_from, valid_to])
    numbers = frame.groupby(others, sort=False, dropna=True).ngroup().fillna(NO_GROUP) if others else pd.Series(0, index=frame.index)
    groups = numbers.mask(frame[valid_from].isna(), NO_GROUP).to_numpy(dtype=np.int64)
    begins, ends = (frame[name].to_numpy(dtype="datetime64[us]").astype(np.int64) for name in (valid_from, valid_to))
    ends = np.where(frame[valid_to].isna(), HOLDS_ON, ends)
    is_reversed = (groups != NO_GROUP) & (ends <= begins)
    order = np.lexsort((begins, groups))
    order = order[(groups[order] != NO_GROUP) & ~is_reversed[order]]
    latest_end = pd.Series(ends[order]).groupby(groups[order]).cummax().to_numpy()
    overlaps = (groups[order][1:] == groups[order][:-1]) & (begins[order][1:] < latest_end[:-1])
    return np.flatnonzero(is_reversed), np.sort(order[1:][overlaps])


def _examples(dataset: DatasetConfig, raw: RawRows, positions: np.ndarray) -> tuple[str, ...]:
    rows = raw.take(dataset.keys, positions[:EXAMPLES_SHOWN], declared_types=True)
    return tuple(shown(", ".join(f"{name}={value}" for name, value in row.items())) for row in rows.to_dict("records"))
