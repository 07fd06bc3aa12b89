"""The correlation check: whether two columns correlate as they did in a reference period."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.config import DatasetConfig
from include.evergreen.config.datasets import Correlation
from include.evergreen.data.partitions import current_partitions
from include.evergreen.data.validation.checks import PERSONAL, CheckResult, Status
from include.evergreen.data.validation.rows import Delivered, RawRows
from include.evergreen.state import storage

if TYPE_CHECKING:
    import pyarrow as pa

FEWEST_ROWS = 3


@dataclass(frozen=True)
class Moments:
    """Of pairs of numbers: how many, their means, and the sums of squares and of products of their distances from these.

    They add up over parts of the rows by the pairwise update of Chan, Golub and LeVeque, "Updating Formulae and a Pairwise
    Algorithm for Computing Sample Variances" (1979).
    """

    rows: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    squares_x: float = 0.0
    squares_y: float = 0.0
    products: float = 0.0

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> Moments:
        """Compute the moments of pairs of numbers, without those pairs of which one is missing or not finite.

        :param x: the first number of each pair; NaN is a missing one
        :param y: the second ones, in the same order
        :returns: the moments of what is left; all of them 0 when nothing is
        """
        both = np.isfinite(x) & np.isfinite(y)
        x, y = x[both], y[both]
        if not len(x):
            return cls()
        mean_x, mean_y = float(x.mean()), float(y.mean())
        dx, dy = x - mean_x, y - mean_y
        return cls(len(x), mean_x, mean_y, float(dx @ dx), float(dy @ dy), float(dx @ dy))

    def __add__(self, other: Moments) -> Moments:
        """Add up moments without the loss of digits that plain sums of squares have.

        :param other: of other pairs
        :returns: the moments of the pairs of both
        """
        if not self.rows or not other.rows:
            return self if self.rows else other
        rows = self.rows + other.rows
        dx, dy = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        weight = self.rows * other.rows / rows
        return Moments(
            rows,
            self.mean_x + dx * other.rows / rows,
            self.mean_y + dy * other.rows / rows,
            self.squares_x + other.squares_x + dx * dx * weight,
            self.squares_y + other.squares_y + dy * dy * weight,
            self.products + other.products + dx * dy * weight,
        )

    @property
    def correlation(self) -> float | None:
        """Pearson's; None with too few rows, or where a column does not vary."""
        if self.rows < FEWEST_ROWS or not self.squares_x > 0 or not self.squares_y > 0:
            return None
        correlation = self.products / math.sqrt(self.squares_x) / math.sqrt(self.squares_y)
        return min(1.0, max(-1.0, correlation)) if math.isfinite(correlation) else None


def correlation_check(
    dataset: DatasetConfig, correlation: Correlation, raw: RawRows, delivered: Delivered, failing: np.ndarray
) -> CheckResult:
    """Compare the correlation of two columns with the one that they had in the declared reference period.

    :param dataset: whose partition it is; figures about its personal columns are not shown
    :param correlation: the columns, the reference period, and how far the correlation may be from the one in it
    :param raw: the partition's rows
    :param delivered: what else is known of the partition
    :param failing: the sorted positions of the rows that other checks refuse, which do not count
    :returns: the result; not evaluated for a partition of the reference period itself, when none of it is ingested, or when
        either correlation does not exist
    """
    arguments = correlation.model_dump(mode="json", exclude={"on_fail"})

    def result(status: Status, message: str) -> CheckResult:
        return CheckResult("correlation", arguments, correlation.on_fail, status, observed=message)

    x, y = correlation.columns
    first, last = dataset.grain.on(correlation.first), dataset.grain.on(correlation.last)
    if first <= delivered.partition <= last:
        return result("not_evaluated", "the partition belongs to the reference period")
    versions = current_partitions(dataset.name, first, last)
    if not versions:
        return result("not_evaluated", f"no partition from {first} to {last} is ingested")
    usual = sum((Moments.of(*_numbers(storage.read_table(version.path, [x, y]), x, y)) for version in versions), Moments())
    now = sum(_moments(raw, x, y, failing), Moments())
    if usual.correlation is None or now.correlation is None:
        where = "in the reference period" if usual.correlation is None else "here"
        return result("not_evaluated", f"{x} and {y} have no correlation {where}: fewer than {FEWEST_ROWS} rows, or one does not vary")
    difference = abs(now.correlation - usual.correlation)
    personal = dataset.personal_columns.intersection(correlation.columns)
    message = (
        PERSONAL if personal else f"{now.correlation:.3f}; in the reference period ({len(versions)} partitions) {usual.correlation:.3f}"
    )
    return result("passed" if difference <= correlation.max_difference else "failed", message)


def _moments(raw: RawRows, x: str, y: str, failing: np.ndarray) -> Iterator[Moments]:
    for first, table in raw.tables([x, y]):
        numbers = _numbers(table, x, y)
        for column in numbers:
            column[failing[slice(*np.searchsorted(failing, [first, first + table.num_rows]))] - first] = np.nan
        yield Moments.of(*numbers)


def _numbers(table: pa.Table, x: str, y: str) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow as pa

    def floats(name: str) -> np.ndarray:
        column = table.column(name)
        plain = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
        return np.array(plain.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)

    return floats(x), floats(y)
