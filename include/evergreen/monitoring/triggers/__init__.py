"""Rules over observations, and the firings of those that tripped."""

from include.evergreen.monitoring.triggers.firings import (
    Firing,
    answer_firing,
    ask_training,
    awaited_firing,
    due_firing,
    fail_firing,
    failed_firing,
    fire_by_hand,
    fire_if_tripped,
    list_firings,
    models_to_look_at,
    newest_firing,
    resume_firing,
    tripped,
)
from include.evergreen.monitoring.triggers.outlook import RuleOutlook, rule_outlooks
from include.evergreen.monitoring.triggers.replay import Replayed, replay_rules

__all__ = [
    "Firing",
    "Replayed",
    "RuleOutlook",
    "answer_firing",
    "ask_training",
    "awaited_firing",
    "due_firing",
    "fail_firing",
    "failed_firing",
    "fire_by_hand",
    "fire_if_tripped",
    "list_firings",
    "models_to_look_at",
    "newest_firing",
    "replay_rules",
    "resume_firing",
    "rule_outlooks",
    "tripped",
]
