"""Translates the expectations of a dataset.yaml into Great Expectations' own objects."""

from __future__ import annotations

import datetime as dt
import importlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.evergreen.config import DatasetConfig
from include.evergreen.config.datasets import Expectation
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.silent_import import import_quietly
from include.evergreen.foundation.team_code import TEAM_ERRORS

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.expectations.expectation import Expectation as GxExpectation

MOST_KEPT = 100  # datasets whose expectations one process keeps
BATCH = "rows"  # what the rows are called in Great Expectations' metrics: the same for all chunks, so that these add up


@dataclass(frozen=True)
class Declared:
    """One expectation of a dataset, ready to be evaluated.

    ``columns`` are those that it must be given, and ``metrics`` Great Expectations' configurations of what it needs, by name.
    """

    expectation: Expectation
    implementation: GxExpectation
    columns: tuple[str, ...]
    metrics: dict[str, Any]
    custom: bool

    @property
    def map_metric(self) -> str | None:
        """The metric that says of each row whether it fails; None for an expectation about the partition as a whole."""
        metric: str | None = getattr(self.implementation, "map_metric", None)
        return metric if f"{metric}.unexpected_count" in self.metrics else None

    @property
    def runtime(self) -> dict[str, Any]:
        """Great Expectations' runtime configuration for it: how much of its result is to be told."""
        return _runtime(self.implementation)

    @property
    def label(self) -> str:
        """The reason for which its rows are quarantined."""
        arguments = self.expectation.arguments
        columns = arguments.get("column") or arguments.get("column_list")
        if not columns and "column_A" in arguments:
            columns = [arguments["column_A"], arguments.get("column_B")]
        named = columns if isinstance(columns, str) else ", ".join(map(str, columns or ()))
        return f"{self.expectation.expect}({named})"


COMPARED = {"min_value", "max_value", "value_set"}  # arguments that hold values of the column


def implied_expectations(dataset: DatasetConfig) -> list[Expectation]:
    """Derive the expectations that columns and keys declare by themselves: no missing value unless nullable, no key twice.

    :param dataset: which declares them
    :returns: all with ``on_fail: quarantine``; first those of columns, in their order
    """
    implied = [
        Expectation(expect="expect_column_values_to_not_be_null", arguments={"column": column.name}, on_fail="quarantine")
        for column in dataset.columns
        if not column.nullable
    ]
    if dataset.keys:
        unique, arguments = (
            ("expect_compound_columns_to_be_unique", {"column_list": list(dataset.keys)})
            if len(dataset.keys) > 1
            else ("expect_column_values_to_be_unique", {"column": dataset.keys[0]})
        )
        implied.append(Expectation(expect=unique, arguments=arguments, on_fail="quarantine"))
    return implied


def declared_expectations(dataset: DatasetConfig, columns: pd.DataFrame) -> list[Declared]:
    """Translate all expectations of a dataset, what is implied first.

    Raises `ConfigError` for a name or a path that is no expectation, for arguments that it does not take, and for
    ``on_fail: quarantine`` where it judges the partition as a whole.

    :param dataset: which declares them
    :param columns: its columns in their declared types, and no rows
    :returns: each ready to be evaluated
    """
    import_quietly("great_expectations.expectations.core")
    expectations = (*implied_expectations(dataset), *dataset.expectations)
    if any("." in expectation.expect for expectation in expectations):  # a team's class, which is looked up each time
        return [_declared(dataset, expectation, columns) for expectation in expectations]
    key = (repr(dataset), *map(str, columns.dtypes))
    if key not in _KEPT:
        if len(_KEPT) >= MOST_KEPT:
            _KEPT.clear()
        _KEPT[key] = [_declared(dataset, expectation, columns) for expectation in expectations]
    return list(_KEPT[key])


_KEPT: dict[tuple[str, ...], list[Declared]] = {}  # a fifth of what validating a small partition takes; by all that decides it


