"""Alerts: one for each cause that a person must see, what people do about it, and what became of it."""

from include.evergreen.state.alerts.acts import StaleActError, acknowledge, assign, comment, resolve, snooze, unacknowledge
from include.evergreen.state.alerts.inbox import ALL, OPEN, Detail, Filter, Scope, count_alerts, list_alerts, show_alert
from include.evergreen.state.alerts.kinds import KINDS, AlertKind
from include.evergreen.state.alerts.passing_time import forget_old_failures, pass_time
from include.evergreen.state.alerts.raising import Finding, open_alerts, raise_alert, raise_within, resolve_alert, resolve_within
from include.evergreen.state.alerts.records import Alert, Event, NoSuchAlertError, Place, Severity, State

__all__ = [
    "ALL",
    "KINDS",
    "OPEN",
    "Alert",
    "AlertKind",
    "Detail",
    "Event",
    "Filter",
    "Finding",
    "NoSuchAlertError",
    "Place",
    "Scope",
    "Severity",
    "StaleActError",
    "State",
    "acknowledge",
    "assign",
    "comment",
    "count_alerts",
    "forget_old_failures",
    "list_alerts",
    "open_alerts",
    "pass_time",
    "raise_alert",
    "raise_within",
    "resolve",
    "resolve_alert",
    "resolve_within",
    "show_alert",
    "snooze",
    "unacknowledge",
]
