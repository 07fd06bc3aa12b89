"""The verdict on a window: which columns drifted, by an effect that matters and a p-value that is corrected for all comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from include.evergreen.monitoring.profiles import CategoryColumn, NumericColumn, Profile
from include.evergreen.monitoring.profiles.columns import Column
from include.evergreen.monitoring.verdicts import categories, measures, numbers
from include.evergreen.monitoring.verdicts.multivariate import MultivariateVerdict
from include.evergreen.monitoring.verdicts.numbers import Finding

LEVEL = 0.05  # of Benjamini and Hochberg: of the windows that did not drift, at most this share is said to have
LEAST_ROWS = 30  # of a window, below which nothing is said

State = Literal["drifted", "alike", "not enough rows", "no values"]


@dataclass(frozen=True)
class Limits:
    """From which effect on drift matters: a number's in deviations of the reference, that of shares as Jensen-Shannon distance."""

    numeric: float
    categorical: float


@dataclass(frozen=True)
class ColumnVerdict:
    """What is said of one column.

    ``effect`` is the one that decided: of a number, Wasserstein's distance in deviations of the reference; of a category, of a number of
    which the reference has one value alone, and of missing values, where ``aspect`` says so, Jensen and Shannon's distance. It is None
    where nothing could be measured. ``p_value`` is corrected for all comparisons of the window.
    """

    column: str
    state: State
    effect: float | None = None
    limit: float | None = None
    p_value: float | None = None
    aspect: str = "values"
    likeness: float = 0.0
    measures: dict[str, float] = field(default_factory=dict)
    new: dict[str, int] = field(default_factory=dict)
    vanished: list[str] = field(default_factory=list)

    @property
    def severity(self) -> float:
        """The effect as a multiple of what matters; 0 where none was measured."""
        return self.effect / self.limit if self.effect is not None and self.limit else 0.0


@dataclass(frozen=True)
class Verdict:
    """What is said of a window: ``columns`` in the order of the reference, and of all ``together``, where that was asked for.

    ``importances`` of columns, the greatest 1, rank those that drifted; empty where they are not known.
    """

    rows: int
    columns: dict[str, ColumnVerdict]
    together: MultivariateVerdict | None = None
    importances: Mapping[str, float] = field(default_factory=dict)

    def share(self, columns: Iterable[str]) -> float | None:
        """The share of some columns that drifted.

        :param columns: their names
        :returns: of those on which anything is said; None where nothing is said on any
        """
        states = [self.columns[name].state for name in columns if self.columns[name].effect is not None]
        return states.count("drifted") / len(states) if states else None

    @property
    def drifted(self) -> list[ColumnVerdict]:
        """The columns that drifted, in the order of `ranked`."""
        return [column for column in self.ranked if column.state == "drifted"]

    @property
    def ranked(self) -> list[ColumnVerdict]:
        """All columns, those that drifted first, and by `ranking`, the greatest first."""
        return sorted(self.columns.values(), key=self._rank)

    @property
    def ranking(self) -> str:
        """By what columns are ranked, where an effect is a multiple of what matters."""
        return "importance times effect" if self.importances else "effect"

    def _rank(self, column: ColumnVerdict) -> tuple[bool, float, float]:
        return column.state != "drifted", -column.severity * self.importances.get(column.column, 0.0), -column.severity


def judge(reference: Profile, current: Profile, limits: Limits) -> Verdict:
    """Judge a window.

    :param reference: the champion's, from `profile_reference`
    :param current: of the window's partitions, counted on that reference
    :param limits: from which effect on drift matters
    :returns: the verdict
    """
    if current.rows < LEAST_ROWS:
        return Verdict(current.rows, {name: ColumnVerdict(name, "not enough rows") for name in reference.columns})
    compared = {name: _compare(column, current.columns[name], limits) for name, column in reference.columns.items()}
    findings = [finding for findings, _, _ in compared.values() for finding in findings]
    corrected = iter(measures.adjusted([finding.p_value for finding in findings]))
    columns = {}
    for name, (found, figures, likeness) in compared.items():
        p_values = [next(corrected) for _ in found]
        columns[name] = _verdict(name, reference.columns[name], current.columns[name], found, p_values, figures, likeness)
    return Verdict(current.rows, columns)


Compared = tuple[list[Finding], dict[str, float], float]


def _compare(reference: Column, current: Column, limits: Limits) -> Compared:
    if isinstance(reference, CategoryColumn):
        assert isinstance(current, CategoryColumn)
        if reference.lost.sum() == reference.rows.sum() and current.lost.sum() == current.rows.sum():
            return [], {}, 0.0
        finding, figures, likeness = categories.compare_categories(reference, current, limits.categorical)
        return [finding], figures, likeness
    assert isinstance(current, NumericColumn)
    found, figures, likeness = [], {}, 0.0
    if reference.counts.sum() and current.counts.sum() >= LEAST_ROWS:
        constant = numbers.is_constant(reference)
        compare, limit = (numbers.compare_constant, limits.categorical) if constant else (numbers.compare_values, limits.numeric)
        finding, figures, likeness = compare(reference, current, limit)
        found.append(finding)
    lost = numbers.compare_lost(reference, current, limits.categorical)
    if lost and (reference.counts.sum() or current.counts.sum()):
        found.append(lost)
    return found, figures, likeness


def _verdict(
    name: str, reference: Column, current: Column, found: list[Finding], p_values: list[float], figures: dict[str, float], likeness: float
) -> ColumnVerdict:
    if not found:
        few = isinstance(current, NumericColumn) and current.counts.sum() > 0
        return ColumnVerdict(name, "not enough rows" if few else "no values")
    named: tuple[dict[str, int], list[str]] = ({}, [])
    if isinstance(reference, CategoryColumn) and isinstance(current, CategoryColumn):
        named = categories.new_categories(current), categories.vanished_categories(reference, current, likeness)
    told = [(p <= LEVEL and each.effect >= each.limit, each.effect / each.limit, each, p) for each, p in zip(found, p_values, strict=True)]
    is_drift, _, decisive, p_value = max(told, key=lambda item: item[:2])
    state: State = "drifted" if is_drift else "alike"
    return ColumnVerdict(
        name, state, decisive.effect, decisive.limit, p_value, decisive.aspect, likeness, figures, *named
    )  # fmt: skip