@contextmanager
def registered(implementations: Sequence[GxExpectation]) -> Iterator[None]:
    """Have Great Expectations find the classes of these expectations by their names, within the context; afterwards all is as before.

    Two datasets may thus each have a class of the same name, or one of a name that Great Expectations has too.

    :param implementations: the expectations; of two of the same name the last is found
    :yields: once, while they are found
    """
    expectations, _ = _registries()
    before = dict(expectations)
    try:
        expectations.update({implementation.expectation_type: type(implementation) for implementation in implementations})
        yield
    finally:
        expectations.clear()
        expectations.update(before)


def _declared(dataset: DatasetConfig, expectation: Expectation, frame: pd.DataFrame) -> Declared:
    from great_expectations.exceptions import GreatExpectationsError

    custom = "." in expectation.expect
    kind = _custom_class(dataset, expectation.expect) if custom else _core_class(dataset, expectation.expect)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # conditions in text are what a YAML can hold, whatever Great Expectations 2.0 will take
            implementation = kind(batch_id=BATCH, **_with_moments(dataset, expectation))
    except (GreatExpectationsError, TypeError, ValueError) as error:
        raise ConfigError(f"{dataset.name}: {expectation.expect} does not take {expectation.arguments}: {error}") from error
    columns, metrics = _columns(dataset, implementation, expectation), _metrics(dataset, implementation, expectation, frame)
    declared = Declared(expectation, implementation, columns, metrics, custom)
    if expectation.on_fail == "quarantine" and declared.map_metric is None:
        raise ConfigError(
            f"{dataset.name}: {expectation.expect} judges the partition as a whole, so on_fail cannot be 'quarantine'; "
            f"allowed for it: error, warn."
        )
    return declared


def _with_moments(dataset: DatasetConfig, expectation: Expectation) -> dict[str, Any]:
    """The arguments, with each date of the YAML as the moment that columns of timestamps hold: its midnight, in UTC.

    pandas compares dates with no moments, and finds none in a set of them. In bounds and sets of a column of timestamps, text
    in ISO 8601 is a date too.
    """
    kinds = {column.name: column.type for column in dataset.columns}
    of_timestamps = kinds.get(str(expectation.arguments.get("column"))) == "timestamp"

    def moment(value: Any, *, is_compared: bool) -> Any:
        if isinstance(value, list):
            return [moment(member, is_compared=is_compared) for member in value]
        if is_compared and isinstance(value, str):
            with suppress(ValueError):
                value = dt.datetime.fromisoformat(value)
        if not isinstance(value, dt.date):
            return value
        whole = value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time())
        return whole if whole.tzinfo else whole.replace(tzinfo=dt.UTC)

    return {name: moment(value, is_compared=of_timestamps and name in COMPARED) for name, value in expectation.arguments.items()}


def _core_class(dataset: DatasetConfig, name: str) -> type[GxExpectation]:
    """Looked up among Great Expectations' own alone: what one dataset imports is not known by name to another."""
    from great_expectations.expectations import core

    expectation: type[GxExpectation] | None = next(
        (kind for kind in vars(core).values() if getattr(kind, "expectation_type", None) == name), None
    )
    if expectation is None:
        raise ConfigError(
            f"{dataset.name}: Great Expectations knows no expectation {name!r}. Write one of its names, such as "
            f"expect_column_values_to_be_between, or the import path of a class of your own."
        )
    return expectation


