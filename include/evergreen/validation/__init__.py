"""Checks a partition against its dataset's expectations, and splits its rows into accepted and quarantined."""

from include.evergreen.validation.record import latest_validation, record_validation
from include.evergreen.validation.validate import CheckResult, Validation, validate

__all__ = ["CheckResult", "Validation", "latest_validation", "record_validation", "validate"]
