"""Rows as numbers, for the models of an estimate: standardised features and prediction, their squares and their products.

Densities whose logarithms are quadratic (normal ones among them) have a log ratio that is linear in these columns, and so have losses
that are quadratic in the features. docs/decisions/estimated-performance.md has what was tried beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.monitoring.estimates.units import Units

if TYPE_CHECKING:
    import pandas as pd

MAX_CROSSED = 20  # columns whose products are taken: with more, these would be many more than the rows can tell apart
MAX_DEVIATIONS = 4.0  # beyond which a value is taken for that far
TRIMMED = 0.02  # on either side, before centre and scale are measured: no absurd value has a say
LEAST_SHARE = 0.01  # of the reference's rows, for a category of its own
MAX_CATEGORIES = 20


@dataclass(frozen=True)
class _Number:
    """Gives the standardised value, 0 where it is missing; and whether it is, where the reference has both."""

    name: str
    centre: float
    scale: float
    has_missing: bool

    @classmethod
    def of(cls, name: str, values: np.ndarray) -> _Number:
        present = values[np.isfinite(values)]
        has_missing = 0 < len(present) < len(values)
        if not len(present) or np.ptp(present) == 0:
            return cls(name, 0.0, 0.0, has_missing)
        low, high = np.quantile(present, [TRIMMED, 1 - TRIMMED])
        inner = present[(present >= low) & (present <= high)]
        if len(inner) == 0 or np.ptp(inner) == 0:
            inner = present
        return cls(name, float(inner.mean()), float(inner.std()), has_missing)

    @property
    def count(self) -> int:
        return int(self.scale > 0) + int(self.has_missing)

    def columns(self, values: np.ndarray) -> list[np.ndarray]:
        missing = ~np.isfinite(values)
        columns = []
        if self.scale > 0:
            deviations = (np.where(missing, self.centre, values) - self.centre) / self.scale
            columns.append(deviations.clip(-MAX_DEVIATIONS, MAX_DEVIATIONS))
        if self.has_missing:
            columns.append(missing.astype("float64"))
        return columns


@dataclass(frozen=True)
class _Category:
    """Says whether the value is each of the frequent ones; rare and new ones are none of them."""

    name: str
    known: tuple[str | None, ...]

    @classmethod
    def of(cls, name: str, values: pd.Series) -> _Category:
        shares = values.astype(object).where(values.notna(), None).value_counts(normalize=True, dropna=False)
        frequent = [category if isinstance(category, str) else None for category, share in shares.items() if share >= LEAST_SHARE]
        return cls(name, tuple(frequent[:MAX_CATEGORIES]) if len(shares) > 1 else ())

    def columns(self, values: pd.Series) -> list[np.ndarray]:
        return [(values.isna() if category is None else values.eq(category).fillna(False)).to_numpy("float64") for category in self.known]


class Design:
    """How rows become numbers, as a reference has it.

    :param features: of the reference
    :param predicted: of the reference: what is predicted, on a scale on which differences mean the same everywhere
    :param units: leaves out features that have one value on each of few days (`Units.are_values_of`); None: all count
    """

    def __init__(self, features: pd.DataFrame, predicted: np.ndarray, units: Units | None = None) -> None:
        self._numbers = [_Number.of(str(name), _values(features[name])) for name in features if _is_number(features[name])]
        self._categories = [_Category.of(str(name), features[name]) for name in features if not _is_number(features[name])]
        self._prediction = _Number.of("", predicted)
        base = self._base(features, predicted)
        is_kept = base.std(axis=0) > 0
        if units is not None:
            is_kept[self._prediction.count :] &= ~units.are_values_of(base)[self._prediction.count :]
        self._kept = np.flatnonzero(is_kept)
        self._is_indicator = ((base == 0) | (base == 1)).all(axis=0)[self._kept]

    def matrix(self, features: pd.DataFrame, predicted: np.ndarray) -> np.ndarray:
        """Write rows as numbers.

        :param features: of any rows, with the reference's columns
        :param predicted: as the reference's
        :returns: rows x columns; of wide rows squares without products
        """
        base = self._base(features, predicted)[:, self._kept]
        columns = base.shape[1]
        if columns <= MAX_CROSSED:
            first, second = np.triu_indices(columns)
            other = ~((first == second) & self._is_indicator[first])  # an indicator is its own square
            return np.concatenate([base, base[:, first[other]] * base[:, second[other]]], axis=1)
        return np.concatenate([base, base[:, ~self._is_indicator] ** 2], axis=1)

    def _base(self, features: pd.DataFrame, predicted: np.ndarray) -> np.ndarray:
        columns = self._prediction.columns(predicted)
        for number in self._numbers:
            columns += number.columns(_values(features[number.name]))
        for category in self._categories:
            columns += category.columns(features[category.name])
        return np.stack(columns, axis=1) if columns else np.empty((len(predicted), 0))


def _is_number(column: pd.Series) -> bool:
    return column.dtype.kind in "fiub"


def _values(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype="float64", na_value=np.nan)
