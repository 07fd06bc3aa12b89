"""Rules over observations, and the firings of those that tripped."""

from include.evergreen.monitoring.triggers.firings import (
    answer_firing,
    fire_if_tripped,
    list_firings,
    newest_firing,
    tripped,
    unanswered_firing,
)
from include.evergreen.monitoring.triggers.outlook import RuleOutlook, rule_outlooks

__all__ = [
    "RuleOutlook",
    "answer_firing",
    "fire_if_tripped",
    "list_firings",
    "newest_firing",
    "rule_outlooks",
    "tripped",
    "unanswered_firing",
]