def _custom_class(dataset: DatasetConfig, path: str) -> type[GxExpectation]:
    from great_expectations.expectations.expectation import Expectation as Base

    module_name, _, name = path.rpartition(".")
    with _nothing_of_others_replaced(dataset, path, module_name):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{dataset.name}: expect {path!r}: there is no module {error.name!r}. Write the import path of a class as seen "
                f"from the project's root, such as include.expectations.mine.ExpectColumnValuesToBeFlightNumber."
            ) from error
        except MemoryError:  # the machine's
            raise
        except TEAM_ERRORS as error:
            raise ConfigError(
                f"{dataset.name}: expect {path!r}: {module_name} fails when it is imported: {type(error).__name__}: {error}. Fix it first."
            ) from error
    kind = getattr(module, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Base)):
        classes = [
            known for known, value in vars(module).items() if isinstance(value, type) and issubclass(value, Base) and value is not Base
        ]
        raise ConfigError(
            f"{dataset.name}: expect {path!r}: {module_name} has no expectation {name!r}. It must be a subclass of one of Great "
            f"Expectations' classes, such as ColumnMapExpectation; found there: {', '.join(classes) or 'none'}."
        )
    return kind


@contextmanager
def _nothing_of_others_replaced(dataset: DatasetConfig, path: str, module_name: str) -> Iterator[None]:
    """Importing a class registers it and its metrics for everyone. The class is taken out again (see `registered`).

    A metric stays, so one that would replace another is refused: it would change what other datasets' checks mean.
    """
    _, metrics = _registries()
    before = {name: {**facts, "providers": dict(facts["providers"])} for name, facts in metrics.items()}
    with registered([]):
        yield
    replaced = sorted(name for name, facts in before.items() if metrics[name]["providers"] != facts["providers"])
    if replaced:
        metrics.clear()
        metrics.update(before)
        sys.modules.pop(module_name, None)  # so that it is refused the next time too
        raise ConfigError(
            f"{dataset.name}: expect {path!r}: {module_name} defines metrics that exist already: {', '.join(replaced)}. "
            f"Give them names of their own, such as column_values.{dataset.name}_..."
        )


def _metrics(dataset: DatasetConfig, implementation: GxExpectation, expectation: Expectation, frame: pd.DataFrame) -> dict[str, Any]:
    from great_expectations.execution_engine import PandasExecutionEngine

    engine = PandasExecutionEngine()
    engine.load_batch_data(BATCH, frame)  # some need other metrics for other types
    try:
        with registered([implementation]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            needed = implementation.get_validation_dependencies(execution_engine=engine, runtime_configuration=_runtime(implementation))
    except MemoryError:  # the machine's
        raise
    except TEAM_ERRORS as error:
        raise ConfigError(
            f"{dataset.name}: {expectation.expect} with {expectation.arguments} cannot be computed: {type(error).__name__}: {error}"
        ) from error
    return dict(needed.metric_configurations)


def _runtime(implementation: GxExpectation) -> dict[str, Any]:
    """One about the whole tells what it observed; one about rows says yes or no, since its rows are found otherwise."""
    result_format = "BOOLEAN_ONLY" if getattr(implementation, "map_metric", None) else "BASIC"
    return {"result_format": {"result_format": result_format, "partial_unexpected_count": 0}}


def _columns(dataset: DatasetConfig, implementation: GxExpectation, expectation: Expectation) -> tuple[str, ...]:
    """The declared columns that it names anywhere in its arguments; all of them, when it names none.

    A class of a team's own that is not tied to its columns by Great Expectations may read others than it names.
    """
    from great_expectations.expectations.expectation import (
        ColumnAggregateExpectation,
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )

    tied = (ColumnAggregateExpectation, ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
    if "." in expectation.expect and not isinstance(implementation, tied):
        return tuple(dataset.column_names)
    texts = list(_texts({name: value for name, value in expectation.arguments.items() if name != "row_condition"}))
    condition = repr(expectation.arguments.get("row_condition", ""))
    named = tuple(name for name in dataset.column_names if name in texts or name in condition)
    return named or tuple(dataset.column_names)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple | set):
        for member in value:
            yield from _texts(member)


def _registries() -> tuple[dict[str, Any], dict[str, Any]]:
    """Great Expectations' own: of expectations and of metrics."""
    from great_expectations.expectations import registry

    return registry._registered_expectations, registry._registered_metrics
