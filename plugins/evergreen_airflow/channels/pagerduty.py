"""PagerDuty, through its Events API v2. An alert is one incident there, and so is a group, which we acknowledge and resolve.

What the API does with a ``dedup_key``: a *trigger* opens an incident, which rings; while it is open, another is added to its log and does
not ring; after it was resolved, another opens it anew. *acknowledge* and *resolve* of what is not open do nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evergreen_airflow.channels.access import base_url, connection, unique_key
from evergreen_airflow.channels.posting import post
from include.evergreen.config.oncall import PagerDuty
from include.evergreen.oncall.messages import Message, Told, UndeliveredError

SERVER = "https://events.pagerduty.com"
LONGEST_SUMMARY = 1024


def send(channel: PagerDuty, message: Message) -> None:
    """Trigger incidents, or acknowledge or resolve those that were triggered. Repeated, it changes nothing: each has its dedup_key.

    :param channel: as it is declared
    :param message: what is told
    :raises UndeliveredError: when it was not delivered
    """
    found = connection(channel.connection)
    if not (key := (found.password or "").strip()):
        raise UndeliveredError(f"connection {channel.connection!r} has no password; give it the integration key.", permanent=True)
    server = (found.host or SERVER).rstrip("/")
    if "://" not in server:
        server = f"{found.schema or 'https'}://{server}{f':{found.port}' if found.port else ''}"
    for event in events_of(message):
        post(f"{server}/v2/enqueue", {"routing_key": key, **event}, secrets=(key,))


def events_of(message: Message) -> list[dict[str, Any]]:
    """Write a message in PagerDuty's form.

    :param message: what is told
    :returns: the events, without the integration key
    """
    if message.action != "trigger":
        return [{"event_action": message.action, "dedup_key": unique_key(incident)} for incident in message.incidents]
    incidents: dict[str, list[Told]] = {}
    for alert in message.alerts:
        incidents.setdefault(alert.incident or message.key, []).append(alert)
    return [_triggered(incident, replace(message, alerts=tuple(alerts))) for incident, alerts in incidents.items()]


def _triggered(incident: str, message: Message) -> dict[str, Any]:
    url, alerts = base_url(), message.alerts
    payload = {
        "summary": message.subject[:LONGEST_SUMMARY],
        "source": url,
        "severity": message.severity,
        "timestamp": min(alert.first_at for alert in alerts).isoformat(),
        "component": alerts[0].name or "evergreen",
        "class": alerts[0].kind,
        "custom_details": {"lines": message.lines(url), "on_call": list(message.on_call), "for": message.recipient},
    }
    links = [{"href": f"{url}{message.path}", "text": "Take it"}]
    if len(alerts) == 1:
        links.append({"href": f"{url}{alerts[0].runbook}", "text": "Runbook"})
    return {
        "event_action": "trigger",
        "dedup_key": unique_key(incident),
        "payload": payload,
        "links": links,
        "client": "Evergreen",
        "client_url": f"{url}{message.path}",
    }
