"""A partition's rows against all that its dataset.yaml says of them."""

from __future__ import annotations

from include.evergreen.config import DatasetConfig
from include.evergreen.data.validation.checks import CheckResult, Failure, Validation, judge
from include.evergreen.data.validation.correlations import correlation_check
from include.evergreen.data.validation.evaluation import evaluate
from include.evergreen.data.validation.expectations import declared_expectations
from include.evergreen.data.validation.freshness import freshness_check, undeclared_check
from include.evergreen.data.validation.references import check_reference
from include.evergreen.data.validation.rows import Delivered, RawRows
from include.evergreen.data.validation.volume import COMPARED_PARTITIONS, earlier_partitions, usual_rows, volume_check


def validate(dataset: DatasetConfig, raw: RawRows, delivered: Delivered) -> Validation:
    """Judge the raw rows (in the declared columns) by ``dataset``'s contract.

    The same rows beside the same partitions give the same result. Raises `ConfigError` for a check that cannot be computed.
    """
    window = dataset.volume.window_partitions if dataset.volume else 0
    earlier = earlier_partitions(dataset.name, delivered.partition, max(COMPARED_PARTITIONS, window))
    checks, failures = evaluate(dataset, declared_expectations(dataset, raw.no_rows(dataset.column_names)), raw)
    if dataset.undeclared_columns != "ignore":
        checks.insert(0, undeclared_check(dataset, delivered))
    if dataset.volume:
        checks.append(volume_check(dataset, raw.rows, earlier))
    if dataset.freshness:
        checks.append(freshness_check(dataset, delivered))
    checks += _references(dataset, raw, delivered, failures)
    failing = Validation(raw.rows, failures, [], "", "").failing
    checks += [correlation_check(dataset, each, raw, delivered, failing) for each in dataset.correlations]
    return judge(dataset, raw.rows, checks, failures, usual_rows(earlier))


def _references(dataset: DatasetConfig, raw: RawRows, delivered: Delivered, failures: list[Failure]) -> list[CheckResult]:
    """The results; rows that are to be quarantined are added to ``failures``."""
    checks = []
    for reference in dataset.references:
        check, failure = check_reference(dataset, reference, raw, delivered)
        checks.append(check)
        failures += [failure] if failure else []
    return checks
