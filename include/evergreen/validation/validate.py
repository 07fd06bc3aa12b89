"""Great Expectations decides; every row that fails a row-level expectation is found and counted in full.

Its own results cap the rows that they list, so the quarantine is computed from the expectation's condition instead,
the metric that Great Expectations itself counts with.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.evergreen.config import DatasetConfig
from include.evergreen.config.models import Expectation
from include.evergreen.errors import ConfigError, DataError
from include.evergreen.quiet import import_quietly

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation as GxExpectation
    from great_expectations.validator.validator import Validator

EXAMPLES_SHOWN = 3
REASON_COLUMN = "quarantine_reason"
RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES_SHOWN}


@dataclass(frozen=True)
class CheckResult:
    """What one expectation found."""

    expectation: str
    arguments: dict[str, Any]
    on_fail: str
    passed: bool
    failed_rows: int | None
    observed: str
    examples: list[str]

    @property
    def words(self) -> str:
        """The expectation with its arguments, and what was found."""
        found = f"{self.failed_rows} rows, such as {', '.join(self.examples)}" if self.failed_rows else f"found {self.observed}"
        bounds = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.expectation}({bounds}): {found}"


@dataclass(frozen=True)
class Validation:
    """A partition's rows, split, and what each expectation found.

    ``verdict`` is ``passed``, ``warned``, ``quarantined`` (some rows) or ``stopped`` (the whole partition).
    """

    accepted: pd.DataFrame
    quarantined: pd.DataFrame
    checks: list[CheckResult]
    verdict: str
    reason: str

    def summary(self) -> dict[str, Any]:
        """The facts as a JSON document, without rows."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "rows": len(self.accepted),
            "quarantined": len(self.quarantined),
            "checks": [asdict(check) for check in self.checks],
        }


def validate(dataset: DatasetConfig, raw: pd.DataFrame) -> Validation:
    """Split ``raw`` (rows as the source gave them, in the declared columns) by ``dataset``'s expectations.

    Raises `ConfigError` for an expectation that Great Expectations does not know or cannot compute.
    """
    import_quietly("great_expectations")
    from great_expectations.validator.validator import Validator

    raw = raw.reset_index(drop=True)
    expectations = [*implied_expectations(dataset), *dataset.expectations]
    implementations = [_implementation(dataset, each) for each in expectations]
    batch = _batch(raw)
    validator = Validator(execution_engine=batch.data.execution_engine, batches=[batch])
    validator.metrics_calculator.show_progress_bars = False  # it knows nothing of the context's setting
    checks: list[CheckResult] = []
    reasons: dict[int, list[str]] = {}
    for declared, implementation in zip(expectations, implementations, strict=True):
        result = _evaluate(dataset, batch, declared, implementation)
        if not result.passed and declared.on_fail == "quarantine":
            for row in _failing_rows(validator, implementation):
                reasons.setdefault(int(row), []).append(_label(declared))
        checks.append(result)
    return _split(dataset, raw, checks, reasons)


def implied_expectations(dataset: DatasetConfig) -> list[Expectation]:
    """What the columns and keys declare by themselves: no missing value unless nullable, no key twice."""
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


def _implementation(dataset: DatasetConfig, declared: Expectation) -> GxExpectation:
    from great_expectations.exceptions import GreatExpectationsError
    from great_expectations.expectations.registry import get_expectation_impl

    try:
        implementation = get_expectation_impl(declared.expect)(**declared.arguments)
    except GreatExpectationsError as error:
        raise ConfigError(f"{dataset.name}: Great Expectations knows no expectation {declared.expect!r}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{dataset.name}: {declared.expect} does not take {declared.arguments}: {error}") from error
    if declared.on_fail == "quarantine" and getattr(implementation, "map_metric", None) is None:
        raise ConfigError(
            f"{dataset.name}: {declared.expect} judges the partition as a whole, so on_fail cannot be 'quarantine'; "
            f"allowed for it: stop, warn."
        )
    return implementation


