"""Evaluates expectations with Great Expectations; finds and counts every row that fails a row-level expectation.

Its own results cap the rows that they list, so rows are taken from the expectation's condition instead, the very metric
that it counts with, and computed once for both. Only the columns that an expectation names are given to it. Where a
partition is larger than a chunk, what is judged row by row is counted by chunks, and Great Expectations gets the sums.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from include.evergreen.config import DatasetConfig
from include.evergreen.data.validation.checks import EXAMPLES_SHOWN, PERSONAL, CheckResult, Failure, shown
from include.evergreen.data.validation.expectations import BATCH, Declared, registered
from include.evergreen.data.validation.rows import CHUNK_ROWS, RawRows
from include.evergreen.data.validation.uniqueness import possible_duplicates
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.team_code import TEAM_ERRORS

if TYPE_CHECKING:
    import pandas as pd

FEW_ROWS = 20_000  # up to which copying columns costs less than asking once more
ROW_BY_ROW = frozenset(  # metrics of which each row's outcome depends on nothing but the row
    {
        "column_values.nonnull",
        "column_values.null",
        "column_values.between",
        "column_values.in_set",
        "column_values.not_in_set",
        "column_values.match_regex",
        "column_values.not_match_regex",
        "column_values.match_regex_list",
        "column_values.not_match_regex_list",
        "column_values.match_strftime_format",
        "column_values.match_json_schema",
        "column_values.json_parseable",
        "column_values.dateutil_parseable",
        "column_values.value_length.between",
        "column_values.value_length.equals",
        "column_pair_values.equal",
        "column_pair_values.a_greater_than_b",
        "column_pair_values.in_set",
        "multicolumn_sum.equal",
        "multicolumn_values.equal",
        "select_column_values.unique.within_record",
    }
)
UNIQUE = frozenset({"column_values.unique", "compound_columns.unique"})
OF_TYPES = frozenset({"column_values.of_type", "column_values.in_type_list", "table.column_types"})
OF_COLUMNS = frozenset({"table.columns", "table.column_types", "table.column_count"})
EXACT_IN_FLOATS = 2**53


@dataclass
class _Outcome:
    """What one expectation found: whether it holds, and the positions of all rows that fail it (None: it judges no rows)."""

    success: bool
    observed: str
    positions: np.ndarray | None


def evaluate(dataset: DatasetConfig, expectations: Sequence[Declared], raw: RawRows) -> tuple[list[CheckResult], list[Failure]]:
    """Evaluate expectations; raises `ConfigError` for one that cannot be computed on these columns.

    :param dataset: whose rows they are; values of its personal columns are not shown
    :param expectations: as `declared_expectations` gives them
    :param raw: the partition's rows
    :returns: a result for each expectation, in their order, and for each that quarantines and fails the rows that it refuses
    """
    checks: dict[int, CheckResult] = {}
    failures: dict[int, Failure] = {}
    for numbers in _groups(expectations, raw):
        group = [expectations[number] for number in numbers]
        with registered([declared.implementation for declared in group]):
            outcomes = _evaluate_group(dataset, group, raw)
        for number, declared, outcome in zip(numbers, group, outcomes, strict=True):
            checks[number] = _result(dataset, declared, outcome, raw)
            if checks[number].failed and declared.expectation.on_fail == "quarantine" and outcome.positions is not None:
                failures[number] = Failure(declared.label, outcome.positions)
    return [checks[number] for number in sorted(checks)], [failures[number] for number in sorted(failures)]


def _groups(expectations: Sequence[Declared], raw: RawRows) -> list[list[int]]:
    """The expectations' numbers, by what they can be given together."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, declared in enumerate(expectations):
        needs = declared.metrics.keys()
        together: tuple[Any, ...]
        if declared.custom or needs & OF_TYPES or needs <= OF_COLUMNS:
            together = (number,)  # a name may mean another class elsewhere; types must not depend on what is missing
        elif _compares_columns(declared):
            together = ("compared", *declared.columns)
        elif raw.rows <= FEW_ROWS:
            together = ()
        else:
            together = _given(declared, raw)
        groups.setdefault(together, []).append(number)
    return list(groups.values())


def _evaluate_group(dataset: DatasetConfig, group: list[Declared], raw: RawRows) -> list[_Outcome]:
    columns = [name for name in dataset.column_names if any(name in _given(declared, raw) for declared in group)]
    needs = set[str]().union(*(declared.metrics for declared in group))
    if needs <= OF_COLUMNS:
        return _Rows(dataset, raw.no_rows(dataset.column_names)).outcomes(group)
    if needs & OF_TYPES:
        return _Rows(dataset, raw.frame(columns, declared_types=True)).outcomes(group)
    if raw.rows <= CHUNK_ROWS:
        return _Rows(dataset, _fit(group, raw.frame(columns))).outcomes(group)
    return _evaluate_large(dataset, group, raw, columns)


