"""Incidents of channels that keep them (PagerDuty): one for one alert from when it begins to fire, whichever step or repeat tells it.

Alerts that are first told in a group share the group's. An alert that begins anew (it came back, was given back, woke, became critical)
has a new one, since a server does not ring for an incident that somebody has acknowledged; its earlier one is resolved then.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from include.evergreen.state.database.tables import notifications

KEEPS_INCIDENTS = ("pagerduty",)  # types of channels


def assign_incidents(connection: sa.Connection, channel: str, rows: Sequence[Any], message_key: str) -> dict[int, dict[str, Any]]:
    """Find the incident of each alert of a message that is about to be sent.

    :param connection: inside a transaction
    :param channel: the name of the channel
    :param rows: the message's notifications of the action ``trigger``
    :param message_key: the key of the message
    :returns: for each alert what its notifications are to keep: the key of its ``incident``, and the alerts that share it (``together``)
    """
    episodes = {row.alert_id: max(each.content["episode"] for each in rows if each.alert_id == row.alert_id) for row in rows}
    mine = (notifications.c.alert_id.in_(episodes), notifications.c.channel == channel, notifications.c.action == "trigger")
    assigned: dict[int, dict[str, Any]] = {}
    for row in connection.execute(sa.select(notifications.c.alert_id, notifications.c.content).where(*mine)):
        if "incident" in row.content and row.content["episode"] == episodes[row.alert_id]:
            assigned[row.alert_id] = {name: row.content[name] for name in ("incident", "together")}
    new = sorted(set(episodes) - set(assigned))
    incident = message_key if len(new) > 1 else f"{new[0]}/{episodes[new[0]]}" if new else ""
    return assigned | {alert_id: {"incident": incident, "together": new} for alert_id in new}


def supersede_incidents(connection: sa.Connection, rows: Sequence[Any]) -> dict[str, Any]:
    """Close the notifications of alerts' earlier incidents, since later ones were triggered.

    Those of a group stay: they end with the last of its alerts.

    :param connection: inside a writing transaction; nothing is committed here
    :param rows: notifications of the action ``trigger`` that were sent just now
    :returns: the incidents to resolve, each with a notification that told of it
    """
    newest = {row.alert_id: row.content["episode"] for row in rows}
    told = (notifications.c.alert_id.in_(newest), notifications.c.channel.in_({row.channel for row in rows}))
    earlier = [
        row
        for row in connection.execute(
            notifications.select().where(*told, notifications.c.action == "trigger", notifications.c.state.in_(("sent", "acked")))
        )
        if row.content["episode"] < newest[row.alert_id] and row.content.get("together") == [row.alert_id]
    ]
    connection.execute(notifications.update().where(notifications.c.id.in_([row.id for row in earlier])).values(state="closed"))
    return {row.content["incident"]: row for row in earlier}


def settled_incidents(rows: Sequence[Any], reached: Collection[str], states: dict[int, str]) -> list[str]:
    """List what notifications told of and has come as far as this: incidents, or where a channel keeps none, messages.

    :param rows: notifications of the action ``trigger``
    :param reached: the states of alerts that count
    :param states: of the alerts
    :returns: the keys of those whose every alert is in one of the states
    """
    batches = {
        row.content.get("incident", row.content["batch"]): row.content.get("together", row.content["alerts"])
        for row in rows
        if "batch" in row.content
    }
    return [key for key, members in batches.items() if all(states[alert_id] in reached for alert_id in members)]