def _batch(raw: pd.DataFrame) -> Any:
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("evergreen").add_dataframe_asset("partition")
    return asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": raw})


def _evaluate(dataset: DatasetConfig, batch: Any, declared: Expectation, implementation: GxExpectation) -> CheckResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' future behaviours inside Great Expectations are not the reader's concern
        outcome = batch.validate(implementation, result_format=RESULT_FORMAT)
    if problem := _exception_message(outcome.exception_info):
        raise ConfigError(f"{dataset.name}: {declared.expect} with {declared.arguments} cannot be computed: {problem}")
    result = outcome.result
    return CheckResult(
        expectation=declared.expect,
        arguments=json.loads(json.dumps(declared.arguments, default=str)),  # YAML has dates, JSON has not
        on_fail=declared.on_fail,
        passed=bool(outcome.success),
        failed_rows=int(result["unexpected_count"]) if "unexpected_count" in result else None,
        observed=str(result.get("observed_value", "")),
        examples=[str(value)[:80] for value in result.get("partial_unexpected_list", [])],
    )


def _exception_message(info: dict[str, Any]) -> str | None:
    """What was raised while the expectation was computed; it comes as it is, or nested by metric."""
    nested = [info, *(each for each in info.values() if isinstance(each, dict))]
    return next((str(each["exception_message"]) for each in nested if each.get("raised_exception")), None)


def _failing_rows(validator: Validator, implementation: GxExpectation) -> pd.Index:
    """The index of every failing row."""
    from great_expectations.validator.metric_configuration import MetricConfiguration

    values = {**implementation.configuration.kwargs}
    domain = {name: values[name] for name in implementation.domain_keys if name in values}
    arguments = {
        name: getattr(implementation, name, None)
        for name in implementation.success_keys
        if name not in implementation.domain_keys and name != "mostly"
    }
    condition = validator.get_metric(
        MetricConfiguration(f"{implementation.map_metric}.condition", metric_domain_kwargs=domain, metric_value_kwargs=arguments)
    )[0]
    failing: pd.Index = condition.index[condition.astype(bool)]
    return failing


def _split(dataset: DatasetConfig, raw: pd.DataFrame, checks: list[CheckResult], reasons: dict[int, list[str]]) -> Validation:
    rows = sorted(reasons)
    quarantined = raw.loc[rows].assign(**{REASON_COLUMN: pd.array(["; ".join(reasons[row]) for row in rows], dtype="string")})
    accepted = raw.drop(index=rows).reset_index(drop=True)
    if stopping := [check for check in checks if not check.passed and check.on_fail == "stop"]:
        verdict, reason = "stopped", "; ".join(check.words for check in stopping)
    elif len(rows) > dataset.quarantine.max_share * len(raw):
        verdict = "stopped"
        reason = (
            f"{len(rows)} of {len(raw)} rows fail, which is more than quarantine.max_share "
            f"({dataset.quarantine.max_share:.0%}) allows: "
            + "; ".join(check.words for check in checks if not check.passed and check.on_fail == "quarantine")
        )
    elif rows:
        verdict, reason = "quarantined", "; ".join(c.words for c in checks if not c.passed)
    elif warned := [check for check in checks if not check.passed]:
        verdict, reason = "warned", "; ".join(check.words for check in warned)
    else:
        verdict, reason = "passed", f"all {len(checks)} checks passed"
    return Validation(accepted, quarantined.reset_index(drop=True), checks, verdict, reason)


def stop_error(dataset: DatasetConfig, partition: object, validation: Validation) -> DataError:
    return DataError(
        f"{dataset.name} {partition} is stopped: {validation.reason}. What was published before stays as it is. "
        f"Mend the source and ingest the partition again, or change the expectation in dataset.yaml."
    )


def _label(declared: Expectation) -> str:
    columns = declared.arguments.get("column") or declared.arguments.get("column_list") or ""
    return f"{declared.expect}({columns if isinstance(columns, str) else ', '.join(columns)})"
