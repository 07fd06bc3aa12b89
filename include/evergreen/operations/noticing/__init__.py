"""Noticing: from what Airflow knows of its tasks and runs, and from our own records, to alerts that raise and resolve themselves."""

from include.evergreen.operations.noticing.attempts import Attempt, Instance, Standing, Word
from include.evergreen.operations.noticing.causes import Cause, Subject, cause_of
from include.evergreen.operations.noticing.conditions import keep
from include.evergreen.operations.noticing.declared import Declared
from include.evergreen.operations.noticing.freshness import Deadlines, Late
from include.evergreen.operations.noticing.record import OpenAttempt, attempts_to_settle, record_attempts, settle
from include.evergreen.operations.noticing.retries import Retries, Run
from include.evergreen.operations.noticing.standing import full_disks, old_champions, unanswered_firings
from include.evergreen.operations.noticing.stuck import longest_expected

__all__ = [
    "Attempt",
    "Cause",
    "Deadlines",
    "Declared",
    "Instance",
    "Late",
    "OpenAttempt",
    "Retries",
    "Run",
    "Standing",
    "Subject",
    "Word",
    "attempts_to_settle",
    "cause_of",
    "full_disks",
    "keep",
    "longest_expected",
    "old_champions",
    "record_attempts",
    "settle",
    "unanswered_firings",
]
