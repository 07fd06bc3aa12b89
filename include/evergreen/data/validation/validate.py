"""Runs all checks of a dataset.yaml on a partition's rows."""

from __future__ import annotations

from include.evergreen.config import DatasetConfig
from include.evergreen.data.validation.checks import Validation, judge
from include.evergreen.data.validation.correlations import correlation_check
from include.evergreen.data.validation.evaluation import evaluate
from include.evergreen.data.validation.expectations import declared_expectations
from include.evergreen.data.validation.freshness import freshness_check, undeclared_check
from include.evergreen.data.validation.references import check_reference
from include.evergreen.data.validation.rows import Delivered, RawRows
from include.evergreen.data.validation.validity import validity_checks
from include.evergreen.data.validation.volume import COMPARED_PARTITIONS, earlier_partitions, usual_rows, volume_check


def validate(dataset: DatasetConfig, raw: RawRows, delivered: Delivered) -> Validation:
    """Judge a partition's raw rows by its dataset's contract, for ingestion.

    The same rows beside the same partitions give the same result. Raises `ConfigError` for a check that cannot be computed.

    :param dataset: which declares the checks
    :param raw: the rows, in the declared columns and types
    :param delivered: what else is known of the partition
    :returns: the result of every check, the rows that fail, and the verdict
    """
    calendar = dataset.schedule.calendar
    window = calendar.count(dataset.volume.window) if dataset.volume else 0
    earlier = earlier_partitions(dataset.name, delivered.partition, max(COMPARED_PARTITIONS, window))
    checks, failures = evaluate(dataset, declared_expectations(dataset, raw.no_rows(dataset.column_names)), raw)
    if dataset.undeclared_columns != "ignore":
        checks.insert(0, undeclared_check(dataset, delivered))
    if dataset.volume:
        checks.append(volume_check(dataset.volume, raw.rows, earlier, calendar, delivered.partition))
    if dataset.freshness:
        checks.append(freshness_check(dataset, dataset.freshness, delivered))
    for reference in dataset.references:
        check, failure = check_reference(dataset, reference, raw, delivered)
        checks.append(check)
        failures += [failure] if failure else []
    if dataset.validity:
        checks += validity_checks(dataset, dataset.validity, raw)
    failing = Validation(raw.rows, failures, [], "", "").failing
    checks += [correlation_check(dataset, correlation, raw, delivered, failing) for correlation in dataset.correlations]
    return judge(dataset, raw.rows, checks, failures, usual_rows(earlier))
