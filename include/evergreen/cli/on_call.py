"""``on-call``: who is on call, a drill, the hand-over, and planned outages."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``on-call now``, ``drill``, ``handover`` and ``maintenance``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    deeds = common_arguments.add_group(verbs, common, "on-call", "who is on call, a drill, the hand-over, planned outages")

    verb = common_arguments.add_verb(deeds, common, "now", "show who is on call in each rotation, and until when", show_now)
    verb.add_argument("--at", metavar="TIME", help="at this time instead, such as 2026-12-24T09:00 (UTC unless it says otherwise)")
    common_arguments.add_json(verb)

    verb = common_arguments.add_verb(
        deeds, common, "drill", "raise a harmless alert that goes the whole way, and show who is told of it when", drill
    )
    verb.add_argument("--model", metavar="MODEL", default="", help="try the routes of this model (default: those of no model)")
    verb.add_argument("--severity", choices=("critical", "warning"), default="critical", help="as what (default: critical)")
    verb.add_argument("--minutes", type=float, default=15, metavar="N", help="after which it resolves itself (default: 15)")

    verb = common_arguments.add_verb(deeds, common, "handover", "tell what happened lately, for whoever is on call next", handover)
    verb.add_argument("--since", type=float, required=True, metavar="HOURS", help="how many hours back")

    verb = common_arguments.add_verb(
        deeds, common, "maintenance", "plan an outage of a dataset or model, during which its alerts are snoozed, or list them", maintenance
    )
    verb.add_argument("name", metavar="NAME", nargs="?", help="the name of a dataset or model; none lists what is planned")
    verb.add_argument("--hours", type=float, metavar="H", help="how long it lasts, from now on")
    verb.add_argument("--reason", metavar="R", help="why, for the ledger and for whoever meets it")
    verb.add_argument("--end", type=int, metavar="N", help="end the one of this number before its time")


def show_now(arguments: argparse.Namespace) -> int:
    """Print who is on call in each rotation, since when and until when.

    :param arguments: ``at`` and ``json``
    :returns: the exit code 0
    """
    from include.evergreen.oncall import in_use, on_call

    at = common_arguments.parse_start(arguments.at) if arguments.at else clock.now()
    turns = on_call(in_use(), at)
    if arguments.json:
        shown = {
            name: {
                "person": turn.person,
                "since": turn.since.isoformat(),
                "until": turn.until.isoformat(),
                "stands_in_for": turn.stands_in_for,
            }
            for name, turn in turns.items()
        }
        print(json.dumps(shown, indent=2))
        return 0
    for name, turn in turns.items():
        instead = f" (for {turn.stands_in_for})" if turn.stands_in_for else ""
        print(f"{name}: {turn.person}{instead}, until {turn.until:%Y-%m-%d %H:%M} UTC")
    if not turns:
        print("No rotation is declared in oncall.yaml, so nobody is on call.")
    return 0


def drill(arguments: argparse.Namespace) -> int:
    """Raise a harmless alert, and print who will be told of it when unless somebody takes it.

    :param arguments: ``model``, ``severity`` and ``minutes``
    :returns: the exit code 0
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.config import Catalog
    from include.evergreen.oncall import begin_drill

    if arguments.model:
        Catalog().model_path(arguments.model)
    begun = begin_drill(actor=actor(), minutes=arguments.minutes, model=arguments.model, severity=arguments.severity)
    print(f"Alert {begun.alert_id} is raised. It resolves itself at {begun.until:%Y-%m-%d %H:%M} UTC.")
    for step in begun.steps:
        fallbacks = f"; if that does not deliver, {', then '.join(step.fallbacks)}" if step.fallbacks else ""
        print(f"  {step.due_at:%Y-%m-%d %H:%M} UTC: {step.recipient or 'everybody there'} through {step.channel}{fallbacks}")
    if not begun.policy:
        print("oncall.yaml has no route, so nobody is told: it stands in the inbox alone.")
    elif not begun.steps:
        print(f"The policy {begun.policy} tells nobody of it within that time: it stands in the inbox alone.")
    else:
        print("The API server sends that, within seconds of each time, until somebody acknowledges it.")
    return 0


def handover(arguments: argparse.Namespace) -> int:
    """Print what happened in the last hours: the text for a hand-over.

    :param arguments: ``since``, in hours
    :returns: the exit code 0
    """
    from include.evergreen.oncall import handover_since

    print("\n".join(handover_since(arguments.since).lines()))
    return 0


def maintenance(arguments: argparse.Namespace) -> int:
    """Plan an outage, end one, or list those that are planned.

    :param arguments: ``name``, ``hours``, ``reason`` and ``end``
    :returns: the exit code 0
    :raises ConfigError: when the name is not declared, or arguments are missing or exclude each other
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.config import Catalog
    from include.evergreen.config.wording import did_you_mean, listed
    from include.evergreen.state.alerts.maintenance_windows import end_maintenance, plan_maintenance, planned_maintenance

    if arguments.end is not None:
        if arguments.name or arguments.hours or arguments.reason:
            raise ConfigError("--end N ends a planned outage; it goes with no NAME, --hours and --reason.")
        end_maintenance(arguments.end, actor=actor())
        print(f"Maintenance {arguments.end} is over.")
    elif arguments.name:
        if arguments.hours is None or not arguments.reason:
            raise ConfigError(f"maintenance of {arguments.name}: give --hours H and --reason R.")
        catalog = Catalog()
        known = [*catalog.dataset_names(), *catalog.model_names()]
        if arguments.name not in known:
            raise ConfigError(f"unknown dataset or model {arguments.name!r}; {did_you_mean(arguments.name, known)}known: {listed(known)}")
        window = plan_maintenance(arguments.name, hours=arguments.hours, actor=actor(), reason=arguments.reason)
        print(f"Maintenance {window.id} of {window.name} until {window.ends_at:%Y-%m-%d %H:%M} UTC: its alerts are snoozed until then.")
    else:
        windows = planned_maintenance()
        for window in windows:
            print(f"{window.id} {window.name}, {window.starts_at:%Y-%m-%d %H:%M} to {window.ends_at:%Y-%m-%d %H:%M} UTC, {window.actor}")
            print(f"  {window.reason}")
        if not windows:
            print("No maintenance is planned.")
    return 0
