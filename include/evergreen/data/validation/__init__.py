"""Checks a partition against its dataset's contract, and finds the rows that are to be quarantined."""

from include.evergreen.data.validation.checks import CheckResult, Failure, Usual, Validation, judge, stop_message
from include.evergreen.data.validation.record import latest_validation, next_validated, recent_validations, record_validation
from include.evergreen.data.validation.rows import Delivered, RawRows
from include.evergreen.data.validation.validate import validate

__all__ = [
    "CheckResult",
    "Delivered",
    "Failure",
    "RawRows",
    "Usual",
    "Validation",
    "judge",
    "latest_validation",
    "next_validated",
    "recent_validations",
    "record_validation",
    "stop_message",
    "validate",
]