def _given(declared: Declared, raw: RawRows) -> tuple[str, ...]:
    """The columns that it is given: to count rows, any column does."""
    return (raw.narrowest(declared.columns),) if declared.metrics.keys() == {"table.row_count"} else declared.columns


def _evaluate_large(dataset: DatasetConfig, group: list[Declared], raw: RawRows, columns: list[str]) -> list[_Outcome]:
    """In chunks what can be, and of what must be unique only the rows that may not be; all else one by one, to hold little at once."""
    outcomes: dict[int, _Outcome] = {}
    by_row = [number for number, declared in enumerate(group) if _is_row_by_row(declared)]
    if by_row:
        outcomes.update(zip(by_row, _evaluate_by_chunks(dataset, [group[number] for number in by_row], raw, columns), strict=True))
    for number, declared in enumerate(group):
        if number in outcomes:
            continue
        if declared.map_metric in UNIQUE and _whole_and_strict(declared) and not declared.custom:
            frame = raw.take(declared.columns, possible_duplicates(raw, declared.columns))
        else:
            frame = raw.frame(columns)
        outcomes[number] = _Rows(dataset, _fit([declared], frame)).outcomes([declared])[0]
    return [outcomes[number] for number in range(len(group))]


def _evaluate_by_chunks(dataset: DatasetConfig, group: list[Declared], raw: RawRows, columns: list[str]) -> list[_Outcome]:
    """Counts add up over chunks, and Great Expectations judges the sums."""
    sums: dict[Any, Any] = {}
    positions: list[list[np.ndarray]] = [[] for _ in group]
    rows = None
    for first, frame in raw.chunks(columns):
        rows = _Rows(dataset, _fit(group, frame))
        metrics = rows.metrics(group)
        for declared, parts in zip(group, positions, strict=True):
            parts.append(rows.failing(declared, metrics) + first)
        for name in {configuration.id for declared in group for configuration in declared.metrics.values()}:
            sums[name] = sums[name] + metrics[name] if name in sums else metrics[name]
    assert rows is not None
    return [_Outcome(*rows.verdict(declared, sums), np.concatenate(parts)) for declared, parts in zip(group, positions, strict=True)]


