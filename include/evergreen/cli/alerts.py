"""``alerts``: the inbox for people without Airflow at hand, and for scripts."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.state.alerts import Alert


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``alerts list``, ``show`` and what people do about one.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    deeds = common_arguments.add_group(verbs, common, "alerts", "list the alerts, take one, put it aside, resolve it")

    verb = common_arguments.add_verb(deeds, common, "list", "list the open alerts, the critical first", list_open)
    verb.add_argument("model", metavar="NAME", nargs="?", help="the name of a model or dataset (default: all)")
    verb.add_argument("--all", action="store_true", help="the resolved ones, too")
    common_arguments.add_json(verb)

    def add_act(name: str, text: str, act: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        verb = common_arguments.add_verb(deeds, common, name, text, act)
        verb.add_argument("alert", metavar="ALERT", help="its number, or the key of an open one, as `evergreen alerts list` shows them")
        return verb

    common_arguments.add_json(add_act("show", "show one alert, where it was seen and what happened to it", show))
    add_act("ack", "take an alert: you are its assignee, and it stops escalating", acknowledge)
    add_act("unack", "give an alert back: it fires again", unacknowledge)
    add_act("snooze", "put an alert aside; it fires again afterwards", snooze).add_argument(
        "--hours", type=float, required=True, metavar="H", help="for how long, at most seven days"
    )
    add_act("assign", "give an alert to somebody", assign).add_argument("to", metavar="USER", help="their name, as Airflow knows it")
    add_act("comment", "add a comment to an alert's timeline", comment).add_argument("text", metavar="TEXT", help="the comment")
    add_act("resolve", "resolve an alert; if its cause recurs, it is a new one", resolve).add_argument(
        "--reason", required=True, metavar="R", help="what was done, for the ledger"
    )


def list_open(arguments: argparse.Namespace) -> int:
    """Print the open alerts, or those of one model or dataset, the critical first, with how often and since when.

    :param arguments: ``model``, ``all`` and ``json``
    :returns: the exit code 0
    """
    from include.evergreen.state.alerts import Filter, list_alerts

    states = Filter().states if not arguments.all else (*Filter().states, "resolved")
    alerts = list_alerts(Filter(states=states, name=arguments.model or ""), limit=500)
    if arguments.json:
        print(json.dumps([_as_json(alert) for alert in alerts], indent=2))
        return 0
    for alert in alerts:
        times = f", {alert.times} times since {alert.first_at:%Y-%m-%d %H:%M}" if alert.times > 1 else ""
        state = "" if alert.state == "firing" else f", {alert.state}{f' by {alert.assignee}' if alert.assignee else ''}"
        print(f"{alert.id} {alert.severity.upper()} {alert.key} ({alert.last_at:%Y-%m-%d %H:%M} UTC{times}{state})")
        print(f"  {alert.message}")
    if not alerts:
        print(f"No alert is open{f' for {arguments.model}' if arguments.model else ''}.")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print one alert: what it means, the error's own words, where it was seen, and its timeline.

    :param arguments: ``alert`` and ``json``
    :returns: the exit code 0
    """
    from include.evergreen.state.alerts import show_alert

    detail = show_alert(_number(arguments.alert))
    alert = detail.alert
    if arguments.json:
        shown = {
            **_as_json(alert),
            "places": [_plain(place) for place in detail.places],
            "events": [_plain(event) for event in detail.events],
        }
        print(json.dumps(shown, indent=2))
        return 0
    print(f"{alert.id} {alert.severity.upper()} {alert.meaning.title}: {alert.state}")
    print(f"{alert.message}\n{alert.meaning.meaning}")
    if alert.error:
        print("".join(f"  | {line}\n" for line in alert.error.splitlines()), end="")
    for place in detail.places:
        where = " ".join(
            filter(None, (f"{place.dag_id} {place.task_id}".strip() or place.model or place.dataset, place.partition, place.run_id))
        )
        print(f"  {where}, {place.times} times, last {place.last_at:%Y-%m-%d %H:%M} UTC{', well again' if place.cleared_at else ''}")
    for event in detail.events:
        print(f"  {event.recorded_at:%Y-%m-%d %H:%M} UTC {event.kind}{f' by {event.actor}' if event.actor else ''}: {event.message}")
    return 0


def acknowledge(arguments: argparse.Namespace) -> int:
    """Take an alert.

    :param arguments: ``alert``
    :returns: the exit code 0
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.oncall import remind_after
    from include.evergreen.state import alerts

    number = _number(arguments.alert)
    alert = alerts.acknowledge(number, actor=actor(), remind_after=remind_after(number))
    return _say(alert, f"acknowledged by {alert.assignee}; it is not resolved")


def unacknowledge(arguments: argparse.Namespace) -> int:
    """Give an alert back.

    :param arguments: ``alert``
    :returns: the exit code 0
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.state import alerts

    return _say(alerts.unacknowledge(_number(arguments.alert), actor=actor()), "firing again")


def snooze(arguments: argparse.Namespace) -> int:
    """Put an alert aside for some hours.

    :param arguments: ``alert`` and ``hours``
    :returns: the exit code 0
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.state import alerts

    until = clock.now() + dt.timedelta(hours=min(arguments.hours, 24 * 365))
    return _say(alerts.snooze(_number(arguments.alert), until=until, actor=actor()), f"snoozed until {until:%Y-%m-%d %H:%M} UTC")


def assign(arguments: argparse.Namespace) -> int:
    """Give an alert to somebody.

    :param arguments: ``alert`` and ``to``
    :returns: the exit code 0
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.state import alerts

    alert = alerts.assign(_number(arguments.alert), to=arguments.to, actor=actor())
    return _say(alert, f"assigned to {alert.assignee}")


def comment(arguments: argparse.Namespace) -> int:
    """Add a comment to an alert.

    :param arguments: ``alert`` and ``text``
    :returns: the exit code 0
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.state import alerts

    return _say(alerts.comment(_number(arguments.alert), text=arguments.text, actor=actor()), "commented on")


def resolve(arguments: argparse.Namespace) -> int:
    """Resolve an alert, for the reason that goes to the ledger.

    :param arguments: ``alert`` and ``reason``
    :returns: the exit code 0
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.state import alerts

    return _say(alerts.resolve(_number(arguments.alert), reason=arguments.reason, actor=actor()), "resolved")


def _number(name: str) -> int:
    """The number of an alert that a person named by it, or by the key of an open one."""
    from include.evergreen.state.alerts import open_alerts

    if name.isascii() and name.isdigit() and len(name) < 10:
        return int(name)
    known = {alert.key: alert.id for alert in open_alerts()}
    if name not in known:
        raise ConfigError(f"No open alert has the key {name[:80]!r}; open: {', '.join(sorted(known)[:20]) or 'none'}.")
    return known[name]


def _say(alert: Alert, what: str) -> int:
    print(f"Alert {alert.id} ({alert.key}) is {what}.")
    return 0


def _as_json(alert: Alert) -> dict[str, Any]:
    names = ("id", "key", "kind", "model", "dataset", "severity", "state", "message", "error", "evidence", "times", "first_at", "last_at",
             "revision", "assignee", "snoozed_until", "resolved_at", "resolved_by")  # fmt: skip
    plain = _plain(alert)
    return {name: plain[name] for name in names}


def _plain(record: Any) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in dataclasses.asdict(record).items()}
