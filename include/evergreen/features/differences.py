"""Compares two computations of the same features, bit for bit, and describes the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from include.evergreen.foundation.grain import Partition

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Finding:
    """A promise that one feature breaks: on which day, for which row (the first), and how many rows besides."""

    model: str
    feature: str
    partition: Partition
    row: str
    before: object
    after: object
    rows: int
    promise: str
    advice: str
    path: Path

    @property
    def message(self) -> str:
        """The finding as a sentence for the team that owns the feature, with the advice and the file."""
        return (
            f"{self.model}: feature {self.feature!r} on {self.partition}: {self.promise}. {self.rows} rows differ, the first is "
            f"{self.row}: {self.before!r}, then {self.after!r}. {self.advice} ({self.path})"
        )


@dataclass(frozen=True)
class Comparison:
    """Whose features are compared, what they promise, and what to do when they break it."""

    model: str
    path: Path
    partition: Partition
    rows: pd.DataFrame
    keys: Sequence[str]
    promise: str
    advice: str


def differences(comparison: Comparison, before: pd.DataFrame, after: pd.DataFrame, *, tolerance: float = 0.0) -> list[Finding]:
    """Compare two computations of the same features, row for row by place.

    :param comparison: whose features they are, and what a difference means
    :param before: the one computation: one column a feature, one row for each of ``comparison.rows``
    :param after: the other computation, of the same rows in the same order
    :param tolerance: the relative difference that two numbers may have; 0: they are compared to the last bit
    :returns: one finding for each feature that differs
    """
    findings = []
    for feature, places in changed(before, after, tolerance=tolerance).items():
        place = int(places[0])
        findings.append(
            Finding(
                model=comparison.model,
                feature=feature,
                partition=comparison.partition,
                row=_row(comparison, place),
                before=_value(before, feature, place),
                after=_value(after, feature, place),
                rows=len(places),
                promise=comparison.promise,
                advice=comparison.advice,
                path=comparison.path,
            )
        )
    return findings


def changed(before: pd.DataFrame, after: pd.DataFrame, *, tolerance: float = 0.0) -> dict[str, np.ndarray]:
    """Find what differs between two frames, row for row by place; missing values equal each other.

    :param before: a frame of features, numbers as float64 and the rest as text
    :param after: a frame of the same columns and as many rows
    :param tolerance: as `differences` takes it
    :returns: for each column that differs, the places of the rows that do, counted from 0
    """
    places = {}
    numbers = [name for name, kind in before.dtypes.items() if kind == np.float64]  # all at once: there may be hundreds
    first, second = (np.ascontiguousarray(frame[numbers].to_numpy(dtype="float64")) for frame in (before, after))
    with np.errstate(invalid="ignore"):
        same = first.view(np.int64) == second.view(np.int64) if not tolerance else np.isclose(first, second, rtol=tolerance, atol=0)
    differing = dict(zip(numbers, ~(same | (np.isnan(first) & np.isnan(second))).T, strict=True))
    for name in before.columns:
        differs = differing.get(name)
        if differs is None:
            old, new = before[name], after[name]
            absent = old.isna().to_numpy() != new.isna().to_numpy()
            differs = absent | (old.fillna("").to_numpy(dtype=object) != new.fillna("").to_numpy(dtype=object))
        if differs.any():
            places[str(name)] = np.flatnonzero(differs)
    return places


def _row(comparison: Comparison, place: int) -> str:
    row = comparison.rows.iloc[place]
    return ", ".join(f"{key}={row[key]}" for key in comparison.keys) or f"row {place}"


def _value(frame: pd.DataFrame, feature: str, place: int) -> Any:
    value = frame[feature].iloc[place]
    return float(value) if isinstance(value, float) else None if value is None or value != value else str(value)  # noqa: PLR0124