class _Rows:
    """Rows in memory, as one batch of Great Expectations: without a context, which would take a second to set up.

    :param dataset: whose rows they are, for errors
    :param frame: the rows; `failing` names them by its index
    """

    def __init__(self, dataset: DatasetConfig, frame: pd.DataFrame) -> None:
        from great_expectations.execution_engine import PandasExecutionEngine

        self._dataset = dataset
        self._engine = PandasExecutionEngine()
        self._engine.load_batch_data(BATCH, frame)

    def outcomes(self, group: Sequence[Declared]) -> list[_Outcome]:
        """Evaluate expectations on all of the rows at once.

        :param group: the expectations; they may share metrics
        :returns: what each found, in their order
        """
        metrics = self.metrics(group)
        return [
            _Outcome(*self.verdict(declared, metrics), self.failing(declared, metrics) if declared.map_metric else None)
            for declared in group
        ]

    def metrics(self, group: Sequence[Declared]) -> dict[Any, Any]:
        """Compute all metrics that these expectations need, each once.

        :param group: the expectations; they may share metrics
        :returns: the metrics' values, by Great Expectations' ids of them
        :raises ConfigError: when they cannot be computed; names the expectation whose fault it is, if it is one's
        :raises MemoryError: when memory does not suffice
        """
        try:
            return self._resolved(group)
        except MemoryError:
            raise
        except TEAM_ERRORS as error:
            problem: BaseException = error
        for declared in group:  # to find whose fault it is
            self._computed(declared, partial(self._resolved, [declared]))
        reason = PERSONAL if any(map(self._is_personal, group)) else problem
        raise ConfigError(f"{self._dataset.name}: the expectations cannot be computed together: {reason}")

    def verdict(self, declared: Declared, metrics: dict[Any, Any]) -> tuple[bool, str]:
        """Have Great Expectations judge metrics.

        :param declared: the expectation whose metrics they are
        :param metrics: by Great Expectations' ids of them; of these rows, or summed over chunks
        :returns: whether it is content, and what it says that it observed
        """
        arguments: dict[str, Any] = {"metrics": metrics, "execution_engine": self._engine, "runtime_configuration": declared.runtime}
        outcome = self._computed(declared, partial(declared.implementation.metrics_validate, **arguments))
        return bool(outcome.success), str(outcome.result.get("observed_value", ""))

    def failing(self, declared: Declared, metrics: dict[Any, Any]) -> np.ndarray:
        """Find all rows that fail: those where the condition holds that Great Expectations counted.

        :param declared: a row-level expectation
        :param metrics: of these rows, by Great Expectations' ids of them
        :returns: the rows' positions, int64, as the frame's index has them
        """
        counted = declared.metrics[f"{declared.map_metric}.unexpected_count"].id
        condition = metrics[counted._replace(metric_name=f"{declared.map_metric}.condition")][0]
        positions: np.ndarray = condition.index.to_numpy()[np.asarray(condition, dtype=bool)]
        return positions.astype(np.int64, copy=False)

    def _resolved(self, group: Sequence[Declared]) -> dict[Any, Any]:
        from great_expectations.validator.metrics_calculator import MetricsCalculator

        calculator = MetricsCalculator(self._engine, show_progress_bars=False)
        strictly = {"catch_exceptions": False}
        wanted = [configuration for declared in group for configuration in declared.metrics.values()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nor are pandas' future behaviours
            graph = calculator.build_metric_dependency_graph(wanted, strictly)
            metrics: dict[Any, Any] = calculator.resolve_validation_graph(graph, strictly)[0]
        return metrics

    def _computed(self, declared: Declared, compute: Callable[[], Any]) -> Any:
        """What ``compute`` gives. What it raises is the author's fault, and is told unless it may quote personal data."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what will change inside Great Expectations is not the reader's concern
                return compute()
        except MemoryError:
            raise
        except TEAM_ERRORS as error:
            cause: BaseException = error
        expectation, personal = declared.expectation, self._is_personal(declared)
        problem = ConfigError(
            f"{self._dataset.name}: {expectation.expect} with {expectation.arguments} cannot be computed: {PERSONAL if personal else cause}"
        )
        raise problem from (None if personal else cause)  # outside of `except`, so that it has no other context

    def _is_personal(self, declared: Declared) -> bool:
        return bool(self._dataset.personal_columns.intersection(declared.columns))


def _compares_columns(declared: Declared) -> bool:
    return (declared.map_metric or "").startswith(("column_pair_values.", "multicolumn_"))


def _fit(group: Sequence[Declared], frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as these expectations can take it.

    A comparison with a missing integer is neither true nor false in pandas' nullable types, which Great Expectations
    cannot count. In floats it is false. Integers that floats cannot hold are Python's, which compare exactly with NaN too.
    """
    import pandas as pd

    if not any(map(_compares_columns, group)):
        return frame
    changed: dict[str, pd.Series] = {}
    for name, column in frame.items():
        if isinstance(column.dtype, pd.Int64Dtype) and (column.abs() > EXACT_IN_FLOATS).any():
            changed[str(name)] = column.astype(object).where(column.notna(), float("nan"))
        elif isinstance(column.dtype, pd.BooleanDtype | pd.Int64Dtype):
            changed[str(name)] = column.astype("float64")
    return frame.assign(**changed)


def _is_row_by_row(declared: Declared) -> bool:
    return not declared.custom and declared.map_metric in ROW_BY_ROW and not getattr(declared.implementation, "row_condition", None)


def _whole_and_strict(declared: Declared) -> bool:
    """Whether rows that cannot fail may be left out without a change in what Great Expectations says."""
    return not getattr(declared.implementation, "row_condition", None) and getattr(declared.implementation, "mostly", 1) == 1


def _result(dataset: DatasetConfig, declared: Declared, outcome: _Outcome, raw: RawRows) -> CheckResult:
    personal = bool(dataset.personal_columns.intersection(declared.columns))
    expectation = declared.expectation
    positions = outcome.positions
    return CheckResult(
        expectation=expectation.expect,
        arguments=json.loads(json.dumps(expectation.arguments, default=str)),  # YAML has dates, JSON has not
        on_fail=expectation.on_fail,
        status="passed" if outcome.success else "failed",
        failed_rows=None if positions is None else len(positions),
        observed=PERSONAL if personal and outcome.observed else outcome.observed,
        examples=() if positions is None or outcome.success or personal else _examples(declared, positions, raw),
    )


def _examples(declared: Declared, positions: np.ndarray, raw: RawRows) -> tuple[str, ...]:
    """The first few values that fail, of which a missing one says nothing."""
    rows = raw.take(declared.columns, positions[:EXAMPLES_SHOWN], declared_types=True)
    column = declared.expectation.arguments.get("column")
    if column in rows:
        return tuple(shown(value) for value in rows[column].dropna())
    return tuple(shown(", ".join(f"{name}={value}" for name, value in row.items())) for row in rows.to_dict("records"))
