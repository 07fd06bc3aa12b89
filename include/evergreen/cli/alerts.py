"""``alerts list`` and ``resolve``: the open alerts, and resolving them."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.foundation.errors import ConfigError

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.state.alerts import Alert


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``alerts list`` and ``alerts resolve``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    deeds = common_arguments.add_group(verbs, common, "alerts", "list the open alerts, and resolve those that were dealt with")

    verb = common_arguments.add_verb(deeds, common, "list", "list the open alerts, the newest first", list_open)
    verb.add_argument("model", metavar="MODEL", nargs="?", help="the name of a model (default: all)")
    common_arguments.add_json(verb)

    verb = common_arguments.add_verb(deeds, common, "resolve", "resolve an alert; if its cause recurs, it fires again", resolve)
    verb.add_argument("key", metavar="KEY", help="the alert's key, as `evergreen alerts list` shows it")
    verb.add_argument("--reason", required=True, metavar="R", help="what was done, for the ledger")


def list_open(arguments: argparse.Namespace) -> int:
    """Print every open alert, or those of one model, the newest first, with how often it fired and since when.

    :param arguments: ``model`` (None: all) and ``json``
    :returns: the exit code 0
    """
    from include.evergreen.state.alerts import open_alerts

    alerts = open_alerts(arguments.model)
    if arguments.json:
        print(json.dumps([_as_json(alert) for alert in alerts], indent=2))
        return 0
    for alert in alerts:
        times = f", {alert.times} times since {alert.first_at:%Y-%m-%d %H:%M}" if alert.times > 1 else ""
        print(f"{alert.severity.upper()} {alert.key} ({alert.last_at:%Y-%m-%d %H:%M} UTC{times})")
        print(f"  {alert.message}")
    if not alerts:
        print(f"No alert is open{f' for {arguments.model}' if arguments.model else ''}.")
    return 0


def resolve(arguments: argparse.Namespace) -> int:
    """Resolve one alert by its key, for the reason that goes to the ledger.

    :param arguments: ``key`` and ``reason``
    :returns: the exit code 0
    :raises ConfigError: when no open alert has the key; the message lists those that are open
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.foundation.reasons import checked_reason
    from include.evergreen.state.alerts import open_alerts, resolve_alert

    reason = checked_reason(f"alert {arguments.key}", arguments.reason)
    if not resolve_alert(arguments.key, actor=actor(), reason=reason):
        known = ", ".join(alert.key for alert in open_alerts()) or "none"
        raise ConfigError(f"No open alert has the key {arguments.key!r}; open: {known}.")
    print(f"{arguments.key} is resolved.")
    return 0


def _as_json(alert: Alert) -> dict[str, Any]:
    return {
        "key": alert.key,
        "model": alert.model,
        "severity": alert.severity,
        "message": alert.message,
        "evidence": alert.evidence,
        "times": alert.times,
        "first_at": alert.first_at.isoformat(),
        "last_at": alert.last_at.isoformat(),
    }
