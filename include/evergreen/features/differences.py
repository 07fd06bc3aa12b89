"""Two answers to one question, compared to the last bit, and the difference in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Finding:
    """A promise that one feature breaks: on which day, for which row (the first), and how many rows besides."""

    model: str
    feature: str
    partition: dt.date
    row: str
    before: object
    after: object
    rows: int
    promise: str
    advice: str
    path: Path

    @property
    def words(self) -> str:
        return (
            f"{self.model}: feature {self.feature!r} on {self.partition}: {self.promise}. {self.rows} rows differ, the first is "
            f"{self.row}: {self.before!r}, then {self.after!r}. {self.advice} ({self.path})"
        )


@dataclass(frozen=True)
class Comparison:
    """Whose features are compared, what they promise, and what to do when they break it."""

    model: str
    path: Path
    partition: dt.date
    rows: pd.DataFrame
    keys: Sequence[str]
    promise: str
    advice: str


def differences(comparison: Comparison, before: pd.DataFrame, after: pd.DataFrame, *, tolerance: float = 0.0) -> list[Finding]:
    """One finding for each feature that differs; row for row by place, to the last bit unless a relative ``tolerance`` is given."""
    found = []
    for feature, places in changed(before, after, tolerance=tolerance).items():
        place = int(places[0])
        found.append(
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
    return found


def changed(before: pd.DataFrame, after: pd.DataFrame, *, tolerance: float = 0.0) -> dict[str, np.ndarray]:
    """Of each column that differs, the places of the rows that do; missing values equal each other."""
    found = {}
    for name in before.columns:
        old, new = before[name], after[name]
        absent = old.isna().to_numpy() != new.isna().to_numpy()
        if old.dtype == np.float64:
            first, second = old.to_numpy(), new.to_numpy()
            with np.errstate(invalid="ignore"):
                same = first.view(np.int64) == second.view(np.int64) if not tolerance else np.isclose(first, second, rtol=tolerance, atol=0)
            differs = absent | ~(same | np.isnan(first))
        else:
            differs = absent | (old.fillna("").to_numpy(dtype=object) != new.fillna("").to_numpy(dtype=object))
        if differs.any():
            found[str(name)] = np.flatnonzero(differs)
    return found


def _row(comparison: Comparison, place: int) -> str:
    row = comparison.rows.iloc[place]
    return ", ".join(f"{key}={row[key]}" for key in comparison.keys) or f"row {place}"


def _value(frame: pd.DataFrame, feature: str, place: int) -> Any:
    value = frame[feature].iloc[place]
    return float(value) if isinstance(value, float) else None if value is None or value != value else str(value)  # noqa: PLR0124
