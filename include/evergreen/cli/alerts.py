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
    text = "list the open alerts, and resolve those that were dealt with"
    group = verbs.add_parser("alerts", parents=[common], help=text, description=text.capitalize() + ".")
    deeds = group.add_subparsers(title="verbs", metavar="VERB", required=True)

    text = "list the open alerts, the newest first"
    verb = deeds.add_parser("list", parents=[common], help=text, description=text.capitalize() + ".")
    verb.add_argument("model", metavar="MODEL", nargs="?", help="the name of a model (default: all)")
    common_arguments.add_json(verb)
    verb.set_defaults(verb=list_open)

    text = "resolve an alert; if its cause recurs, it fires again"
    verb = deeds.add_parser("resolve", parents=[common], help=text, description=text.capitalize() + ".")
    verb.add_argument("key", metavar="KEY", help="the alert's key, as `evergreen alerts list` shows it")
    verb.add_argument("--reason", required=True, metavar="R", help="what was done, for the ledger")
    verb.set_defaults(verb=resolve)


def list_open(arguments: argparse.Namespace) -> int:
    from include.evergreen.state.alerts import open_alerts

    found = open_alerts(arguments.model)
    if arguments.json:
        print(json.dumps([_as_json(each) for each in found], indent=2))
        return 0
    for each in found:
        times = f", {each.times} times since {each.first_at:%Y-%m-%d %H:%M}" if each.times > 1 else ""
        print(f"{each.severity.upper()} {each.key} ({each.last_at:%Y-%m-%d %H:%M} UTC{times})")
        print(f"  {each.message}")
    if not found:
        print(f"No alert is open{f' for {arguments.model}' if arguments.model else ''}.")
    return 0


def resolve(arguments: argparse.Namespace) -> int:
    from include.evergreen.cli.user import actor
    from include.evergreen.foundation.reasons import checked_reason
    from include.evergreen.state.alerts import open_alerts, resolve_alert

    reason = checked_reason(f"alert {arguments.key}", arguments.reason)
    if not resolve_alert(arguments.key, actor=actor(), reason=reason):
        known = ", ".join(each.key for each in open_alerts()) or "none"
        raise ConfigError(f"No open alert has the key {arguments.key!r}; open: {known}.")
    print(f"{arguments.key} is resolved.")
    return 0


def _as_json(alert: Alert) -> dict[str, Any]:
    return {
        "key": alert.key,
        "model": alert.model,
        "severity": alert.severity,
        "words": alert.message,
        "evidence": alert.evidence,
        "times": alert.times,
        "first_at": alert.first_at.isoformat(),
        "last_at": alert.last_at.isoformat(),
    }
